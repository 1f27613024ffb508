/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI as pure functions: a CDB and the properties of a logical unit in; a status, sense, data, or
 * a plan of I/O out.
 *
 * Nothing here knows the kernel, a handler or a thread. struct scsi_lu is owned by the caller;
 * scsi_dispatch() changes only its parts marked "state". Calls on one logical unit are serialised
 * by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_TASK_ABORTED = 0x40,
};

#define SCSI_SENSE_MAX             96
#define SCSI_UNMAP_DESCRIPTORS_MAX 32
#define SCSI_NAA_LENGTH            16
#define SCSI_XCOPY_CSCDS_MAX       16u
#define SCSI_XCOPY_SEGMENTS_MAX    32u
#define SCSI_XCOPIES_MAX           8u     /* at once */
#define SCSI_DATA_MAX              65536u /* the longest data-in of an emulated command */
#define SCSI_PORT_GROUPS_MAX       32u
#define SCSI_GROUP_PORTS_MAX       64u

/* SPC-4 4.5: what became of a command, before it is encoded. */
struct scsi_sense {
	uint8_t key;
	uint8_t asc;
	uint8_t ascq;
	bool info_valid;
	uint64_t info;     /* INFORMATION: an LBA, or an offset for a miscompare */
	bool field_valid;  /* SENSE KEY SPECIFIC: field pointer */
	bool field_in_cdb; /* C/D */
	bool bit_valid;
	uint8_t bit;
	uint16_t field;
	bool progress_valid; /* SENSE KEY SPECIFIC: progress indication */
	uint16_t progress;
};

/* Unit attentions that wait to be told, oldest reason first in the standard's order of precedence.
 */
#define SCSI_UA_RESET           (1u << 0) /* 29/00 */
#define SCSI_UA_MODE_PARAMETERS (1u << 1) /* 2A/01 */
#define SCSI_UA_CAPACITY        (1u << 2) /* 2A/09 */
#define SCSI_UA_INQUIRY_DATA    (1u << 3) /* 3F/03 */
#define SCSI_UA_THIN_THRESHOLD  (1u << 4) /* 38/07 */

/* Mode parameters that MODE SELECT can change. */
struct scsi_mode_values {
	bool write_cache;            /* WCE */
	bool descriptor_sense;       /* D_SENSE */
	bool software_write_protect; /* SWP */
};

/* What keeps the medium busy for long. */
enum scsi_long_operation {
	SCSI_LONG_NONE,
	SCSI_LONG_FORMAT,
	SCSI_LONG_SANITIZE,
};

/* A copy that is under way, or the status of one that has ended. */
struct scsi_xcopy_status {
	bool used;
	bool identified; /* by its list identifier */
	bool held;       /* its status is kept when it has ended */
	bool long_id;    /* EXTENDED COPY(LID4) */
	bool background; /* IMMED */
	bool running;
	uint32_t list_id;
	uint16_t segments;   /* that are done */
	uint16_t operations; /* reads and writes that have ended well, modulo 65536 */
	uint64_t bytes;      /* that were written */
	uint64_t number;     /* in the order of their beginning */
	uint8_t status;      /* how it ended: SCSI status and sense */
	struct scsi_sense sense;
};

/* Asymmetric access states of a target port group (SPC-4 6.37, table 300), as the field has them.
 */
enum scsi_access_state {
	SCSI_ACTIVE_OPTIMIZED = 0x0,
	SCSI_ACTIVE_NONOPTIMIZED = 0x1,
	SCSI_STANDBY = 0x2,
	SCSI_UNAVAILABLE = 0x3,
	SCSI_LBA_DEPENDENT = 0x4,
	SCSI_OFFLINE = 0xe,
	SCSI_TRANSITIONING = 0xf,
};

/* Why a medium cannot be used through this host: additional sense code qualifiers of ASC 04h
 * (SPC-4 5.15.2.4). */
#define SCSI_ASCQ_STANDBY     0x0b
#define SCSI_ASCQ_UNAVAILABLE 0x0c

/* Who may change a group's state; the bits of the field TPGS (SPC-4 6.6.2). */
#define SCSI_ACCESS_IMPLICIT 0x1 /* we */
#define SCSI_ACCESS_EXPLICIT 0x2 /* initiators, by SET TARGET PORT GROUPS */

