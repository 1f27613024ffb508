/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An initiator that means harm, by SG_IO.
 *
 * stale DISK: fills the pages of the device's ring with a canary, by WRITEs of it. Then it sends
 * commands that have no data-in, or less than there is room, with room declared as data-in. Each
 * byte of the canary that comes back is another command's: the program ends with 1.
 *
 * storm DISK COUNT SEED: sends COUNT commands: of known and unknown operation codes, with small and
 * random fields, with data-out, data-in or none of any length. It ends with 1 if a command is not
 * answered.
 *
 * usage: hostile-initiator stale DISK | storm DISK COUNT SEED
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <scsi/sg.h>

#define BLOCK      512u
#define ROOM       (64u * 1024)
#define CANARY     0xc7
#define TIMEOUT_MS 60000

static int disk;
static uint8_t data[ROOM];

struct answer {
	int status;      /* of SCSI */
	int host_status; /* 0: the command was answered */
	int residual;
};

static struct answer send_command(
	const uint8_t *cdb, unsigned cdb_length, int direction, unsigned length)
{
	uint8_t sense[64] = {0}, copy[16];
	struct sg_io_hdr header = {
		.interface_id = 'S',
		.dxfer_direction = direction,
		.cmd_len = (unsigned char) cdb_length,
		.mx_sb_len = sizeof(sense),
		.dxfer_len = direction == SG_DXFER_NONE ? 0 : length,
		.dxferp = data,
		.cmdp = copy,
		.sbp = sense,
		.timeout = TIMEOUT_MS,
	};

	memcpy(copy, cdb, cdb_length);
	if (ioctl(disk, SG_IO, &header) < 0) {
		fprintf(stderr, "SG_IO of %02x failed: %s\n", cdb[0], strerror(errno));
		exit(1);
	}
	return (struct answer){
		.status = header.status,
		.host_status = header.host_status,
		.residual = header.resid,
	};
}

/* ------- stale ------- */

static const struct {
	const char *name;
	unsigned length;
	uint8_t cdb[16];
} silent[] = {
	{"TEST UNIT READY", 6, {0x00}},
	{"START STOP UNIT", 6, {0x1b, 0, 0, 0, 0x01}},
	{"PREVENT ALLOW MEDIUM REMOVAL", 6, {0x1e}},
	{"PRE-FETCH(10)", 10, {0x34, 0, 0, 0, 0, 0, 0, 0, 8}},
	{"PRE-FETCH(16)", 16, {0x90, [13] = 8}},
	{"SYNCHRONIZE CACHE(10)", 10, {0x35}},
	{"SYNCHRONIZE CACHE(16)", 16, {0x91}},
	{"VERIFY(10)", 10, {0x2f, 0, 0, 0, 0x10, 0, 0, 0, 8}},
	{"VERIFY(16)", 16, {0x8f, [8] = 0x10, [13] = 8}},
	{"READ(10) of no block", 10, {0x28}},
	{"READ(10) of one block", 10, {0x28, 0, 0, 0, 0x10, 0, 0, 0, 1}},
	{"WRITE(10)", 10, {0x2a, 0, 0, 0, 0x20, 0, 0, 0, ROOM / BLOCK}},
	{"WRITE SAME(16) with NDOB", 16, {0x93, 0x01, [8] = 0x20, [13] = 8}},
	{"INQUIRY", 6, {0x12, 0, 0, 0, 36}},
	{"REQUEST SENSE", 6, {0x03, 0, 0, 0, 18}},
	{"FORMAT UNIT", 6, {0x04}},
};

/* Block 0 and those behind it hold the canary; the blocks from 1000h hold zeros. */
static void fill_ring(void)
{
	const uint8_t write[10] = {0x2a, [8] = ROOM / BLOCK};

	memset(data, CANARY, sizeof(data));
	for (unsigned i = 0; i < 4; i++)
		if (send_command(write, sizeof(write), SG_DXFER_TO_DEV, ROOM).status) {
			fprintf(stderr, "the canary cannot be written\n");
			exit(1);
		}
}

static unsigned count_canary(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < ROOM; i++)
		cnt += data[i] == CANARY;
	return cnt;
}

