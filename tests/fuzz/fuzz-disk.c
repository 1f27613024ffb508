/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any commands with any data through <tcmu/scsi.h>, on a disk in memory whose functions may fail.
 * Beside it is a model: what commands that end with GOOD store and return, from their CDBs alone.
 * No other command changes a byte, and no function of the store gets a range outside of the disk.
 *
 * An input is the disk (struct unit), then records (struct record), each followed by its data-out.
 * Each piece of the data and each CDB is allocated separately, so that AddressSanitizer sees a
 * byte too far; data-in is not initialised before, so that MemorySanitizer sees a byte too few.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <scsi/optable.h>
#include <tcmu/scsi.h>

#include "msan.h"

#define STORE_SIZE 32768u
#define ROOM_MAX   (2 * STORE_SIZE)
#define PIECES     4u
#define GOOD       0x00
#define CONDITION  0x02

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ------- the input ------- */

struct unit {
	uint8_t flags;      /* UNIT_ */
	uint8_t max_blocks; /* of a command, less one */
	uint8_t granularity;
	uint8_t blocks; /* that the disk lacks of STORE_SIZE */
};

#define UNIT_READ_ONLY  0x01
#define UNIT_NO_FLUSH   0x02
#define UNIT_NO_UNMAP   0x04
#define UNIT_NO_MAP     0x08
#define UNIT_BIG_BLOCKS 0x10
#define UNIT_BIG_SECTOR 0x20
#define UNIT_ROTATIONAL 0x40

struct record {
	uint8_t kind;
	uint8_t operation;  /* 0: the CDB as it is; else an entry of the table */
	uint8_t out_length; /* bytes of data-out that follow; value fills the rest */
	uint8_t value;
	uint8_t room[2]; /* bytes of data */
	uint8_t flags;   /* RECORD_ */
	uint8_t cut;     /* where the data is cut into pieces */
	uint8_t cdb[16];
};

#define RECORD_FITS   0x01 /* the blocks are moved into the disk */
#define RECORD_EXACT  0x02 /* the data is as long as the command says */
#define RECORD_MEETS  0x04 /* data-out begins with the blocks that are stored: COMPARE AND WRITE */
#define RECORD_PIECES 0x18 /* so many cuts */

enum kind {
	KIND_FAIL = 6, /* a function of the store, from now on the one with the number value / 16 */
	KIND_RESIZE,
	KINDS,
};

static const int errors[16] = {-EIO,    -ENOSPC,      -EROFS,     -EBUSY,  -EOPNOTSUPP, -ECANCELED,
			       -EILSEQ, -EREMOTEIO,   -ETIMEDOUT, -ENOMEM, -ESHUTDOWN,  -ENOMEDIUM,
			       -EBADE,  -EINPROGRESS, -ENODATA,   -EPERM};

static struct {
	struct unit unit;
	struct tcmu_scsi *scsi;
	uint32_t block;
	uint64_t size;
	uint8_t store[STORE_SIZE];
	uint8_t model[STORE_SIZE];
	unsigned calls_to_failure; /* 0: none fails */
	int error;
	bool failed; /* a function has failed during the command */
	bool dirty;  /* something was written since the last flush */
} fuzz;

#define fuzz_demand(condition) ((condition) ? (void) 0 : fuzz_fail(#condition, __LINE__))

__attribute__((noreturn)) static void fuzz_fail(const char *what, int line)
{
	(void) fprintf(stderr, "line %d: not %s\n", line, what);
	abort();
}

/* ------- the store ------- */

static void check_range(uint64_t offset, uint64_t length)
{
	fuzz_demand(length > 0 && offset % fuzz.block == 0 && length % fuzz.block == 0);
	fuzz_demand(offset <= fuzz.size && length <= fuzz.size - offset);
}

static int store_error(void)
{
	if (!fuzz.calls_to_failure || --fuzz.calls_to_failure)
		return 0;
	fuzz.failed = true;
	return fuzz.error;
}

static uint64_t length_of(const struct iovec *iov, unsigned cnt)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < cnt; i++)
		length += iov[i].iov_len;
	return length;
}

