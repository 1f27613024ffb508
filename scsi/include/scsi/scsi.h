/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI as pure functions: a CDB and the properties of a logical unit go in; a status, sense, data
 * or a plan of I/O comes out.
 *
 * The code uses no kernel interface, no handler, no thread, and allocates no memory. The caller
 * owns struct scsi_lu; scsi_dispatch() changes only its part marked "state". The caller serialises
 * the calls for one logical unit. Clauses are those of SPC-4 (T10/BSR INCITS 513), SBC-3 (514) and
 * SBC-4 (506).
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

/* Sense data (SPC-4 4.5) before it is encoded. */
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

/* Pending unit attentions, in the order of their precedence (SAM-5 5.14). */
#define SCSI_UA_RESET           (1u << 0) /* 29/00 */
#define SCSI_UA_MODE_PARAMETERS (1u << 1) /* 2A/01 */
#define SCSI_UA_CAPACITY        (1u << 2) /* 2A/09 */
#define SCSI_UA_INQUIRY_DATA    (1u << 3) /* 3F/03 */
#define SCSI_UA_THIN_THRESHOLD  (1u << 4) /* 38/07 */

/* Mode parameters that MODE SELECT can change (SPC-4 7.5, SBC-3 6.5). */
struct scsi_mode_values {
	bool write_cache;            /* WCE */
	bool descriptor_sense;       /* D_SENSE */
	bool software_write_protect; /* SWP */
};

/* A command that takes long and keeps the medium busy (SBC-3 4.11, 5.3, 5.24). */
enum scsi_long_operation {
	SCSI_LONG_NONE,
	SCSI_LONG_FORMAT,
	SCSI_LONG_SANITIZE,
};

/* An EXTENDED COPY in flight, or the status of one that has ended (SPC-4 6.24, 6.25). */
struct scsi_xcopy_status {
	bool used;
	bool identified; /* has a list identifier */
	bool held;       /* its status is kept after its end */
	bool long_id;    /* EXTENDED COPY(LID4) */
	bool background; /* IMMED */
	bool running;
	uint32_t list_id;
	uint16_t segments;   /* that are completed */
	uint16_t operations; /* reads and writes that have succeeded, modulo 65536 */
	uint64_t bytes;      /* written */
	uint64_t number;     /* ascends with each copy that starts */
	uint8_t status;      /* SCSI status and sense at its end */
	struct scsi_sense sense;
};

/* ASYMMETRIC ACCESS STATE of a target port group (SPC-4 6.37, table 300). */
enum scsi_access_state {
	SCSI_ACTIVE_OPTIMIZED = 0x0,
	SCSI_ACTIVE_NONOPTIMIZED = 0x1,
	SCSI_STANDBY = 0x2,
	SCSI_UNAVAILABLE = 0x3,
	SCSI_LBA_DEPENDENT = 0x4,
	SCSI_OFFLINE = 0xe,
	SCSI_TRANSITIONING = 0xf,
};

/* Additional sense code qualifiers of ASC 04h for a medium that cannot be accessed through this
 * host (SPC-4 5.15.2.4). */
#define SCSI_ASCQ_STANDBY     0x0b
#define SCSI_ASCQ_UNAVAILABLE 0x0c

/* How a group's state may change; the bits of the field TPGS (SPC-4 6.6.2). */
#define SCSI_ACCESS_IMPLICIT 0x1 /* by this host */
#define SCSI_ACCESS_EXPLICIT 0x2 /* by initiators, with SET TARGET PORT GROUPS */

/* A target port group (SPC-4 5.15.2) with the fields of its descriptor. */
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

/* The ports of the logical unit. The port that a command arrived on is not known; so the members
 * after `groups` are valid only if they are the same for all ports that are in use. */
