/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of operations, and all code that follows from it: dispatch, the check of reserved
 * bits, REPORT SUPPORTED OPERATION CODES, names.
 *
 * A bit is in an entry's usage mask if this device server evaluates or ignores it. Every other
 * bit must be zero and is refused with a pointer to it (SPC-4 4.2.1, 4.5.2.4.2). The masks leave
 * out the fields of unsupported features, such as protection information. GROUP NUMBER is
 * ignored: it groups statistics, which are optional. Entries are sorted by operation code and
 * service action.
 */
#include <scsi/optable.h>

#include <assert.h>
#include <errno.h>
#include <scsi/scsi.h>
#include <string.h>

#include "alua.h"
#include "bytes.h"
#include "format.h"
#include "log.h"
#include "lu.h"
#include "mode.h"
#include "sbc.h"
#include "sense.h"
#include "spc.h"
#include "xcopy.h"

#define X2    0xff, 0xff
#define X3    0xff, X2
#define X4    X2, X2
#define X8    X4, X4
#define Z2    0, 0
#define Z3    0, Z2
#define Z4    Z2, Z2
#define GROUP 0x1f

/* change: of enum scsi_effect. Each entry names one. */
#define ENTRY(code, has_sa, sa, size, title, change, fn, options, ...) \
	{ \
		.operation = \
			{.opcode = (code), \
			 .has_action = (has_sa), \
			 .action = (sa), \
			 .cdb_length = (size), \
			 .by_target_core = !!(ENTRY_KERNEL & (options)), \
			 .effect = SCSI_EFFECT_##change, \
			 .name = (title), \
			 .usage = {(code), __VA_ARGS__}}, \
		.flags = (options), .function = (fn), \
	}
#define OP(code, size, title, change, fn, options, ...) \
	ENTRY(code, false, 0, size, title, change, fn, options, __VA_ARGS__)
/* bits: further bits of byte 1 */
#define SA_FLAGS(code, sa, bits, size, title, change, fn, options, ...) \
	ENTRY(code, true, sa, size, title, change, fn, options, (sa) | (bits), __VA_ARGS__)
#define SA(code, sa, size, title, change, fn, options, ...) \
	SA_FLAGS(code, sa, 0, size, title, change, fn, options, __VA_ARGS__)

#define RESERVATION (ENTRY_KERNEL | ENTRY_RESERVATION)
#define WRITES      ENTRY_WRITES
#define SANITIZES   (ENTRY_WRITES | ENTRY_GUARD | ENTRY_FORMAT | ENTRY_SANITIZE)
#define ANYTIME     ENTRY_ANYTIME
#define ALWAYS      (ENTRY_ANYTIME | ENTRY_BEFORE_UA)
#define GROUPS      (ENTRY_ANYTIME | ENTRY_GROUPS | ENTRY_LU_INFO)

static scsi_function report_operation_codes;