static int store_read(void *store, const struct iovec *iov, unsigned cnt, uint64_t offset)
{
	int r = store_error();

	(void) store;
	check_range(offset, length_of(iov, cnt));
	for (unsigned i = 0; r == 0 && i < cnt; offset += iov[i++].iov_len)
		memcpy(iov[i].iov_base, fuzz.store + offset, iov[i].iov_len);
	return r;
}

static int store_write(void *store, const struct iovec *iov, unsigned cnt, uint64_t offset)
{
	int r = store_error();

	(void) store;
	fuzz_demand(!(fuzz.unit.flags & UNIT_READ_ONLY));
	check_range(offset, length_of(iov, cnt));
	for (unsigned i = 0; r == 0 && i < cnt; offset += iov[i++].iov_len)
		memcpy(fuzz.store + offset, iov[i].iov_base, iov[i].iov_len);
	fuzz.dirty = true;
	return r;
}

static int store_flush(void *store)
{
	int r = store_error();

	(void) store;
	if (r == 0)
		fuzz.dirty = false;
	return r;
}

static int store_unmap(void *store, uint64_t offset, uint64_t length)
{
	int r = store_error();

	(void) store;
	fuzz_demand(!(fuzz.unit.flags & UNIT_READ_ONLY));
	check_range(offset, length);
	if (r == 0)
		memset(fuzz.store + offset, 0, length);
	fuzz.dirty = true;
	return r;
}

static int store_map(void *store, uint64_t offset, uint64_t length, uint64_t *run, bool *mapped)
{
	int r = store_error();

	(void) store;
	check_range(offset, length);
	*mapped = offset / fuzz.block % 4 != 0;
	*run = *mapped ? length : fuzz.block;
	return r;
}

/* ------- the model ------- */

static uint64_t read_number(const uint8_t *at, unsigned bytes)
{
	uint64_t number = 0;

	while (bytes--)
		number = number << 8 | *at++;
	return number;
}

static void write_number(uint8_t *at, unsigned bytes, uint64_t number)
{
	for (; bytes--; number >>= 8)
		at[bytes] = (uint8_t) number;
}

/* Where a CDB has its blocks. */
struct fields {
	uint8_t lba, lba_bytes, count, count_bytes;
};

/* False: the operation has no blocks. */
static bool find_fields(const uint8_t *cdb, struct fields *fields)
{
	switch (cdb[0]) {
	case 0x08: /* READ(6), WRITE(6) */
	case 0x0a:
		*fields = (struct fields){.lba = 1, .lba_bytes = 3, .count = 4, .count_bytes = 1};
		return true;
	case 0x28: /* READ(10), WRITE(10), WRITE AND VERIFY(10), VERIFY(10), SYNCHRONIZE CACHE(10),
		    * WRITE SAME(10) */
	case 0x2a:
	case 0x2e:
	case 0x2f:
	case 0x35:
	case 0x41:
		*fields = (struct fields){.lba = 2, .lba_bytes = 4, .count = 7, .count_bytes = 2};
		return true;
	case 0xa8: /* READ(12), WRITE(12), WRITE AND VERIFY(12), VERIFY(12) */
	case 0xaa:
	case 0xae:
	case 0xaf:
		*fields = (struct fields){.lba = 2, .lba_bytes = 4, .count = 6, .count_bytes = 4};
		return true;
	case 0x88: /* READ(16), WRITE(16), ORWRITE, WRITE AND VERIFY(16), VERIFY(16), SYNCHRONIZE
		    * CACHE(16), WRITE SAME(16) */
	case 0x8a:
	case 0x8b:
	case 0x8e:
	case 0x8f:
	case 0x91:
	case 0x93:
		*fields = (struct fields){.lba = 2, .lba_bytes = 8, .count = 10, .count_bytes = 4};
		return true;
	case 0x89: /* COMPARE AND WRITE */
		*fields = (struct fields){.lba = 2, .lba_bytes = 8, .count = 13, .count_bytes = 1};
		return true;
	case 0x9c: /* WRITE ATOMIC(16) */
		*fields = (struct fields){.lba = 2, .lba_bytes = 8, .count = 12, .count_bytes = 2};
		return true;
	default:
		return false;
	}
}