/* A target port group (SPC-4 5.15.2), as its descriptor tells it. */
struct scsi_port_group {
	uint16_t id;
	uint8_t state;     /* enum scsi_access_state */
	uint8_t supported; /* states: byte 1 of the descriptor */
	uint8_t status;    /* STATUS CODE */
	uint8_t access;    /* SCSI_ACCESS_ bits */
	bool preferred;
	unsigned port_cnt;
	uint16_t ports[SCSI_GROUP_PORTS_MAX]; /* relative target port identifiers */
};

/* The ports that the logical unit can be reached through. Through which of them a command came is
 * not known; what follows `groups` is valid where it is the same for all that can be used. */
struct scsi_ports {
	unsigned group_cnt;
	struct scsi_port_group groups[SCSI_PORT_GROUPS_MAX];
	uint8_t transition_seconds; /* IMPLICIT TRANSITION TIME; 0: not told */
	bool group_known;
	uint16_t group; /* the port's group */
	bool port_known;
	uint16_t port;        /* its relative identifier */
	uint16_t tag;         /* of the target portal group, with an iscsi_name */
	char iscsi_name[224]; /* of the target; empty: not of iSCSI, or not known */
	bool shared; /* the owner has put ports in a group of his own: other hosts may serve the
			same medium */
	bool by_initiators;   /* with shared: initiators say which host serves it */
	uint16_t owner_group; /* with shared: the group of this host's ports; 0: none of them can be
				 used */
	bool lu_group_known;
	uint16_t lu_group; /* LOGICAL UNIT GROUP of VPD 83h */
};

/* What others set while the logical unit is served. */
struct scsi_lu_info {
	char serial[256]; /* configfs' unit serial */
	struct scsi_ports ports;
	bool has_saved; /* mode parameters that were saved for this serial */
	struct scsi_mode_values saved;
};

/* SET TARGET PORT GROUPS: groups in the order in which their states are to be changed. */
struct scsi_group_states {
	unsigned cnt;
	struct {
		uint16_t id;
		uint8_t state;
	} to[SCSI_PORT_GROUPS_MAX];
};

/* A logical unit as the SCSI code sees it. */
struct scsi_lu {
	/* identity */
	char vendor[9];   /* "LIO-ORG" */
	char product[17]; /* "TCMU device" */
	char revision[5];
	char serial[256]; /* configfs' unit serial */
	struct scsi_ports ports;
	bool lu_info_fresh; /* false: a command that tells the serial or the ports gets
				SCSI_NEEDS_LU_INFO first */
	char config[256];   /* "<subtype>/<config>": the vendor specific designator of VPD 83 */
	/* medium */
	uint64_t blocks;
	uint32_t block_size;
	uint8_t physical_exponent; /* logical blocks per physical block, as a power of two */
	bool rotational;
	bool read_only;
	/* provisioning and limits; blocks unless said */
	bool thin;         /* LBPME */
	bool unmap;        /* the backend can unmap */
	bool unmap_zeroes; /* LBPRZ */
	uint32_t max_transfer;
	uint32_t optimal_transfer;
	uint32_t optimal_granularity;
	uint32_t max_unmap;
	uint32_t unmap_granularity;
	uint32_t unmap_alignment;
	uint64_t max_write_same;
	uint8_t max_compare_and_write;
	bool has_map;        /* GET LBA STATUS comes from the backend; else everything is mapped */
	uint32_t max_atomic; /* blocks that a write stores all or none of, also when power fails; 0:
				none */
	uint32_t atomic_alignment;   /* of the address of such a write; 0: any */
	uint32_t atomic_granularity; /* of its length; 0: any */
	/* what the caller can do */
	bool can_format; /* plans with SCSI_PLAN_LONG: FORMAT UNIT and SANITIZE are there */
	bool can_save; /* keep `saved` for good when result->save says so: there is a serial to find
			  it by */
	bool has_clock;       /* task->time_ms is set: REPORT TIMESTAMP is there */
	unsigned max_xcopies; /* plans SCSI_PLAN_XCOPY at once, at most SCSI_XCOPIES_MAX; 0: no
				EXTENDED COPY */
	bool xcopy_to_others; /* to and from other logical units, too */
	bool has_port_groups; /* plans SCSI_PLAN_SET_GROUPS: the commands of target port groups are
				 there */
	bool no_reservations; /* the target core does not answer PERSISTENT RESERVE and RESERVE
				 (emulate_pr is 0) */
	/* state */
	bool write_cache; /* WCE */
	bool write_cache_changeable;
	bool descriptor_sense;         /* D_SENSE */
	bool software_write_protect;   /* SWP */
	struct scsi_mode_values saved; /* with can_save */
	/* With can_format: set with the plan; scsi_long_end() clears it. */
	enum scsi_long_operation long_operation;
	uint16_t progress;    /* of the long operation, in 65536ths; the caller's */
	bool sanitize_failed; /* the medium cannot be used until it has been sanitized */
	bool sanitize_exit;   /* AUSE: EXIT FAILURE MODE gives the medium back */
	bool format_failed; /* the medium cannot be used until it has been formatted or sanitized */
	uint8_t not_ready;  /* the medium cannot be used through this host: the ASCQ of ASC 04h; 0:
			       it can */
	uint32_t unit_attention; /* SCSI_UA_ bits */
	struct scsi_xcopy_status xcopies[SCSI_XCOPIES_MAX];
	uint64_t xcopy_number; /* of the last one that began */
};