/* clang-format off */
static const struct scsi_entry entries[] = {
	OP(0x00, 6, "TEST UNIT READY", NOTHING, scsi_test_unit_ready, 0, Z4, 0),
	OP(0x03, 6, "REQUEST SENSE", NOTHING, scsi_request_sense, ALWAYS, 0x01, Z2, 0xff, 0),
	OP(0x04, 6, "FORMAT UNIT", GUARDED, scsi_format_unit, WRITES | ENTRY_GUARD | ENTRY_FORMAT, 0x3f, Z3, 0),
	OP(0x08, 6, "READ(6)", NOTHING, scsi_read, 0, 0x1f, X3, 0),
	OP(0x0a, 6, "WRITE(6)", BY_DATA, scsi_write, WRITES, 0x1f, X3, 0),
	OP(0x12, 6, "INQUIRY", NOTHING, scsi_inquiry, ALWAYS, 0x01, X3, 0),
	OP(0x15, 6, "MODE SELECT(6)", BY_DATA, scsi_mode_select, ENTRY_SAVE_BIT, 0x11, Z2, 0xff, 0),
	OP(0x16, 6, "RESERVE(6)", CORE, NULL, RESERVATION, Z4, 0),
	OP(0x17, 6, "RELEASE(6)", CORE, NULL, RESERVATION, Z4, 0),
	OP(0x1a, 6, "MODE SENSE(6)", NOTHING, scsi_mode_sense, ANYTIME, 0x08, X3, 0),
	OP(0x1b, 6, "START STOP UNIT", NOTHING, scsi_start_stop_unit, 0, 0x01, Z2, 0x05, 0),
	OP(0x1c, 6, "RECEIVE DIAGNOSTIC RESULTS", NOTHING, scsi_receive_diagnostic, 0, 0x01, X3, 0),
	OP(0x1d, 6, "SEND DIAGNOSTIC", NOTHING, scsi_send_diagnostic, 0, 0x17, 0, X2, 0),
	OP(0x1e, 6, "PREVENT ALLOW MEDIUM REMOVAL", NOTHING, scsi_prevent_allow, 0, Z3, 0x01, 0),
	OP(0x25, 10, "READ CAPACITY(10)", NOTHING, scsi_read_capacity_10, ANYTIME, 0, X4, Z2, 0x01, 0),
	OP(0x28, 10, "READ(10)", NOTHING, scsi_read, 0, 0x18, X4, GROUP, X2, 0),
	OP(0x2a, 10, "WRITE(10)", BY_DATA, scsi_write, WRITES, 0x18, X4, GROUP, X2, 0),
	OP(0x2e, 10, "WRITE AND VERIFY(10)", BY_DATA, scsi_write_and_verify, WRITES, 0x12, X4, GROUP, X2, 0),
	OP(0x2f, 10, "VERIFY(10)", NOTHING, scsi_verify, 0, 0x16, X4, GROUP, X2, 0),
	OP(0x34, 10, "PRE-FETCH(10)", NOTHING, scsi_prefetch, 0, 0x02, X4, GROUP, X2, 0),
	OP(0x35, 10, "SYNCHRONIZE CACHE(10)", NOTHING, scsi_synchronize_cache, 0, 0x02, X4, GROUP, X2, 0),
	OP(0x37, 10, "READ DEFECT DATA(10)", NOTHING, scsi_read_defect_data, 0, 0, 0x1f, Z4, X2, 0),
	OP(0x41, 10, "WRITE SAME(10)", BY_DATA, scsi_write_same, WRITES | ENTRY_UNMAP_BIT, 0x08, X4, GROUP, X2, 0),
	OP(0x42, 10, "UNMAP", BY_DATA, scsi_unmap, WRITES | ENTRY_UNMAP, 0, Z4, GROUP, X2, 0),
	SA_FLAGS(0x48, 0x01, 0xa0, 10, "SANITIZE, OVERWRITE", GUARDED, scsi_sanitize_overwrite, SANITIZES, Z4, 0, X2, 0),
	SA_FLAGS(0x48, 0x02, 0xa0, 10, "SANITIZE, BLOCK ERASE", GUARDED, scsi_sanitize_block_erase, SANITIZES, Z4, 0, Z2, 0),
	SA(0x48, 0x1f, 10, "SANITIZE, EXIT FAILURE MODE", GUARDED, scsi_sanitize_exit_failure, SANITIZES, Z4, 0, Z2, 0),
	OP(0x4d, 10, "LOG SENSE", NOTHING, scsi_log_sense, ANYTIME, 0, X2, 0, X4, 0),
	OP(0x55, 10, "MODE SELECT(10)", BY_DATA, scsi_mode_select, ENTRY_SAVE_BIT, 0x11, Z4, 0, X2, 0),
	OP(0x56, 10, "RESERVE(10)", CORE, NULL, RESERVATION, Z4, Z2, X2, 0),
	OP(0x57, 10, "RELEASE(10)", CORE, NULL, RESERVATION, Z4, Z2, X2, 0),
	OP(0x5a, 10, "MODE SENSE(10)", NOTHING, scsi_mode_sense, ANYTIME, 0x18, X2, Z3, X2, 0),
	SA(0x5e, 0x00, 10, "PERSISTENT RESERVE IN, READ KEYS", CORE, NULL, RESERVATION, Z4, 0, X2, 0),
	SA(0x5e, 0x01, 10, "PERSISTENT RESERVE IN, READ RESERVATION", CORE, NULL, RESERVATION, Z4, 0, X2, 0),
	SA(0x5e, 0x02, 10, "PERSISTENT RESERVE IN, REPORT CAPABILITIES", CORE, NULL, RESERVATION, Z4, 0, X2, 0),
	SA(0x5e, 0x03, 10, "PERSISTENT RESERVE IN, READ FULL STATUS", CORE, NULL, RESERVATION, Z4, 0, X2, 0),
	SA(0x5f, 0x00, 10, "PERSISTENT RESERVE OUT, REGISTER", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x5f, 0x01, 10, "PERSISTENT RESERVE OUT, RESERVE", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x5f, 0x02, 10, "PERSISTENT RESERVE OUT, RELEASE", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x5f, 0x03, 10, "PERSISTENT RESERVE OUT, CLEAR", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x5f, 0x04, 10, "PERSISTENT RESERVE OUT, PREEMPT", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x5f, 0x05, 10, "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x5f, 0x06, 10, "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x5f, 0x07, 10, "PERSISTENT RESERVE OUT, REGISTER AND MOVE", CORE, NULL, RESERVATION, 0xff, Z2, X4, 0),
	SA(0x83, 0x00, 16, "EXTENDED COPY(LID1)", BY_DATA, scsi_extended_copy, ENTRY_XCOPY, Z4, Z4, X4, Z2),
	SA(0x83, 0x01, 16, "EXTENDED COPY(LID4)", BY_DATA, scsi_extended_copy, ENTRY_XCOPY, Z4, Z4, X4, Z2),
	SA(0x83, 0x1c, 16, "COPY OPERATION ABORT", GUARDED, scsi_copy_operation_abort, ENTRY_XCOPY | ENTRY_GUARD, X4, Z4, Z4, Z2),
	SA(0x84, 0x00, 16, "RECEIVE COPY STATUS(LID1)", NOTHING, scsi_receive_copy_status_lid1, ENTRY_XCOPY, 0xff, Z3, Z4, X4, Z2),
	SA(0x84, 0x03, 16, "RECEIVE COPY OPERATING PARAMETERS", NOTHING, scsi_receive_copy_parameters, ENTRY_XCOPY | ANYTIME, 0xff, Z3, Z4, X4, Z2),
	SA(0x84, 0x05, 16, "RECEIVE COPY STATUS(LID4)", NOTHING, scsi_receive_copy_status_lid4, ENTRY_XCOPY, X4, Z4, X4, Z2),
	OP(0x88, 16, "READ(16)", NOTHING, scsi_read, 0, 0x18, X8, X4, GROUP, 0),
	OP(0x89, 16, "COMPARE AND WRITE", BY_DATA, scsi_compare_and_write, WRITES | ENTRY_COMPARE, 0x18, X8, Z3, 0xff, GROUP, 0),
	OP(0x8a, 16, "WRITE(16)", BY_DATA, scsi_write, WRITES, 0x18, X8, X4, GROUP, 0),
	OP(0x8b, 16, "ORWRITE(16)", BY_DATA, scsi_orwrite, WRITES, 0x18, X8, X4, GROUP, 0),
	OP(0x8e, 16, "WRITE AND VERIFY(16)", BY_DATA, scsi_write_and_verify, WRITES, 0x12, X8, X4, GROUP, 0),
	OP(0x8f, 16, "VERIFY(16)", NOTHING, scsi_verify, 0, 0x16, X8, X4, GROUP, 0),
	OP(0x90, 16, "PRE-FETCH(16)", NOTHING, scsi_prefetch, 0, 0x02, X8, X4, GROUP, 0),
	OP(0x91, 16, "SYNCHRONIZE CACHE(16)", NOTHING, scsi_synchronize_cache, 0, 0x02, X8, X4, GROUP, 0),
	OP(0x93, 16, "WRITE SAME(16)", BY_DATA, scsi_write_same, WRITES | ENTRY_UNMAP_BIT | ENTRY_NDOB_BIT, 0x09, X8, X4, GROUP, 0),
	OP(0x9c, 16, "WRITE ATOMIC(16)", BY_DATA, scsi_write_atomic, WRITES | ENTRY_ATOMIC, 0x18, X8, Z2, X2, GROUP, 0),
	SA(0x9e, 0x10, 16, "READ CAPACITY(16)", NOTHING, scsi_read_capacity_16, ANYTIME, X8, X4, 0x01, 0),
	SA(0x9e, 0x12, 16, "GET LBA STATUS", NOTHING, scsi_get_lba_status, 0, X8, X4, Z2),
	OP(0xa0, 12, "REPORT LUNS", CORE, NULL, ENTRY_KERNEL | ENTRY_BEFORE_UA, 0, 0xff, Z3, X4, Z2),
	SA_FLAGS(0xa3, 0x0a, 0x20, 12, "REPORT TARGET PORT GROUPS", NOTHING, scsi_report_port_groups, GROUPS, Z4, X4, Z2),
	SA(0xa3, 0x0c, 12, "REPORT SUPPORTED OPERATION CODES", NOTHING, report_operation_codes, ANYTIME | ENTRY_LU_INFO, 0x87, X3, X4, Z2),
	SA(0xa3, 0x0d, 12, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", NOTHING, scsi_report_task_management, ANYTIME, 0x80, Z3, X4, Z2),
	SA(0xa3, 0x0f, 12, "REPORT TIMESTAMP", NOTHING, scsi_report_timestamp, ANYTIME | ENTRY_CLOCK, Z4, X4, Z2),
	SA(0xa4, 0x0a, 12, "SET TARGET PORT GROUPS", BY_DATA, scsi_set_port_groups, GROUPS | ENTRY_EXPLICIT, Z4, X4, Z2),
	OP(0xa8, 12, "READ(12)", NOTHING, scsi_read, 0, 0x18, X8, GROUP, 0),
	OP(0xaa, 12, "WRITE(12)", BY_DATA, scsi_write, WRITES, 0x18, X8, GROUP, 0),
	OP(0xae, 12, "WRITE AND VERIFY(12)", BY_DATA, scsi_write_and_verify, WRITES, 0x12, X8, GROUP, 0),
	OP(0xaf, 12, "VERIFY(12)", NOTHING, scsi_verify, 0, 0x16, X8, GROUP, 0),
	OP(0xb7, 12, "READ DEFECT DATA(12)", NOTHING, scsi_read_defect_data, 0, 0x1f, X8, Z2),
};
/* clang-format on */

#define ENTRY_CNT (sizeof(entries) / sizeof(entries[0]))

/* ------- look-up ------- */

/* For each operation code the number of its first entry, counted from 1; 0: there is none. */
static uint8_t first_entries[UINT8_MAX + 1];

_Static_assert(ENTRY_CNT < UINT8_MAX, "an entry's number is a byte");

/* Each command is looked up, so the table has an index. */
__attribute__((constructor)) static void index_entries(void)
{
	for (size_t i = ENTRY_CNT; i > 0; i--)
		first_entries[entries[i - 1].operation.opcode] = (uint8_t) i;
}

/* The first entry of an operation code, or NULL. */
static const struct scsi_entry *first_entry(uint8_t opcode)
{
	unsigned number = first_entries[opcode];

	return number ? &entries[number - 1] : NULL;
}

/* The entry of a service action, from the first one of its operation code; or NULL. */
static const struct scsi_entry *action_entry(const struct scsi_entry *first, unsigned action)
{
	assert(first >= entries && first < entries + ENTRY_CNT);
	for (const struct scsi_entry *entry = first; entry < entries + ENTRY_CNT; entry++) {
		if (entry->operation.opcode != first->operation.opcode)
			break;
		if (entry->operation.action == action)
			return entry;
	}
	return NULL;
}

/* These flags decide whether a logical unit supports an entry, and which bits of byte 1 it has. */
#define ENTRY_NEEDS \
	(ENTRY_RESERVATION | ENTRY_UNMAP | ENTRY_COMPARE | ENTRY_ATOMIC | ENTRY_GUARD | \
	 ENTRY_CLOCK | ENTRY_XCOPY | ENTRY_GROUPS | ENTRY_EXPLICIT)
#define ENTRY_LU_BITS (ENTRY_UNMAP_BIT | ENTRY_SAVE_BIT | ENTRY_NDOB_BIT)

static bool entry_present(const struct scsi_lu *lu, const struct scsi_entry *entry)
{
	const struct {
		uint32_t flag;
		bool there;
	} needs[] = {
		{ENTRY_RESERVATION, !lu->no_reservations},
		{ENTRY_UNMAP, lu->unmap},
		{ENTRY_COMPARE, lu->max_compare_and_write != 0},
		{ENTRY_ATOMIC, lu->max_atomic != 0},
		{ENTRY_GUARD, lu->dataless},
		{ENTRY_CLOCK, lu->has_clock},
		{ENTRY_XCOPY, lu->max_xcopies != 0},
		{ENTRY_GROUPS, lu->has_port_groups},
		{ENTRY_EXPLICIT, scsi_lu_access(lu) & SCSI_ACCESS_EXPLICIT},
	};

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if ((entry->flags & needs[i].flag) && !needs[i].there)
			return false;
	return true;
}

/* Whether an operation code, given by its first entry, is supported with any service action. */
static bool opcode_present(const struct scsi_lu *lu, const struct scsi_entry *first)
{
	for (const struct scsi_entry *entry = first; entry < entries + ENTRY_CNT; entry++) {
		if (entry->operation.opcode != first->operation.opcode)
			break;
		if (entry_present(lu, entry))
			return true;
	}
	return false;
}

/* The bits of CDB byte 1 that are in the usage mask and that this logical unit does not have. */
static uint8_t absent_bits(const struct scsi_lu *lu, const struct scsi_entry *entry)
{
	uint8_t absent = 0;

	if ((entry->flags & ENTRY_UNMAP_BIT) && !lu->unmap)
		absent |= 0x08;
	if ((entry->flags & ENTRY_SAVE_BIT) && !scsi_lu_can_save(lu))
		absent |= 0x01;
	if ((entry->flags & ENTRY_NDOB_BIT) && !lu->dataless)
		absent |= 0x01;
	return absent;
}

const struct scsi_operation *scsi_operation_at(unsigned i)
{
	return i < ENTRY_CNT ? &entries[i].operation : NULL;
}

bool scsi_operation_supported(const struct scsi_lu *lu, const struct scsi_operation *operation)
{
	assert(operation >= &entries[0].operation &&
	       operation <= &entries[ENTRY_CNT - 1].operation);
	return entry_present(lu, (const struct scsi_entry *) operation);
}

const char *scsi_opcode_name(const uint8_t *cdb)
{
	const struct scsi_entry *entry = first_entry(cdb[0]);

	if (entry && entry->operation.has_action)
		entry = action_entry(entry, cdb[1] & 0x1f);
	return entry ? entry->operation.name : "unknown";
}

/* Counters ask for it once for each command: a switch is faster than a search of the table. */
enum scsi_class scsi_cdb_class(const uint8_t *cdb)
{
	switch (cdb[0]) {
	case 0x08:
	case 0x28:
	case 0x88:
	case 0xa8:
		return SCSI_CLASS_READ;
	case 0x0a:
	case 0x2a:
	case 0x2e:
	case 0x41:
	case 0x89:
	case 0x8a:
	case 0x8b:
	case 0x8e:
	case 0x93:
	case 0x9c:
	case 0xaa:
	case 0xae:
		return SCSI_CLASS_WRITE;
	case 0x35:
	case 0x91:
		return SCSI_CLASS_FLUSH;
	case 0x42:
		return SCSI_CLASS_UNMAP;
	default:
		return SCSI_CLASS_OTHER;
	}
}

/* ------- dispatch ------- */

static enum scsi_verdict refuse_write(struct scsi_call *call)
{
	assert(scsi_lu_write_protected(call->lu));
	return scsi_refuse(
		call, call->lu->read_only ? SENSE_WRITE_PROTECTED : SENSE_SOFTWARE_WRITE_PROTECTED);
}

void scsi_guard_end(int error, struct scsi_result *result)
{
	assert(error <= 0);
	if (error == -EBUSY)
		result->status = SCSI_RESERVATION_CONFLICT;
	else if (error == -EAGAIN || error == -ESHUTDOWN)
		result->status = SCSI_BUSY;
	else if (error == -ENODEV)
		scsi_plan_end(result, SENSE(KEY_COPY_ABORTED, 0x0d, 0x02));
	else
		scsi_plan_end(result, error ? SENSE_WRITE_PROTECTED : 0);
}

/* An operation code that is not supported; or one that is, with a service action that is not
 * (SPC-4 4.2.1). first: the first entry of the operation code, or NULL. */
static enum scsi_verdict refuse_unsupported(struct scsi_call *call, const struct scsi_entry *first)
{
	if (!first || (first->flags & ENTRY_KERNEL) || !opcode_present(call->lu, first))
		return scsi_refuse_opcode(call);
	return scsi_refuse_cdb(call, 1, 4);
}

/* Whether the CDB has a bit that must be zero. Its first and its last bytes are compared as one
 * word each; the words overlap in the middle. */
static bool has_reserved(const struct scsi_call *call)
{
	const uint8_t *cdb = call->cdb, *usage = call->entry->operation.usage;
	unsigned length = call->cdb_length;

	assert(cdb[0] == usage[0] && length <= sizeof(call->entry->operation.usage));
	if (length == 6)
		return (get_be32(cdb) & ~get_be32(usage)) ||
			(get_be32(cdb + 2) & ~get_be32(usage + 2));
	assert(length >= 10);
	return (get_be64(cdb) & ~get_be64(usage)) ||
		(get_be64(cdb + length - 8) & ~get_be64(usage + length - 8));
}

/* Refuses the first bit of the CDB that must be zero. absent: such bits of byte 1, beside those
 * that are not in the usage mask. */
static enum scsi_verdict refuse_reserved(struct scsi_call *call, uint8_t absent)
{
	const uint8_t *usage = call->entry->operation.usage;
	uint8_t bad = call->cdb[1] & ((uint8_t) ~usage[1] | absent);
	unsigned i = 1;

	while (!bad && ++i < call->cdb_length)
		bad = call->cdb[i] & (uint8_t) ~usage[i];
	assert(bad);
	return scsi_refuse_cdb(call, i, scsi_highest_bit(bad));
}

/* Whether the command changes something without data-out. The target core lets such a command
 * pass a write-protected mapping, and a Write Exclusive reservation of another initiator: it checks
 * the direction of the data there. */
static bool acts_without_data(const struct scsi_call *call)
{
	uint32_t flags = call->entry->flags;

	return (flags & ENTRY_GUARD) || ((flags & ENTRY_NDOB_BIT) && (call->cdb[1] & 0x01));
}

/* Runs a command that this device server supports. A busy medium (SBC-3 4.11) and write protection
 * come before the check of reserved bits: a read-only disk has no UNMAP bit, and WRITE SAME with
 * UNMAP must not be refused for that reason. */
static enum scsi_verdict check_and_run(struct scsi_call *call)
{
	const struct scsi_entry *entry = call->entry;
	const struct scsi_lu *lu = call->lu;
	uint32_t flags = entry->flags;
	uint8_t absent = flags & ENTRY_LU_BITS ? absent_bits(lu, entry) : 0;

	assert(entry->function);
	call->cdb_length = entry->operation.cdb_length;
	if (call->task->cdb_length < call->cdb_length)
		return scsi_refuse_cdb(call, call->task->cdb_length, NO_BIT);
	if (!(flags & ENTRY_ANYTIME) &&
	    (lu->not_ready || lu->long_operation ||
	     (lu->sanitize_failed && !(flags & ENTRY_SANITIZE)) ||
	     (lu->format_failed && !(flags & ENTRY_FORMAT))))
		return scsi_refuse_busy(call);
	if ((flags & ENTRY_WRITES) && scsi_lu_write_protected(lu))
		return refuse_write(call);
	if ((call->cdb[1] & absent) || has_reserved(call))
		return refuse_reserved(call, absent);
	if ((flags & (ENTRY_GUARD | ENTRY_NDOB_BIT)) && !lu->guard_passed &&
	    acts_without_data(call))
		return SCSI_NEEDS_GUARD;
	return entry->function(call);
}

enum scsi_verdict scsi_dispatch(
	struct scsi_lu *lu, const struct scsi_task *task, struct scsi_result *result)
{
	struct scsi_call call = {.lu = lu, .task = task, .cdb = task->cdb, .result = result};
	const struct scsi_entry *first = task->cdb_length ? first_entry(task->cdb[0]) : NULL;
	uint32_t flags;

	assert(result->data);
	result->status = SCSI_GOOD;
	result->save = false;
	result->data_length = 0;
	result->sense = (struct scsi_sense){0};
	call.entry = first;
	if (first && first->operation.has_action)
		call.entry = task->cdb_length > 1 ? action_entry(first, task->cdb[1] & 0x1f) : NULL;
	flags = call.entry ? call.entry->flags : 0;

	/* SAM-5 5.14: before any other check of the command. */
	if (lu->unit_attention && !(flags & ENTRY_BEFORE_UA) &&
	    scsi_take_unit_attention(lu, &result->sense)) {
		result->status = SCSI_CHECK_CONDITION;
		return SCSI_ANSWERED;
	}
	if ((flags & ENTRY_LU_INFO) && !lu->lu_info_fresh)
		return SCSI_NEEDS_LU_INFO;
	if (!call.entry || (flags & ENTRY_KERNEL) ||
	    ((flags & ENTRY_NEEDS) && !entry_present(lu, call.entry)))
		return refuse_unsupported(&call, first);
	return check_and_run(&call);
}

bool scsi_writes(const uint8_t *cdb, uint8_t cdb_length)
{
	const struct scsi_entry *entry = cdb_length ? first_entry(cdb[0]) : NULL;

	if (entry && entry->operation.has_action)
		entry = cdb_length > 1 ? action_entry(entry, cdb[1] & 0x1f) : NULL;
	assert(!entry || entry->operation.opcode == cdb[0]);
	return entry && (entry->flags & ENTRY_WRITES);
}

/* ------- REPORT SUPPORTED OPERATION CODES (SPC-4 6.35) ------- */

#define RSOC_ALL         0
#define RSOC_OPCODE      1
#define RSOC_ACTION      2
#define RSOC_EITHER      3
#define TIMEOUTS_LENGTH  12u
#define SUPPORT_NONE     0x01
#define SUPPORT_STANDARD 0x03

/* The command timeouts descriptor; its zeros mean that no timeouts are specified. */
static unsigned put_timeouts(uint8_t *p)
{
	memset(p, 0, TIMEOUTS_LENGTH);
	put_be16(p, TIMEOUTS_LENGTH - 2);
	return TIMEOUTS_LENGTH;
}

static enum scsi_verdict report_all(struct scsi_call *call, bool timeouts, uint32_t allocation)
{
	uint8_t *data = call->result->data;
	unsigned length = 4;

	for (size_t i = 0; i < ENTRY_CNT; i++) {
		const struct scsi_operation *operation = &entries[i].operation;
		uint8_t *p = data + length;

		if (!entry_present(call->lu, &entries[i]))
			continue;
		memset(p, 0, 8);
		p[0] = operation->opcode;
		p[3] = operation->action;
		p[5] = (timeouts ? 0x02 : 0) | (operation->has_action ? 0x01 : 0);
		put_be16(p + 6, operation->cdb_length);
		length += 8;
		if (timeouts)
			length += put_timeouts(data + length);
	}
	assert(length <= SCSI_DATA_MAX);
	put_be32(data, length - 4);
	return scsi_good_data(call, length, allocation);
}

/* entry: NULL if there is no such operation. */
static enum scsi_verdict report_one(
	struct scsi_call *call, const struct scsi_entry *entry, bool timeouts, uint32_t allocation)
{
	uint8_t *data = call->result->data;
	unsigned length = 4;

	assert(!entry || (entry >= entries && entry < entries + ENTRY_CNT));
	memset(data, 0, 4);
	if (!entry || !entry_present(call->lu, entry)) {
		data[1] = SUPPORT_NONE;
		return scsi_good_data(call, length, allocation);
	}
	data[1] = (timeouts ? 0x80 : 0) | SUPPORT_STANDARD;
	put_be16(data + 2, entry->operation.cdb_length);
	for (unsigned i = 0; i < entry->operation.cdb_length; i++)
		data[length++] = entry->operation.usage[i];
	data[4 + 1] &= (uint8_t) ~absent_bits(call->lu, entry);
	if (timeouts)
		length += put_timeouts(data + length);
	return scsi_good_data(call, length, allocation);
}

static enum scsi_verdict report_operation_codes(struct scsi_call *call)
{
	const uint8_t *cdb = call->cdb;
	bool timeouts = cdb[2] & 0x80;
	unsigned action = get_be16(cdb + 4);
	uint32_t allocation = get_be32(cdb + 6);
	const struct scsi_entry *entry = first_entry(cdb[3]);
	bool has_action = entry && entry->operation.has_action;

	switch (cdb[2] & 0x07) {
	case RSOC_ALL:
		return report_all(call, timeouts, allocation);
	case RSOC_OPCODE:
		if (has_action)
			return scsi_refuse_cdb(call, 3, NO_BIT);
		return report_one(call, entry, timeouts, allocation);
	case RSOC_ACTION:
		if (entry && !has_action)
			return scsi_refuse_cdb(call, 3, NO_BIT);
		return report_one(
			call, entry ? action_entry(entry, action) : NULL, timeouts, allocation);
	case RSOC_EITHER:
		/* Operation codes without service actions have the action 0 in the table. */
		return report_one(
			call, entry ? action_entry(entry, action) : NULL, timeouts, allocation);
	default:
		return scsi_refuse_cdb(call, 2, 2);
	}
}