static int run_stale(void)
{
	unsigned leaks = 0;

	for (unsigned i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		struct answer answer;
		unsigned cnt;

		fill_ring();
		memset(data, 0, sizeof(data));
		answer = send_command(silent[i].cdb, silent[i].length, SG_DXFER_FROM_DEV, ROOM);
		cnt = count_canary();
		printf("%s: status %02x, residual %d, %u bytes of other commands\n", silent[i].name,
		       answer.status, answer.residual, cnt);
		leaks += cnt > 0;
	}
	printf("%u operations leak\n", leaks);
	return leaks > 0;
}

/* ------- storm ------- */

static uint64_t state;

static uint32_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t) (state >> 16);
}

static unsigned length_of_group(uint8_t opcode)
{
	static const uint8_t lengths[8] = {6, 10, 10, 12, 16, 12, 10, 10};

	return lengths[opcode >> 5];
}

static const uint8_t known[] = {0x00, 0x03, 0x04, 0x08, 0x0a, 0x12, 0x15, 0x16, 0x17, 0x1a, 0x1b,
				0x1c, 0x1d, 0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x34, 0x35, 0x37,
				0x41, 0x42, 0x48, 0x4d, 0x55, 0x56, 0x57, 0x5a, 0x5e, 0x5f, 0x83,
				0x84, 0x88, 0x89, 0x8a, 0x8b, 0x8e, 0x8f, 0x90, 0x91, 0x93, 0x9c,
				0x9e, 0xa0, 0xa3, 0xa4, 0xa8, 0xaa, 0xae, 0xaf, 0xb7};

/* Three of four have a known operation code, and most of these few bits. */
static unsigned make_cdb(uint8_t *cdb)
{
	bool sparse = next_random() % 4;
	unsigned length;

	cdb[0] = next_random() % 4 ? known[next_random() % sizeof(known)] : (uint8_t) next_random();
	length = length_of_group(cdb[0]);
	for (unsigned i = 1; i < length; i++)
		cdb[i] = sparse && next_random() % 4 ? 0 : (uint8_t) next_random();
	if (sparse)
		cdb[length - 1] = 0;
	if (sparse && length >= 10)
		cdb[length == 16 ? 13 : length == 12 ? 9 : 8] = (uint8_t) (next_random() % 64);
	return length;
}

static unsigned make_data(void)
{
	static const unsigned lengths[] = {1, 8, 24, 96, 255, 512, 1024, 4096, 5000, 32768, ROOM};
	unsigned length = lengths[next_random() % (sizeof(lengths) / sizeof(lengths[0]))];

	if (next_random() % 2)
		length = next_random() % length + 1;
	for (unsigned i = 0; i < length && i < 64; i++)
		data[i] = next_random() % 2 ? 0 : (uint8_t) next_random();
	return length;
}

static int run_storm(unsigned long count)
{
	static const int directions[] = {SG_DXFER_NONE, SG_DXFER_TO_DEV, SG_DXFER_FROM_DEV};
	unsigned long good = 0, check = 0, busy = 0, other = 0, unanswered = 0;

	for (unsigned long i = 0; i < count; i++) {
		uint8_t cdb[16] = {0};
		unsigned cdb_length = make_cdb(cdb), length = make_data();
		struct answer answer = send_command(
			cdb, cdb_length, directions[next_random() % 3], length);

		if (answer.host_status) {
			unanswered++;
			printf("%02x %02x: host status %d\n", cdb[0], cdb[1], answer.host_status);
		}
		if (answer.status == 0)
			good++;
		else if (answer.status == 2)
			check++;
		else if (answer.status == 8)
			busy++;
		else
			other++;
	}
	printf("%lu commands: %lu GOOD, %lu CHECK CONDITION, %lu BUSY, %lu other, %lu unanswered\n",
	       count, good, check, busy, other, unanswered);
	return unanswered > 0;
}

int main(int argc, char **argv)
{
	bool stale = argc == 3 && strcmp(argv[1], "stale") == 0;
	bool storm = argc == 5 && strcmp(argv[1], "storm") == 0;

	if (!stale && !storm) {
		fprintf(stderr, "usage: hostile-initiator stale DISK | storm DISK COUNT SEED\n");
		return 2;
	}
	disk = open(argv[2], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (disk < 0) {
		fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	if (stale)
		return run_stale();
	state = strtoull(argv[4], NULL, 10) * 2654435761u + 88172645463325252u;
	return run_storm(strtoul(argv[3], NULL, 10));
}