/* One command as it came. iov is data-out, or room for data-in; the SCSI code reads data-out by
 * copying only. */
struct scsi_task {
	const uint8_t *cdb;
	uint8_t cdb_length;
	const struct iovec *iov;
	unsigned iov_cnt;
	uint64_t data_length;
	uint64_t time_ms; /* with lu->has_clock: since 1970-01-01 UTC */
};

enum scsi_verdict {
	SCSI_ANSWERED = 1,  /* status, sense and data are final */
	SCSI_PLANNED,       /* plan is to be carried out; the status follows from it */
	SCSI_NEEDS_LU_INFO, /* refresh lu->serial and lu->ports, set lu_info_fresh, dispatch again
			     */
};

enum scsi_plan_op {
	SCSI_PLAN_READ = 1,
	SCSI_PLAN_WRITE,
	SCSI_PLAN_FLUSH,             /* lba, blocks: the range; 0 blocks: all */
	SCSI_PLAN_UNMAP,             /* extents */
	SCSI_PLAN_WRITE_SAME,        /* data-out is one block, or none with SCSI_PLAN_ZEROES */
	SCSI_PLAN_VERIFY,            /* with data-out: compare; without: read */
	SCSI_PLAN_WRITE_VERIFY,      /* write, then read back; compare with SCSI_PLAN_COMPARE */
	SCSI_PLAN_COMPARE_AND_WRITE, /* data-out: 2 * blocks */
	SCSI_PLAN_ORWRITE,
	SCSI_PLAN_MAP, /* GET LBA STATUS: answer by scsi_answer_lba_status() */
	SCSI_PLAN_PREFETCH,
	SCSI_PLAN_XCOPY,       /* result->xcopy */
	SCSI_PLAN_ABORT_XCOPY, /* lba: the place of the copy that is to end with -ECANCELED */
	SCSI_PLAN_SET_GROUPS,  /* result->states; the end by scsi_groups_end() */
};

#define SCSI_PLAN_FUA       (1u << 0)
#define SCSI_PLAN_DPO       (1u << 1)
#define SCSI_PLAN_IMMEDIATE (1u << 2) /* GOOD may be sent when the work has been started */
#define SCSI_PLAN_MAY_UNMAP (1u << 3) /* WRITE_SAME with UNMAP=1 */
#define SCSI_PLAN_ZEROES    (1u << 4) /* WRITE_SAME: the block is all zeros */
#define SCSI_PLAN_COMPARE   (1u << 5) /* BYTCHK */
#define SCSI_PLAN_ONE_BLOCK (1u << 6) /* VERIFY with BYTCHK 3: data-out is one block */
#define SCSI_PLAN_ATOMIC    (1u << 7) /* WRITE: all or nothing */
#define SCSI_PLAN_LONG \
	(1u << 8) /* WRITE_SAME of the whole medium, then a flush: lu->long_operation */