struct scsi_ports {
	unsigned group_cnt;
	struct scsi_port_group groups[SCSI_PORT_GROUPS_MAX];
	uint8_t transition_seconds; /* IMPLICIT TRANSITION TIME; 0: not reported */
	bool group_known;
	uint16_t group; /* the port's group */
	bool port_known;
	uint16_t port;        /* its relative identifier */
	uint16_t tag;         /* of the target portal group, with an iscsi_name */
	char iscsi_name[224]; /* of the target; empty: not iSCSI, or not known */
	bool shared; /* the LIO administrator has put ports in a group other than the default:
			other hosts may serve the same medium */
	bool by_initiators;  /* with shared: initiators decide which host serves the medium */
	uint16_t host_group; /* with shared: the group of this host's ports; 0: none is in use */
	bool reset_cancels; /* the ports are known, and at none of them is an initiator that takes a
			       command for done which a LUN RESET has aborted (tcm_loop) */
	bool lu_group_known;
	uint16_t lu_group; /* LOGICAL UNIT GROUP of VPD 83h */
};

/* Properties that configfs and the mode parameters' store may change while the logical unit is
 * served. */
struct scsi_lu_info {
	char serial[256]; /* configfs' unit serial */
	struct scsi_ports ports;
	bool has_saved; /* mode parameters that were saved for this serial */
	struct scsi_mode_values saved;
};

/* SET TARGET PORT GROUPS (SPC-4 6.45): the new states, in the order of the parameter list. */
struct scsi_group_states {
	unsigned cnt;
	struct {
		uint16_t id;
		uint8_t state;
	} to[SCSI_PORT_GROUPS_MAX];
};

/* A logical unit. */
struct scsi_lu {
	/* LU info */
	char vendor[9];   /* "LIO-ORG" */
	char product[17]; /* "TCMU device" */
	char revision[5];
	char serial[256]; /* configfs' unit serial */
	struct scsi_ports ports;
	bool lu_info_fresh; /* false: a command that reports the serial or the ports gets
				SCSI_NEEDS_LU_INFO first */
	bool guard_passed;  /* false: a command that changes something without data-out gets
			       SCSI_NEEDS_GUARD first; one that copies from or to another logical
			       unit  gets SCSI_NEEDS_COPY_GUARD */
	char config[256]; /* the vendor specific designator of VPD 83h: "<subtype>/<config>"; empty:
			     the serial */
	/* medium */
	uint64_t blocks;
	uint32_t block_size;
	uint8_t physical_exponent; /* logical blocks per physical block, as a power of two */
	bool rotational;
	bool read_only;
	/* provisioning and limits; in blocks unless a comment says otherwise */
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
	bool has_map; /* GET LBA STATUS is answered by the backend; else all blocks are mapped */
	uint32_t max_atomic; /* blocks that a write stores all or none of, also if power fails; 0:
				none */
	uint32_t atomic_alignment;   /* of the address of such a write; 0: any */
	uint32_t atomic_granularity; /* of its length; 0: any */
	/* abilities of the caller */
	bool dataless;  /* supports the commands that change something without data-out: FORMAT
			   UNIT, SANITIZE, WRITE SAME with NDOB, COPY OPERATION ABORT */
	bool can_save;  /* stores `saved` when result->save is set: the serial is known */
	bool has_clock; /* sets task->time_ms: supports REPORT TIMESTAMP */
	unsigned max_xcopies; /* SCSI_PLAN_XCOPY plans at once, at most SCSI_XCOPIES_MAX; 0: no
				 EXTENDED COPY */
	bool xcopy_to_others; /* also between this and other logical units */
	bool has_port_groups; /* SCSI_PLAN_SET_GROUPS plans: supports the commands of target port
				 groups */
	bool no_reservations; /* the target core does not answer PERSISTENT RESERVE and RESERVE
				 (emulate_pr is 0) */
	/* state */
	bool write_cache; /* WCE */
	bool write_cache_changeable;
	/* WCE was 0 for an earlier user of the medium, and is 1 until what that one has written is
	 * stable; the caller makes it 0 then. */
	bool write_cache_ends;
	bool descriptor_sense;         /* D_SENSE */
	bool software_write_protect;   /* SWP */
	struct scsi_mode_values saved; /* with can_save */
	/* With dataless: the plan sets it; scsi_long_end() clears it. */
	enum scsi_long_operation long_operation;
	uint16_t progress;    /* of the long operation, in 65536ths; the caller sets it */
	bool sanitize_failed; /* the medium is inaccessible until a sanitize operation succeeds */
	bool sanitize_exit;   /* AUSE: EXIT FAILURE MODE makes the medium accessible again */
	bool format_failed;   /* the medium is inaccessible until it is formatted or sanitized */
	uint8_t not_ready; /* the medium is inaccessible through this host: the ASCQ of ASC 04h; 0:
			      it is accessible */
	uint32_t unit_attention; /* SCSI_UA_ bits */
	struct scsi_xcopy_status xcopies[SCSI_XCOPIES_MAX];
	uint64_t xcopy_number; /* of the last copy that has started */
};

