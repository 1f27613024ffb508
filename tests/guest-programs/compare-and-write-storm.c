/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Increments a number in a block of a disk by COMPARE AND WRITE. When another process was faster,
 * it reads the block by READ(16) and tries again. Several processes, on several paths to the same
 * disk, together reach the sum of their counts only if the comparison and the write are atomic.
 * SIGTERM ends it after the current command.
 *
 * usage: compare-and-write-storm DISK BLOCK TIMES
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <scsi/sg.h>

#define BLOCK          512
#define UNIT_ATTENTION 0x06
#define MISCOMPARE     0x0e

static int disk;
static volatile sig_atomic_t ended;

static void end_after_this(int number)
{
	(void) number;
	ended = 1;
}

/* Returns the SCSI status, or the sense key if there is sense data. */
static int send_command(uint8_t cdb[16], int direction, void *data, unsigned length)
{
	uint8_t sense[32] = {0};
	struct sg_io_hdr header = {
		.interface_id = 'S',
		.dxfer_direction = direction,
		.cmd_len = 16,
		.mx_sb_len = sizeof(sense),
		.dxfer_len = length,
		.dxferp = data,
		.cmdp = cdb,
		.sbp = sense,
		.timeout = 60000,
	};

	if (ioctl(disk, SG_IO, &header) < 0 || header.host_status) {
		fprintf(stderr, "the command failed: %s, host status %d\n", strerror(errno),
			header.host_status);
		exit(1);
	}
	if (header.status == 2 && header.sb_len_wr >= 8)
		return (sense[0] & 0x7f) >= 0x72 ? sense[1] & 0x0f : sense[2] & 0x0f;
	return header.status;
}

static int access_block(uint8_t code, uint64_t block, int direction, void *data, unsigned length)
{
	uint8_t cdb[16] = {code};
	uint64_t lba = htobe64(block);

	memcpy(cdb + 2, &lba, sizeof(lba));
	/* READ(16): the last byte of the length; COMPARE AND WRITE: the number of blocks */
	cdb[13] = 1;
	return send_command(cdb, direction, data, length);
}

/* Returns false if the caller must try again: another process has changed the block, or the disk
 * has a unit attention. After a success the block is not read again: the next comparison shows
 * whether it has changed. */
static bool increment_block(uint64_t block)
{
	static uint8_t data[2 * BLOCK]
		__attribute__((aligned(4096))); /* the last known block, and the next one */
	static bool valid;
	uint64_t number;
	int r = 0;

	if (!valid)
		r = access_block(0x88, block, SG_DXFER_FROM_DEV, data, BLOCK);
	if (r == 0) {
		memcpy(data + BLOCK, data, BLOCK);
		memcpy(&number, data, sizeof(number));
		number = htole64(le64toh(number) + 1);
		memcpy(data + BLOCK, &number, sizeof(number));
		r = access_block(0x89, block, SG_DXFER_TO_DEV, data, sizeof(data));
		memcpy(data, data + BLOCK, BLOCK);
	}
	valid = r == 0;
	if (r != 0 && r != UNIT_ATTENTION && r != MISCOMPARE) {
		fprintf(stderr, "refused: status or sense key %#x\n", r);
		exit(1);
	}
	return r == 0;
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = end_after_this, .sa_flags = SA_RESTART};
	unsigned long times, retries = 0, i = 0;
	uint64_t block;

	if (argc != 4 || (disk = open(argv[1], O_RDWR | O_CLOEXEC)) < 0) {
		fprintf(stderr, "usage: %s DISK BLOCK TIMES\n", argv[0]);
		return 2;
	}
	block = strtoull(argv[2], NULL, 0);
	times = strtoul(argv[3], NULL, 0);
	if (sigaction(SIGTERM, &action, NULL) < 0)
		return 2;
	while (i < times && !ended)
		if (increment_block(block))
			i++;
		else
			retries++;
	printf("%lu increments, %lu retries\n", i, retries);
	return 0;
}