#define SCSI_PLAN_DATA (1u << 9) /* WRITE_SAME: the block is at result->data */
#define SCSI_PLAN_INVERT \
	(1u << 10) /* WRITE_SAME: with the block's bits inverted in every second pass */

struct scsi_extent {
	uint64_t lba;
	uint64_t blocks;
};

struct scsi_plan {
	enum scsi_plan_op op;
	uint32_t flags;
	uint64_t lba;
	uint64_t blocks;
	unsigned passes; /* how often; more than 1 with SCSI_PLAN_LONG only */
	unsigned extent_cnt;
	struct scsi_extent extents[SCSI_UNMAP_DESCRIPTORS_MAX];
};

/* One that takes part in a copy. self: it is the logical unit that was asked. */
struct scsi_xcopy_cscd {
	uint8_t naa[SCSI_NAA_LENGTH];
	bool self;
};

struct scsi_xcopy_segment {
	uint16_t source; /* of the targets */
	uint16_t destination;
	uint16_t blocks;
	uint64_t source_lba;
	uint64_t destination_lba;
};

/* EXTENDED COPY, decoded. Ranges on this logical unit are right; those on others were not looked
 * at. */
struct scsi_xcopy {
	uint32_t list_id;
	bool identified;
	bool held;
	bool long_id;
	bool immediate; /* IMMED: GOOD is sent when the copy begins, which then belongs to no
			   command */
	unsigned slot;  /* of its status in lu->xcopies */
	unsigned cscd_cnt;
	unsigned segment_cnt;
	struct scsi_xcopy_cscd cscds[SCSI_XCOPY_CSCDS_MAX];
	struct scsi_xcopy_segment segments[SCSI_XCOPY_SEGMENTS_MAX];
};

/* What scsi_dispatch() says. data is the caller's buffer of SCSI_DATA_MAX bytes. */
struct scsi_result {
	uint8_t status;
	struct scsi_sense sense;
	uint8_t *data;
	uint32_t data_length; /* of the data for the initiator; already cut to the allocation length
			       */
	bool save;            /* lu->saved is to be kept for good before GOOD is sent */
	struct scsi_plan plan;
	struct scsi_xcopy xcopy;         /* valid with SCSI_PLAN_XCOPY */
	struct scsi_group_states states; /* valid with SCSI_PLAN_SET_GROUPS */
};

/* Decides what a command means. result->data must be set. Never fails: a refusal is an answer. The
 * data buffer's bytes beyond data_length are unspecified. */
enum scsi_verdict scsi_dispatch(
	struct scsi_lu *lu, const struct scsi_task *task, struct scsi_result *result);

/* Sense for an I/O that ended with -errno, told as of the given LBA (SPC-4 4.5, table 28). Fills
 * status and sense: -ENOSPC 07/27/07, -EIO 03/11/00 for reads and 03/0C/00 for writes with the LBA
 * in INFORMATION, -EILSEQ miscompare with result_offset, -EBUSY and -EAGAIN and -ENOMEM BUSY,
 * -ECANCELED TASK ABORTED, others HARDWARE ERROR 04/44/00. */
void scsi_io_error(
	const struct scsi_plan *plan, int error, uint64_t lba, uint64_t result_offset,
	struct scsi_result *result);

/* The end of a plan with SCSI_PLAN_LONG (SBC-3 4.11, 5.3): 0 gives the medium back; after an error,
 * -errno, it cannot be used until another such operation ends well. Fills the status and the sense
 * for who waits for the end. */
void scsi_long_end(struct scsi_lu *lu, int error, struct scsi_result *result);

/* How far a copy is. segments: how many are done, which is also the number of the one under way.
 * operations: how many reads and writes have ended. */
void scsi_xcopy_progress(
	struct scsi_lu *lu, const struct scsi_xcopy *xcopy, unsigned segments, uint64_t bytes,
	uint64_t operations);

/* The end of a plan SCSI_PLAN_XCOPY (SPC-4 6.4, 6.5). error: 0 or -errno of what it had asked for
 * last: -ENODEV: a device is not there or not any more; -ERANGE: it is too small; others as
 * scsi_io_error(). Fills the status and the sense. */