/* A command as the model sees it. */
struct command {
	uint8_t cdb[16];
	uint8_t cdb_length;
	uint64_t offset, length; /* bytes; of a command with blocks */
	const uint8_t *out;      /* its data */
	uint64_t room;
	const struct tcmu_scsi_command *answer;
	const uint8_t *in;
};

static void read_blocks(struct command *command)
{
	struct fields fields;
	uint64_t lba, count;

	command->offset = command->length = 0;
	if (!find_fields(command->cdb, &fields))
		return;
	lba = read_number(command->cdb + fields.lba, fields.lba_bytes);
	count = read_number(command->cdb + fields.count, fields.count_bytes);
	if (fields.lba_bytes == 3) {
		lba &= 0x1fffff;
		count = count ? count : 256;
	}
	command->offset = lba < STORE_SIZE ? lba * fuzz.block : UINT64_MAX / 2;
	command->length = count * fuzz.block;
}

static bool is_write(uint8_t opcode)
{
	switch (opcode) {
	case 0x0a:
	case 0x2a:
	case 0x2e:
	case 0x8a:
	case 0x8e:
	case 0x9c:
	case 0xaa:
	case 0xae:
		return true;
	default:
		return false;
	}
}

/* How much data a command has. */
static uint64_t data_length(const struct command *command)
{
	switch (command->cdb[0]) {
	case 0x41:
	case 0x93:
		return command->cdb[0] == 0x93 && (command->cdb[1] & 1) ? 0 : fuzz.block;
	case 0x89:
		return 2 * command->length;
	case 0x35:
	case 0x91:
		return 0;
	case 0x2f: /* VERIFY, by BYTCHK */
	case 0x8f:
	case 0xaf:
		switch (command->cdb[1] >> 1 & 3) {
		case 0:
			return 0;
		case 3:
			return fuzz.block;
		default:
			return command->length;
		}
	case 0x42:
	case 0x55:
		return read_number(command->cdb + 7, 2);
	case 0x15:
		return command->cdb[4];
	default:
		return command->length ? command->length : command->room;
	}
}

static void model_write_same(const struct command *command)
{
	bool zeroes = command->cdb[0] == 0x93 && (command->cdb[1] & 1);
	/* No count: to the end of the disk. */
	uint64_t length = command->length ? command->length : fuzz.size - command->offset;

	fuzz_demand(command->offset <= fuzz.size && length <= fuzz.size - command->offset);
	fuzz_demand(zeroes || command->room >= fuzz.block);
	for (uint64_t at = 0; at < length; at += fuzz.block) {
		uint8_t *block = fuzz.model + command->offset + at;

		if (zeroes)
			memset(block, 0, fuzz.block);
		else
			memcpy(block, command->out, fuzz.block);
	}
}

static void model_unmap(const struct command *command)
{
	uint64_t length = read_number(command->cdb + 7, 2), all;

	if (!length)
		return;
	fuzz_demand(length <= command->room && length >= 8);
	all = read_number(command->out + 2, 2);
	for (uint64_t at = 8; at + 16 <= 8 + all && at + 16 <= length; at += 16) {
		uint64_t lba = read_number(command->out + at, 8);
		uint64_t count = read_number(command->out + at + 8, 4);

		fuzz_demand(lba <= fuzz.size / fuzz.block && count <= fuzz.size / fuzz.block - lba);
		memset(fuzz.model + lba * fuzz.block, 0, count * fuzz.block);
	}
}

