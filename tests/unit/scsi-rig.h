/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A logical unit to send commands to, for the tests of scsi/. One command at a time; its answer is
 * in `rig.result` until the next one.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include <scsi/scsi.h>

#define RIG_BLOCKS     UINT64_C(0x20000)
#define RIG_BLOCK_SIZE 512u
#define RIG_TIME       UINT64_C(0x0123456789ab)

struct rig {
	struct scsi_lu lu;
	struct scsi_result result;
	uint8_t data[SCSI_DATA_MAX + 64]; /* what is behind the answer shows whether it was overrun
					   */
};

/* A CDB as a list of bytes. */
#define CDB(...) ((const uint8_t[16]){__VA_ARGS__})
/* A parameter list, or any data-out, and its length. */
#define LIST(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

/* A thin disk of RIG_BLOCKS blocks, with a serial, that can do everything. */
void rig_init(struct rig *rig);

/* How many bytes a CDB with this operation code has (SPC-4 4.2.5.1). */
uint8_t rig_cdb_length(uint8_t opcode);

/* Sends a command with data-out, or with room for data-in. The data of the answer is at rig->data.
 */
enum scsi_verdict rig_send(
	struct rig *rig, const uint8_t *cdb, const void *data_out, size_t length);
/* The same, with only the length of data-out or data-in. */
enum scsi_verdict rig_run(struct rig *rig, const uint8_t *cdb, uint64_t data_length);

/* The command is answered with these bytes, cut to every allocation length from 0 to one more than
 * there are. field, bytes: where the allocation length is in the CDB and how many bytes it has. */
void rig_expect_data(
	struct rig *rig, const uint8_t *cdb, unsigned field, unsigned bytes, const uint8_t *data,
	size_t length);

#define expect_good(rig) assert_rig_good(rig, __FILE__, __LINE__)
void assert_rig_good(const struct rig *rig, const char *file, int line);

/* CHECK CONDITION with a sense that has no field pointer and no INFORMATION. */
#define expect_sense(rig, key, asc, ascq) assert_rig_sense(rig, key, asc, ascq, __FILE__, __LINE__)
void assert_rig_sense(
	const struct rig *rig, uint8_t key, uint8_t asc, uint8_t ascq, const char *file, int line);

/* ILLEGAL REQUEST, INVALID FIELD IN CDB with a pointer; bit: -1 for none. */
#define expect_bad_cdb(rig, byte, bit) assert_rig_field(rig, true, byte, bit, __FILE__, __LINE__)
/* ILLEGAL REQUEST, INVALID FIELD IN PARAMETER LIST with a pointer. */
#define expect_bad_list(rig, byte, bit) assert_rig_field(rig, false, byte, bit, __FILE__, __LINE__)
void assert_rig_field(
	const struct rig *rig, bool in_cdb, unsigned byte, int bit, const char *file, int line);

/* The last command was planned as this. */
#define expect_plan(rig, op, flags, lba, blocks) \
	assert_rig_plan(rig, op, flags, lba, blocks, __FILE__, __LINE__)
void assert_rig_plan(
	const struct rig *rig, enum scsi_plan_op op, uint32_t flags, uint64_t lba, uint64_t blocks,
	const char *file, int line);
