/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes in the small files that the daemon reads: configfs of a device and of its ports, and
 * the daemon's own marks and saved mode parameters. Each text that is read ends in its buffer, and
 * a content that is not understood leaves its fact unknown.
 *
 * An input is the contents of the files in the order of the table, with a byte 0xff between them.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/configfs.h"
#include "device/marks.h"
#include "fake-root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TARGET "/sys/kernel/config/target/"
#define DEVICE TARGET "core/user_5/disk/"
#define GROUP  DEVICE "alua/group/"
#define PORT   TARGET "iscsi/iqn.a/tpgt_1/"
#define RUN    "/run/tcmud/"
#define SERIAL "1a2b"
/* SHA-256 of the serial */
#define MODES "mode-db0cc0717fc0a18427019afe4fe5933616c898768505b98a250e362a240f72e9"

static const char *const files[] = {
	GROUP "members",
	GROUP "tg_pt_gp_id",
	GROUP "alua_access_type",
	GROUP "alua_access_state",
	DEVICE "wwn/vpd_unit_serial",
	DEVICE "alua_lu_gp",
	PORT "enable",
	PORT "lun/lun_0/statistics/scsi_port/indx",
	DEVICE "attrib/hw_block_size",
	DEVICE "attrib/dev_size",
	DEVICE "attrib/hw_max_sectors",
	DEVICE "attrib/cmd_time_out",
	RUN "store-user_5-disk",
	RUN "clean-uio0",
	RUN "format-user_5-disk",
	RUN MODES,
};

static struct fake_root root;
static const struct tcmu_name disk = {.hba = 5, .name = "disk", .config = "file//x"};

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

static void fuzz_end(void)
{
	fake_root_remove(&root);
}

static void write_files(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const uint8_t *end = memchr(data, 0xff, size);
		size_t length = end ? (size_t) (end - data) : size;
		int fd = open(
			fake_root_path(&root, files[i]), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		/* Not cut to nothing first: file systems write such a file to the disk at once. */
		fuzz_demand(fd >= 0 && write(fd, data, length) == (ssize_t) length);
		fuzz_demand(ftruncate(fd, (off_t) length) == 0 && close(fd) == 0);
		length += end ? 1 : 0;
		data += length;
		size -= length;
	}
}

static void read_kernel(void)
{
	struct device_attributes attributes = {0};
	struct scsi_lu_info lu_info;
	struct tcmu_reason reason = {""};

	fuzz_demand(configfs_read_lu_info(&disk, &lu_info) == 0);
	fuzz_demand(memchr(lu_info.serial, 0, sizeof(lu_info.serial)) != NULL);
	fuzz_demand(lu_info.ports.group_cnt <= SCSI_PORT_GROUPS_MAX);
	fuzz_demand(memchr(lu_info.ports.iscsi_name, 0, sizeof(lu_info.ports.iscsi_name)) != NULL);
	if (configfs_read_attributes(&disk, DEVICE_ORIGIN_ADDED, 1 << 20, &attributes, &reason) < 0)
		fuzz_demand(reason.text[0] != '\0');
}

static void read_own(void)
{
	struct scsi_mode_values modes = {0};
	struct marks_store store;
	char run[256];

	(void) snprintf(run, sizeof(run), "%s", fake_root_path(&root, "/run/tcmud"));
	marks_get_store(run, &disk, &store);
	fuzz_demand(memchr(store.claim, 0, sizeof(store.claim)) != NULL);
	(void) marks_get_format(run, &disk);
	(void) marks_load_modes(run, SERIAL, &modes);
	(void) marks_take_clean(run, &disk, 0);
}

void __wrap_log_emit(const void *where, const char *fmt, ...);

/* The log would be the slowest part. */
void __wrap_log_emit(const void *where, const char *fmt, ...)
{
	(void) where, (void) fmt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!root.path[0]) {
		fake_root_make(&root);
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
			fake_root_write(&root, files[i], "");
		fuzz_demand(atexit(fuzz_end) == 0);
	}
	write_files(data, size);
	read_kernel();
	read_own();
	return 0;
}
