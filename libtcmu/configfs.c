/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's directory in configfs: numbers and strings in, errors as the kernel returns them. No
 * state; any thread that may block.
 */
#include <tcmu/configfs.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel-file.h"

#define SERIAL_LABEL "T10 VPD Unit Serial Number: "

/* Reads <device's directory>/<directory><file>. directory: empty, or with a final '/'. */
static int read_file(
	const struct tcmu_name *name, const char *directory, const char *file, char *text,
	size_t size)
{
	char path[TCMU_PATH_SIZE];
	int r;

	assert(directory[0] == '\0' || directory[strlen(directory) - 1] == '/');
	r = tcmu_path(
		path, "/sys/kernel/config/target/core/user_%u/%s/%s%s", name->hba, name->name,
		directory, file);
	return r < 0 ? r : tcmu_file_read(path, text, size);
}

static int write_file(
	const struct tcmu_name *name, const char *directory, const char *file, const char *text)
{
	char path[TCMU_PATH_SIZE];
	int r;

	assert(directory[0] == '\0' || directory[strlen(directory) - 1] == '/');
	r = tcmu_path(
		path, "/sys/kernel/config/target/core/user_%u/%s/%s%s", name->hba, name->name,
		directory, file);
	return r < 0 ? r : tcmu_file_write(path, text);
}

static int read_number(
	const struct tcmu_name *name, const char *directory, const char *file, int64_t *value)
{
	char text[64];
	uint64_t magnitude;
	bool negative;
	int r;

	r = read_file(name, directory, file, text, sizeof(text));
	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	negative = text[0] == '-';
	if (tcmu_parse_unsigned(text + negative, &magnitude) < 0 || magnitude > INT64_MAX)
		return -EBADMSG;
	*value = negative ? -(int64_t) magnitude : (int64_t) magnitude;
	return 0;
}

int tcmu_configfs_get(const struct tcmu_name *name, const char *attribute, uint64_t *value)
{
	char text[64];
	int r;

	r = read_file(name, "attrib/", attribute, text, sizeof(text));
	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	return tcmu_parse_unsigned(text, value);
}

int tcmu_configfs_get_signed(const struct tcmu_name *name, const char *attribute, int64_t *value)
{
	return read_number(name, "attrib/", attribute, value);
}

int tcmu_configfs_set(const struct tcmu_name *name, const char *attribute, const char *value)
{
	return write_file(name, "attrib/", attribute, value);
}

/* Reads and writes files of one directory, whatever has its name now. */
static int set_before_enable(int directory, const char *attribute, const char *value)
{
	char path[TCMU_PATH_SIZE], enabled[16];
	int r;

	assert(directory >= 0);
	(void) snprintf(path, sizeof(path), "/proc/self/fd/%d/enable", directory);
	r = tcmu_file_read(path, enabled, sizeof(enabled));
	if (r < 0)
		return r;
	if (strcmp(enabled, "0") != 0)
		return -EBUSY;
	(void) snprintf(path, sizeof(path), "/proc/self/fd/%d/attrib/%s", directory, attribute);
	return tcmu_file_write(path, value);
}

int tcmu_configfs_set_before_enable(
	const struct tcmu_name *name, const char *attribute, const char *value)
{
	char path[TCMU_PATH_SIZE];
	int directory, r;

	r = tcmu_path(path, "/sys/kernel/config/target/core/user_%u/%s", name->hba, name->name);
	if (r < 0)
		return r;
	directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -errno;
	r = set_before_enable(directory, attribute, value);
	close(directory);
	return r;
}

int tcmu_configfs_set_max_sectors(const struct tcmu_name *name, uint32_t sectors)
{
	char text[32];

	snprintf(text, sizeof(text), "hw_max_sectors=%u", sectors);
	return write_file(name, "", "control", text);
}

int tcmu_configfs_action(const struct tcmu_name *name, const char *action, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return write_file(name, "action/", action, text);
}

int tcmu_configfs_enabled(const struct tcmu_name *name)
{
	int64_t value;
	int r;

	r = read_number(name, "", "enable", &value);
	if (r < 0)
		return r;
	return value != 0;
}

int tcmu_configfs_device_id(const struct tcmu_name *name, uint32_t *id)
{
	int64_t value;
	int r;

	r = read_number(name, "statistics/scsi_dev/", "indx", &value);
	if (r < 0)
		return r;
	if (value < 0 || value > UINT32_MAX)
		return -EBADMSG;
	*id = (uint32_t) value;
	return 0;
}

int tcmu_configfs_unit_serial(const struct tcmu_name *name, char *serial, size_t size)
{
	char text[512];
	const char *value;
	int r;

	r = read_file(name, "wwn/", "vpd_unit_serial", text, sizeof(text));
	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	if (strncmp(text, SERIAL_LABEL, strlen(SERIAL_LABEL)) != 0)
		return -EBADMSG;
	value = text + strlen(SERIAL_LABEL);
	if (strlen(value) >= size)
		return -ENAMETOOLONG;
	memcpy(serial, value, strlen(value) + 1);
	return 0;
}

int tcmu_configfs_dbroot(char *path, size_t size)
{
	char file[TCMU_PATH_SIZE];
	int r;

	r = tcmu_path(file, "/sys/kernel/config/target/dbroot");
	if (r < 0)
		return r;
	r = tcmu_file_read(file, path, size);
	if (r < 0)
		return r == -E2BIG ? -ENAMETOOLONG : r;
	return r == 0 ? -ENOENT : 0;
}
