/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statistics of a device: counters, times, and the commands that are in flight.
 *
 * The I/O thread is the only one that writes. Any thread may read at any time and waits for nobody,
 * also while the I/O thread is stuck. So a counter is a plain load and store with relaxed order,
 * and counters that are read together belong together only nearly. The clock is read once for the
 * commands that were fetched together, and once for those that are completed together.
 *
 * A struct stats outlives the I/O thread: it counts on for the next one. Where the pointer is NULL
 * nothing is counted.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <scsi/describe.h>
#include <scsi/scsi.h>

/* Buckets of times: the first one is all below 2^MIN ns, then SUB of the same width to each power
 * of two, and the last one is all from 2^MAX ns, which is more than a minute. */
#define STATS_SHIFT_MIN 10
#define STATS_SHIFT_MAX 36
#define STATS_SUB_BITS  4
#define STATS_BUCKETS   (((STATS_SHIFT_MAX - STATS_SHIFT_MIN) << STATS_SUB_BITS) + 2)

/* Ends that are neither GOOD nor a CHECK CONDITION. */
enum stats_end {
	STATS_END_BUSY,
	STATS_END_RESERVATION_CONFLICT,
	STATS_END_TASK_SET_FULL,
	STATS_END_TASK_ABORTED,
	STATS_END_OTHER,
	STATS_END_COUNT,
};

typedef _Atomic(uint64_t) stats_counter;

struct stats_class {
	stats_counter commands; /* answered, whatever the answer */
	stats_counter failed;   /* of these, neither with GOOD nor BUSY */
	stats_counter bytes;    /* of data that a GOOD command moved */
	stats_counter ns;       /* from the fetch to the answer, all of them together */
	stats_counter latency[STATS_BUCKETS];
};

struct stats {
	stats_counter fetched;
	stats_counter ended;     /* answered, or given up with the ring */
	stats_counter sense[16]; /* CHECK CONDITIONs by sense key */
	stats_counter ends[STATS_END_COUNT];
	stats_counter
		last_sense; /* opcode, key, asc, ascq: a byte each, the opcode first; 0: none yet */
	stats_counter last_sense_at;
	stats_counter errors;     /* of the backend */
	stats_counter last_error; /* errno, two bytes of the CDB, key, asc, ascq: a byte each after
				     the first */
	stats_counter last_error_lba;
	stats_counter expired;      /* writes that ended after the kernel had given them up */
	stats_counter last_expired; /* two bytes of the CDB, then the age in seconds */
	stats_counter last_expired_lba;
	stats_counter limited_ns;                     /* commands waited for the limits */
	stats_counter cpu_ns;                         /* of the threads that have ended */
	_Atomic(int) thread;                          /* the id of the one that runs; 0: none */
	struct stats_class classes[SCSI_CLASS_COUNT]; /* last: most of it is never touched */
};

/* A command that is in flight, in its slot. */
struct stats_flight {
	stats_counter begun; /* ns of CLOCK_MONOTONIC; 0: none. Written last, cleared first. */
	stats_counter cdb[2];
	stats_counter data_length;
	enum scsi_class class; /* the I/O thread only */
};

/* The calling thread counts from now on, until stats_thread_ends(). stats: NULL is taken, in these
 * and the next three. */
void stats_thread_begins(struct stats *stats);
void stats_thread_ends(struct stats *stats);

/* A command was fetched. now: 0 before the first one of a batch, set to clock_now_ns() by it. cdb:
 * 16 bytes. I/O thread. */
void stats_begin(
	struct stats *stats, struct stats_flight *flight, uint64_t *now, const uint8_t *cdb,
	uint64_t data_length);

/* It has ended. now: likewise. answered: the initiator gets this status. sense: for
 * SCSI_CHECK_CONDITION. bytes: of data that were moved. I/O thread. */
void stats_end(
	struct stats *stats, struct stats_flight *flight, uint64_t *now, bool answered,
	uint8_t status, const uint8_t *sense, uint64_t bytes);

/* The backend has failed with an errno, and the initiator gets this sense. Key 0: it gets BUSY. I/O
 * thread. */
void stats_failed(
	struct stats *stats, const uint8_t *cdb, int error, uint64_t lba,
	const struct scsi_sense *sense);

/* A write has ended after the kernel had reported to the initiator that it failed. age: seconds.
 * I/O thread. */
void stats_expired(struct stats *stats, const uint8_t *cdb, uint64_t lba, uint64_t age);

/* A command has waited for the rate limits for so long. I/O thread. */
void stats_limited(struct stats *stats, uint64_t ns);

/* ------- for readers, on any thread ------- */

/* The last write that has ended too late. */
struct stats_late_write {
	uint8_t cdb[16]; /* as much as its name needs */
	uint64_t lba;
	uint64_t age; /* seconds */
};
void stats_late_write_read(const struct stats *stats, struct stats_late_write *write);

/* The last error of the backend. */
struct stats_error {
	int error;       /* errno */
	uint8_t cdb[16]; /* as much as its name needs */
	uint8_t key, asc, ascq;
	uint64_t lba;
};
void stats_error_read(const struct stats *stats, struct stats_error *error);

/* The bucket of a time in ns. */
unsigned stats_bucket(uint64_t ns);

/* The times of a bucket, in ns: from lower, below upper; the last one's upper is UINT64_MAX. */
uint64_t stats_bucket_lower(unsigned bucket);
uint64_t stats_bucket_upper(unsigned bucket);

static inline uint64_t stats_get(const stats_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* How many commands are in flight. The count of ended commands is read first: a command that
 * is fetched meanwhile counts as in flight, and the difference is never below 0. */
static inline uint64_t stats_in_flight(const struct stats *stats)
{
	uint64_t ended = atomic_load_explicit(&stats->ended, memory_order_acquire);
	uint64_t fetched = stats_get(&stats->fetched);

	return fetched > ended ? fetched - ended : 0;
}

/* CPU time of the device's I/O threads, ns. */
uint64_t stats_cpu(const struct stats *stats);

/* "busy", "reservation_conflict", ... */
const char *stats_end_name(enum stats_end end);

/* A command in flight, as a reader sees it. */
struct stats_request {
	uint64_t begun; /* ns of CLOCK_MONOTONIC */
	uint8_t cdb[16];
	uint64_t data_length;
};

/* Copies the command of a slot. False: there is none, or it has ended just now. */
bool stats_flight_read(const struct stats_flight *flight, struct stats_request *request);