/* The command has ended with GOOD, and no function has failed. */
static void model_good(const struct command *command)
{
	uint8_t opcode = command->cdb[0], *at = fuzz.model + command->offset;
	struct fields fields;

	if (find_fields(command->cdb, &fields) && command->length)
		fuzz_demand(
			command->offset <= fuzz.size &&
			command->length <= fuzz.size - command->offset);
	if (find_fields(command->cdb, &fields) && !command->length && opcode != 0x41 &&
	    opcode != 0x93)
		return;
	if (is_write(opcode)) {
		fuzz_demand(command->room == command->length);
		memcpy(at, command->out, command->length);
	} else if (opcode == 0x8b) {
		fuzz_demand(command->room == command->length);
		for (uint64_t i = 0; i < command->length; i++)
			at[i] |= command->out[i];
	} else if (opcode == 0x89) {
		fuzz_demand(command->room == 2 * command->length);
		fuzz_demand(memcmp(at, command->out, command->length) == 0);
		memcpy(at, command->out + command->length, command->length);
	} else if (opcode == 0x41 || opcode == 0x93) {
		model_write_same(command);
	} else if (opcode == 0x42) {
		model_unmap(command);
	}
}

static void check_read(const struct command *command)
{
	uint64_t length = command->length < command->room ? command->length : command->room;

	fuzz_demand(command->answer->has_read_len && command->answer->read_len == length);
	fuzz_demand(memcmp(command->in, fuzz.model + command->offset, length) == 0);
}

/* Data that a volatile cache may lose: none after a flush, nor after a write with FUA. */
static void check_stable(const struct command *command)
{
	uint8_t opcode = command->cdb[0];
	bool flush = opcode == 0x35 || opcode == 0x91;
	bool fua = (is_write(opcode) || opcode == 0x89) && opcode != 0x0a && opcode != 0x2e &&
		opcode != 0x8e && opcode != 0xae && (command->cdb[1] & 0x08) && command->length;

	if ((flush || fua) && !(fuzz.unit.flags & UNIT_NO_FLUSH))
		fuzz_demand(!fuzz.dirty);
}

/* SPC-4 4.5: fixed format, or descriptors that end where they should. */
static void check_sense(const uint8_t *sense)
{
	unsigned end = 8u + sense[7];

	fuzz_demand(sense[0] == 0x70 || sense[0] == 0xf0 || sense[0] == 0x72);
	fuzz_demand(end <= sizeof(((struct tcmu_scsi_command *) NULL)->sense));
	if (sense[0] == 0x72) {
		unsigned at = 8;

		fuzz_demand((sense[1] & 0x0f) != 0);
		while (at < end) {
			fuzz_demand(at + 2 <= end);
			at += 2u + sense[at + 1];
		}
		fuzz_demand(at == end);
	} else {
		fuzz_demand((sense[2] & 0x0f) != 0 && sense[7] >= 10);
	}
}

static void check_answer(const struct command *command)
{
	static const uint8_t none[sizeof(((struct tcmu_scsi_command *) NULL)->sense)];
	const struct tcmu_scsi_command *answer = command->answer;

	switch (answer->status) {
	case GOOD:
		break;
	case CONDITION:
		check_sense(answer->sense);
		break;
	case 0x08: /* BUSY */
	case 0x18: /* RESERVATION CONFLICT */
	case 0x40: /* TASK ABORTED */
		fuzz_demand(fuzz.failed);
		break;
	default:
		abort();
	}
	if (answer->status != CONDITION)
		fuzz_demand(memcmp(answer->sense, none, sizeof(none)) == 0);
	if (answer->status != GOOD)
		fuzz_demand(!answer->has_read_len && answer->read_len == 0);
	fuzz_demand(answer->read_len <= command->room);
	__msan_check_mem_is_initialized(command->in, answer->read_len);
	if (fuzz.failed) { /* what has been written before counts */
		memcpy(fuzz.model, fuzz.store, sizeof(fuzz.model));
		fuzz_demand(answer->status != GOOD || fuzz.error == -EOPNOTSUPP);
		return;
	}
	if (answer->status == GOOD) {
		model_good(command);
		check_stable(command);
		if (command->cdb[0] == 0x08 || command->cdb[0] == 0x28 || command->cdb[0] == 0x88 ||
		    command->cdb[0] == 0xa8)
			if (command->length)
				check_read(command);
	}
	fuzz_demand(memcmp(fuzz.store, fuzz.model, sizeof(fuzz.store)) == 0);
}

/* ------- commands ------- */