/* One command as the initiator has sent it. iov is data-out, or the buffer for data-in. The SCSI
 * code copies data-out and never writes to iov. */
struct scsi_task {
	const uint8_t *cdb;
	uint8_t cdb_length;
	const struct iovec *iov;
	unsigned iov_cnt;
	uint64_t data_length;
	uint64_t time_ms; /* with lu->has_clock: since 1970-01-01 UTC; used by commands with the
			     operation code SCSI_TIME_OPCODE only */
};

#define SCSI_TIME_OPCODE 0xa3 /* MAINTENANCE IN: REPORT TIMESTAMP */
/* MAINTENANCE OUT: SET TARGET PORT GROUPS; its LU info must be what the target core has now. */
#define SCSI_STATES_OPCODE 0xa4

enum scsi_verdict {
	SCSI_ANSWERED = 1,  /* status, sense and data are final */
	SCSI_PLANNED,       /* the caller carries out the plan; its end gives the status */
	SCSI_NEEDS_LU_INFO, /* refresh serial and ports, set lu_info_fresh, dispatch again */
	/* Check the mappings and the reservation of the logical unit. If they allow the command,
	 * set guard_passed and dispatch again; else scsi_guard_end(). */
	SCSI_NEEDS_GUARD,
	/* The same for those of the other logical units in result->xcopy; set lu_info_fresh, too.
	 */
	SCSI_NEEDS_COPY_GUARD,
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
	SCSI_PLAN_MAP, /* GET LBA STATUS: ends with scsi_answer_lba_status() */
	SCSI_PLAN_PREFETCH,
	SCSI_PLAN_XCOPY,       /* result->xcopy */
	SCSI_PLAN_ABORT_XCOPY, /* lba: the slot of the copy that shall end with -ECANCELED */
	SCSI_PLAN_SET_GROUPS,  /* result->states; ends with scsi_groups_end() */
};

#define SCSI_PLAN_FUA       (1u << 0)
#define SCSI_PLAN_DPO       (1u << 1)
#define SCSI_PLAN_IMMEDIATE (1u << 2) /* GOOD may be sent when the work has started */
#define SCSI_PLAN_MAY_UNMAP (1u << 3) /* WRITE_SAME with UNMAP=1 */
#define SCSI_PLAN_ZEROES    (1u << 4) /* WRITE_SAME: the block is all zeros */
#define SCSI_PLAN_COMPARE   (1u << 5) /* BYTCHK */
#define SCSI_PLAN_ONE_BLOCK (1u << 6) /* VERIFY with BYTCHK 3: data-out is one block */
#define SCSI_PLAN_ATOMIC    (1u << 7) /* WRITE: all or nothing */
#define SCSI_PLAN_LONG \
	(1u << 8) /* WRITE_SAME of the whole medium, then a flush: lu->long_operation */
#define SCSI_PLAN_DATA (1u << 9) /* WRITE_SAME: the block is at result->data */
#define SCSI_PLAN_INVERT \
	(1u << 10) /* WRITE_SAME: every second pass writes the block with its bits inverted */
#define SCSI_PLAN_CACHE_OFF \
	(1u << 11) /* FLUSH: lu->write_cache is to be cleared when it succeeds, by the caller */