void scsi_xcopy_end(
	struct scsi_lu *lu, const struct scsi_xcopy *xcopy, int error, struct scsi_result *result);

/* The NAA designator that VPD 83h tells. naa: SCSI_NAA_LENGTH bytes. False: without a serial there
 * is none. */
bool scsi_naa(const struct scsi_lu *lu, uint8_t *naa);

/* Takes over what has become known. Saved mode parameters become the current ones the first time
 * that there are any, and can be saved as soon as there is a serial to find them again by. */
void scsi_set_lu_info(struct scsi_lu *lu, const struct scsi_lu_info *info);

/* The end of a plan SCSI_PLAN_SET_GROUPS (SPC-4 6.45). error: 0; -EAGAIN or -ESHUTDOWN: not now,
 * but soon; or another -errno, with which initiators take another path. Fills the status and the
 * sense. */
void scsi_groups_end(int error, struct scsi_result *result);

/* lu->saved, which result->save has asked to be kept, could not be: it is as it was before. Fills
 * the status and the sense. */
void scsi_save_failed(
	struct scsi_lu *lu, const struct scsi_mode_values *before, struct scsi_result *result);

/* Encodes sense in the format that lu->descriptor_sense asks for (SPC-4 4.5.2, 4.5.3). buffer:
 * SCSI_SENSE_MAX bytes, cleared first. Returns how many bytes are meaningful. */
size_t scsi_sense_encode(const struct scsi_lu *lu, const struct scsi_sense *sense, uint8_t *buffer);

/* The answer to GET LBA STATUS for a SCSI_PLAN_MAP (SBC-3 5.4): extents as the backend reported
 * them. */
struct scsi_lba_status {
	uint64_t lba;
	uint64_t blocks;
	bool mapped;
};
void scsi_answer_lba_status(
	const struct scsi_task *task, const struct scsi_lba_status *status, unsigned cnt,
	struct scsi_result *result);

/* An operation of the table: what it is called and which bits of its CDB may be set. Dispatch,
 * REPORT SUPPORTED OPERATION CODES, tests, the fuzzer's dictionary and the manual's list all come
 * from it. */
struct scsi_operation {
	uint8_t opcode;
	bool has_action; /* CDB byte 1, bits 4 to 0, holds a service action */
	uint8_t action;
	uint8_t cdb_length;
	bool by_target_core; /* told as supported, but never sent here and refused if it were */
	const char *name;
	uint8_t usage[16]; /* CDB USAGE DATA (SPC-4 6.35.3): opcode and service action by value,
			      else a bit mask */
};

/* The i-th operation, in ascending order of operation code and service action; NULL past the last.
 */
const struct scsi_operation *scsi_operation_at(unsigned i);

/* Whether a logical unit with these properties has the operation. */
bool scsi_operation_supported(const struct scsi_lu *lu, const struct scsi_operation *operation);

/* The name of a CDB's operation, "unknown" if the table has none; for logs. */
const char *scsi_opcode_name(const uint8_t *cdb);

/* ------- what a CDB is about: for counters and for people ------- */

enum scsi_class {
	SCSI_CLASS_READ,
	SCSI_CLASS_WRITE, /* whatever puts data on the medium, WRITE SAME and COMPARE AND WRITE too
			   */
	SCSI_CLASS_FLUSH,
	SCSI_CLASS_UNMAP,
	SCSI_CLASS_OTHER,
	SCSI_CLASS_COUNT,
};

enum scsi_class scsi_cdb_class(const uint8_t *cdb);

/* "read", "write", "flush", "unmap", "other" */
const char *scsi_class_name(enum scsi_class class);

/* The blocks that a CDB names, as it says, whether they exist or not. False: it names none in the
 * CDB itself. */
bool scsi_cdb_blocks(const uint8_t *cdb, uint8_t cdb_length, uint64_t *lba, uint32_t *blocks);

/* "medium_error" for 3h, and so on (SPC-4 4.5.6) */
const char *scsi_sense_key_name(uint8_t key);

/* Key and codes of encoded sense in either format; the other members are not set. buffer: at least
 * 14 bytes. */
void scsi_sense_decode(const uint8_t *buffer, struct scsi_sense *sense);