/* Cuts room bytes into pieces. */
static unsigned make_pieces(struct iovec *pieces, const struct record *record, uint64_t room)
{
	unsigned cuts = (record->flags & RECORD_PIECES) >> 3, cnt = 0;

	while (room) {
		uint64_t length = cnt < cuts ? (room * record->cut >> 8) | 1 : room;

		fuzz_demand(cnt < PIECES);
		pieces[cnt].iov_base = malloc(length);
		fuzz_demand(pieces[cnt].iov_base);
		pieces[cnt++].iov_len = length;
		room -= length;
	}
	return cnt;
}

/* Copies between the pieces and data. */
static void move_pieces(const struct iovec *pieces, unsigned cnt, uint8_t *data, bool fill)
{
	for (unsigned i = 0; i < cnt; data += pieces[i++].iov_len) {
		if (fill)
			memcpy(pieces[i].iov_base, data, pieces[i].iov_len);
		else
			memcpy(data, pieces[i].iov_base, pieces[i].iov_len);
	}
}

static uint8_t length_of_cdb(uint8_t opcode)
{
	static const uint8_t lengths[8] = {6, 10, 10, 16, 16, 12, 16, 16};

	return lengths[opcode >> 5];
}

static void make_cdb(const struct record *record, struct command *command)
{
	const struct scsi_operation *operation = scsi_operation_at(record->operation - 1u);
	uint8_t *cdb = command->cdb;
	struct fields fields;

	memcpy(cdb, record->cdb, sizeof(command->cdb));
	if (record->operation && operation) {
		cdb[0] = operation->opcode;
		if (operation->has_action)
			cdb[1] = (uint8_t) ((cdb[1] & 0xe0) | operation->action);
		for (unsigned i = 2; i < operation->cdb_length; i++)
			cdb[i] &= operation->usage[i];
	}
	command->cdb_length = length_of_cdb(cdb[0]);
	if ((record->flags & RECORD_FITS) && find_fields(cdb, &fields)) {
		uint64_t blocks = fuzz.size / fuzz.block,
			 lba = cdb[fields.lba + fields.lba_bytes - 1];
		uint64_t count = cdb[fields.count + fields.count_bytes - 1] % 9;

		lba %= blocks;
		if (fields.lba_bytes == 3)
			count = count ? count : 1;
		if (count > blocks - lba)
			count = blocks - lba;
		write_number(cdb + fields.lba, fields.lba_bytes, lba);
		write_number(cdb + fields.count, fields.count_bytes, count);
	}
	read_blocks(command);
}

/* The room for data-in is left uninitialised: the library does not read it. */
static bool has_data_in(const uint8_t *cdb)
{
	switch (cdb[0]) {
	case 0x03: /* REQUEST SENSE, READ(6), INQUIRY, MODE SENSE(6), READ CAPACITY(10), READ(10) */
	case 0x08:
	case 0x12:
	case 0x1a:
	case 0x25:
	case 0x28:
	case 0x5a: /* MODE SENSE(10), READ(16), SERVICE ACTION IN, REPORT LUNS, READ(12) */
	case 0x88:
	case 0x9e:
	case 0xa0:
	case 0xa8:
		return true;
	default:
		return false;
	}
}