struct scsi_extent {
	uint64_t lba;
	uint64_t blocks;
};

struct scsi_plan {
	enum scsi_plan_op op;
	uint32_t flags;
	uint64_t lba;
	uint64_t blocks;
	unsigned passes; /* times to carry it out; more than 1 with SCSI_PLAN_LONG only */
	unsigned extent_cnt;
	struct scsi_extent extents[SCSI_UNMAP_DESCRIPTORS_MAX];
};

/* A copy source or copy destination (CSCD, SPC-4 6.4.5). self: it is the logical unit that has
 * received the command. */
struct scsi_xcopy_cscd {
	uint8_t naa[SCSI_NAA_LENGTH];
	bool self;
};

struct scsi_xcopy_segment {
	uint16_t source; /* index in the CSCDs */
	uint16_t destination;
	uint16_t blocks;
	uint64_t source_lba;
	uint64_t destination_lba;
};

/* EXTENDED COPY, decoded (SPC-4 6.4, 6.5). Ranges on this logical unit are checked; the caller
 * checks those on others. */
struct scsi_xcopy {
	uint32_t list_id;
	bool identified;
	bool held;
	bool long_id;
	bool immediate; /* IMMED: GOOD is sent when the copy starts, which then belongs to no
			   command */
	unsigned slot;  /* of its status in lu->xcopies */
	unsigned cscd_cnt;
	unsigned segment_cnt;
	struct scsi_xcopy_cscd cscds[SCSI_XCOPY_CSCDS_MAX];
	struct scsi_xcopy_segment segments[SCSI_XCOPY_SEGMENTS_MAX];
};

/* The outcome of scsi_dispatch(). data is the caller's buffer of SCSI_DATA_MAX bytes. */
struct scsi_result {
	uint8_t status;
	struct scsi_sense sense;
	uint8_t *data;
	uint32_t data_length; /* bytes of data-in; already cut to the allocation length */
	bool save;            /* store lu->saved permanently before GOOD is sent */
	struct scsi_plan plan;
	struct scsi_xcopy xcopy;         /* valid with SCSI_PLAN_XCOPY */
	struct scsi_group_states states; /* valid with SCSI_PLAN_SET_GROUPS */
};

/* Decodes and checks a command (SPC-4 4.2.1): answers it, or plans its I/O. It never fails: a
 * refusal is an answer. The caller sets result->data; bytes beyond data_length are unspecified. */
enum scsi_verdict scsi_dispatch(
	struct scsi_lu *lu, const struct scsi_task *task, struct scsi_result *result);

/* Whether the device server knows the command as one that changes the medium. */
bool scsi_writes(const uint8_t *cdb, uint8_t cdb_length);

/* How a failed request of the backend ends for the initiator. docs/handler-guide.md has the errno,
 * the status and the sense of each. */
enum scsi_outcome {
	SCSI_OUTCOME_FAILED, /* any errno that is not in the table */
	SCSI_OUTCOME_MEDIUM_ERROR,
	SCSI_OUTCOME_MISCOMPARE,
	SCSI_OUTCOME_SPACE_EXHAUSTED,
	SCSI_OUTCOME_WRITE_PROTECTED,
	SCSI_OUTCOME_BECOMING_READY,
	SCSI_OUTCOME_NO_MEDIUM,
	SCSI_OUTCOME_CONFLICT,
	SCSI_OUTCOME_BUSY, /* nothing was carried out */
	SCSI_OUTCOME_TIMED_OUT,
	SCSI_OUTCOME_FENCED,
	SCSI_OUTCOME_CANCELLED,
	SCSI_OUTCOME_UNKNOWN, /* it may have been carried out, and must not be repeated */
};

/* The outcome of a negative errno. Any thread. */
enum scsi_outcome scsi_outcome_of(int error);

/* Its word: "medium error". Any thread. */
const char *scsi_outcome_word(enum scsi_outcome outcome);