static void run_command(const struct record *record, const uint8_t *out)
{
	static uint8_t data[ROOM_MAX], in[ROOM_MAX];
	struct command command = {.room = read_number(record->room, 2), .out = data, .in = in};
	struct iovec pieces[PIECES];
	struct tcmu_scsi_command answer = {.size = sizeof(answer), .iov = pieces};
	bool data_in;
	uint8_t *cdb;

	make_cdb(record, &command);
	if (record->flags & RECORD_EXACT)
		command.room = data_length(&command);
	if (command.room > ROOM_MAX)
		command.room = ROOM_MAX;
	memset(data, record->value, command.room);
	memcpy(data, out, record->out_length < command.room ? record->out_length : command.room);
	if ((record->flags & RECORD_MEETS) && command.offset + command.length <= fuzz.size &&
	    command.length <= command.room)
		memcpy(data, fuzz.model + command.offset, command.length);
	cdb = malloc(command.cdb_length);
	fuzz_demand(cdb);
	memcpy(cdb, command.cdb, command.cdb_length);
	answer.cdb = cdb;
	answer.cdb_length = command.cdb_length;
	answer.iov_cnt = make_pieces(pieces, record, command.room);
	data_in = has_data_in(cdb);
	if (!data_in)
		move_pieces(pieces, answer.iov_cnt, data, true);
	fuzz.failed = false;
	memset(answer.sense, 0xee, sizeof(answer.sense));
	tcmu_scsi_execute(fuzz.scsi, &answer);
	move_pieces(pieces, answer.iov_cnt, in, false);
	/* Data-out is the initiator's. */
	fuzz_demand(data_in || answer.has_read_len || memcmp(in, data, command.room) == 0);
	command.answer = &answer;
	check_answer(&command);
	for (unsigned i = 0; i < answer.iov_cnt; i++)
		free(pieces[i].iov_base);
	free(cdb);
}

static void run_record(const struct record *record, const uint8_t *out)
{
	uint64_t size;

	switch (record->kind % KINDS) {
	case KIND_FAIL:
		fuzz.calls_to_failure = 1u + record->value / 16;
		fuzz.error = errors[record->value % 16];
		break;
	case KIND_RESIZE:
		size = (1u + record->value % (STORE_SIZE / fuzz.block)) * fuzz.block;
		fuzz_demand(tcmu_scsi_resize(fuzz.scsi, size) == 0);
		fuzz_demand(tcmu_scsi_size(fuzz.scsi) == size);
		fuzz.size = size;
		break;
	default:
		run_command(record, out);
		break;
	}
}

/* ------- an input ------- */

static void make_disk(void)
{
	uint8_t flags = fuzz.unit.flags;
	struct tcmu_scsi_store functions = {
		.size = sizeof(functions),
		.read = store_read,
		.write = flags & UNIT_READ_ONLY ? NULL : store_write,
		.flush = flags & UNIT_NO_FLUSH ? NULL : store_flush,
		.unmap = flags & UNIT_NO_UNMAP ? NULL : store_unmap,
		.map = flags & UNIT_NO_MAP ? NULL : store_map,
	};
	struct tcmu_scsi_setup setup = {
		.size = sizeof(setup), .config = "fuzz/disk", .serial = "1"};

	fuzz.block = flags & UNIT_BIG_BLOCKS ? 4096 : 512;
	fuzz.size = STORE_SIZE - fuzz.unit.blocks % (STORE_SIZE / fuzz.block) * fuzz.block;
	setup.block_size = fuzz.block;
	setup.disk_size = fuzz.size;
	setup.max_blocks = 1u + fuzz.unit.max_blocks;
	setup.physical_block = flags & UNIT_BIG_SECTOR ? 4096 : 0;
	setup.unmap_granularity = fuzz.unit.granularity % 9 * fuzz.block;
	setup.read_only = flags & UNIT_READ_ONLY;
	setup.rotational = flags & UNIT_ROTATIONAL;
	fuzz_demand(tcmu_scsi_new(&setup, &functions, NULL, &fuzz.scsi) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < sizeof(fuzz.unit))
		return 0;
	memcpy(&fuzz.unit, data, sizeof(fuzz.unit));
	data += sizeof(fuzz.unit);
	size -= sizeof(fuzz.unit);
	for (unsigned i = 0; i < STORE_SIZE; i++)
		fuzz.store[i] = (uint8_t) (i * 7 + i / 512);
	memcpy(fuzz.model, fuzz.store, sizeof(fuzz.model));
	fuzz.calls_to_failure = 0;
	fuzz.dirty = false;
	make_disk();
	while (size >= sizeof(struct record)) {
		struct record record;

		memcpy(&record, data, sizeof(record));
		data += sizeof(record);
		size -= sizeof(record);
		if (record.out_length > size)
			record.out_length = (uint8_t) size;
		run_record(&record, data);
		data += record.out_length;
		size -= record.out_length;
	}
	tcmu_scsi_free(fuzz.scsi);
	return 0;
}