/* Fills status and sense for I/O that has failed with error, a negative errno, at the given LBA
 * (SPC-4 4.5, table 28): what scsi_outcome_of(error) says. INFORMATION is the LBA of a medium error
 * and result_offset for a miscompare. */
void scsi_io_error(
	const struct scsi_plan *plan, int error, uint64_t lba, uint64_t result_offset,
	struct scsi_result *result);

/* Whether scsi_io_error() makes BUSY of this negative errno, at which initiators repeat a command.
 * Any thread. */
bool scsi_error_is_busy(int error);

/* Ends a plan with SCSI_PLAN_LONG (SBC-3 4.11, 5.3). error 0 makes the medium accessible again.
 * After a negative errno it stays inaccessible until another such operation succeeds. Fills status
 * and sense for an initiator that waits for the end. */
void scsi_long_end(struct scsi_lu *lu, int error, struct scsi_result *result);

/* Records the progress of a copy. segments: completed ones, which is also the index of the one in
 * flight. bytes: written. operations: reads and writes that have ended. */
void scsi_xcopy_progress(
	struct scsi_lu *lu, const struct scsi_xcopy *xcopy, unsigned segments, uint64_t bytes,
	uint64_t operations);

/* Ends a plan SCSI_PLAN_XCOPY (SPC-4 6.4, 6.5). error: 0, or the negative errno of the last
 * operation. -ENODEV: a copy source or destination is not there. -ERANGE: it is too small. Others
 * as for scsi_io_error(). Fills status and sense, and keeps them if the list has asked for it. */
void scsi_xcopy_end(
	struct scsi_lu *lu, const struct scsi_xcopy *xcopy, int error, struct scsi_result *result);

/* Derives the NAA designator of VPD 83h (SPC-4 7.8.6.6). naa: SCSI_NAA_LENGTH bytes. False: there
 * is none, because no serial is set. */
bool scsi_naa(const struct scsi_lu *lu, uint8_t *naa);

/* Takes over new LU info. The first time that there is a serial, saved mode parameters become the
 * current ones, and saving becomes possible. */
void scsi_set_lu_info(struct scsi_lu *lu, const struct scsi_lu_info *info);

/* Ends a plan SCSI_PLAN_SET_GROUPS (SPC-4 6.45). error: 0; -EAGAIN or -ESHUTDOWN, which become
 * BUSY; or another negative errno, after which initiators take another path. Fills status and
 * sense. */
void scsi_groups_end(int error, struct scsi_result *result);

/* Ends a command that has got SCSI_NEEDS_GUARD. error: 0, it may be dispatched again; -EBUSY: there
 * is a reservation, RESERVATION CONFLICT; -ENODEV: another logical unit may not take part in a
 * copy, 0A/0D/02; -EAGAIN or -ESHUTDOWN: BUSY; another negative errno: a mapping is write
 * protected, or nothing is known of them, 07/27/00. Fills status and sense. */
void scsi_guard_end(int error, struct scsi_result *result);

/* Undoes result->save because lu->saved could not be stored: lu->saved becomes *before again. Fills
 * status and sense. */
void scsi_save_failed(
	struct scsi_lu *lu, const struct scsi_mode_values *before, struct scsi_result *result);

/* Encodes sense in the format that lu->descriptor_sense selects (SPC-4 4.5.2, 4.5.3). buffer:
 * SCSI_SENSE_MAX bytes, cleared first. Returns the number of meaningful bytes. */
size_t scsi_sense_encode(const struct scsi_lu *lu, const struct scsi_sense *sense, uint8_t *buffer);

/* An extent of the medium, as the backend has reported it. */
struct scsi_lba_status {
	uint64_t lba;
	uint64_t blocks;
	bool mapped;
};

/* Ends a plan SCSI_PLAN_MAP: puts the parameter data of GET LBA STATUS (SBC-3 5.4) with these
 * extents and fills the status. */
void scsi_answer_lba_status(
	const struct scsi_task *task, const struct scsi_lba_status *status, unsigned cnt,
	struct scsi_result *result);
