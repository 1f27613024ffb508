/* SPDX-License-Identifier: Apache-2.0 */
/* See io/stats.h. */
#include "io/stats.h"

#include <assert.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* The clock of a thread of this process by its id: as pthread_getcpuclockid() makes it, for a
 * thread that may have ended. */
#define THREAD_CLOCK(tid) ((clockid_t) (~(unsigned) (tid) << 3 | 6))

/* CPU time in ns; 0: the thread has ended. */
static uint64_t stats_cpu_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) < 0)
		return 0;
	return (uint64_t) now.tv_sec * CLOCK_NS_PER_SEC + (uint64_t) now.tv_nsec;
}

static void stats_add(stats_counter *counter, uint64_t n)
{
	atomic_store_explicit(
		counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static void stats_set(stats_counter *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

unsigned stats_bucket(uint64_t ns)
{
	unsigned exponent;

	if (ns < UINT64_C(1) << STATS_SHIFT_MIN)
		return 0;
	if (ns >= UINT64_C(1) << STATS_SHIFT_MAX)
		return STATS_BUCKETS - 1;
	exponent = 63 - (unsigned) __builtin_clzll(ns);
	assert(exponent >= STATS_SHIFT_MIN && exponent < STATS_SHIFT_MAX);
	return 1 + ((exponent - STATS_SHIFT_MIN) << STATS_SUB_BITS) +
		(unsigned) (ns >> (exponent - STATS_SUB_BITS) & ((1u << STATS_SUB_BITS) - 1));
}

uint64_t stats_bucket_lower(unsigned bucket)
{
	unsigned exponent, sub;

	assert(bucket < STATS_BUCKETS);
	if (bucket == 0)
		return 0;
	exponent = STATS_SHIFT_MIN + ((bucket - 1) >> STATS_SUB_BITS);
	sub = (bucket - 1) & ((1u << STATS_SUB_BITS) - 1);
	return (UINT64_C(1) << exponent) + ((uint64_t) sub << (exponent - STATS_SUB_BITS));
}

uint64_t stats_bucket_upper(unsigned bucket)
{
	return bucket + 1 >= STATS_BUCKETS ? UINT64_MAX : stats_bucket_lower(bucket + 1);
}

/* ------- the I/O thread ------- */

void stats_thread_begins(struct stats *stats)
{
	if (stats)
		atomic_store_explicit(&stats->thread, gettid(), memory_order_relaxed);
}

void stats_thread_ends(struct stats *stats)
{
	if (!stats)
		return;
	assert(atomic_load_explicit(&stats->thread, memory_order_relaxed) == gettid());
	atomic_store_explicit(&stats->thread, 0, memory_order_relaxed);
	stats_add(&stats->cpu_ns, stats_cpu_ns(CLOCK_THREAD_CPUTIME_ID));
}

void stats_begin(
	struct stats *stats, struct stats_flight *flight, uint64_t *now, const uint8_t *cdb,
	uint64_t data_length)
{
	uint64_t half[2];

	if (!stats)
		return;
	assert(!atomic_load_explicit(&flight->begun, memory_order_relaxed));
	if (!*now)
		*now = clock_now_ns();
	memcpy(half, cdb, sizeof(half));
	/* A reader that sees one of these sees that the slot's last command has ended. */
	atomic_store_explicit(&flight->cdb[0], half[0], memory_order_release);
	atomic_store_explicit(&flight->cdb[1], half[1], memory_order_release);
	atomic_store_explicit(&flight->data_length, data_length, memory_order_release);
	flight->class = scsi_cdb_class(cdb);
	assert(flight->class < SCSI_CLASS_COUNT);
	atomic_store_explicit(&flight->begun, *now, memory_order_release);
	stats_add(&stats->fetched, 1);
}

void stats_failed(
	struct stats *stats, const uint8_t *cdb, int error, uint64_t lba,
	const struct scsi_sense *sense)
{
	if (!stats)
		return;
	stats_set(&stats->last_error_lba, lba);
	stats_set(
		&stats->last_error,
		(uint64_t) (unsigned) error << 40 | (uint64_t) cdb[0] << 32 |
			(uint64_t) cdb[1] << 24 | (uint64_t) sense->key << 16 |
			(uint64_t) sense->asc << 8 | sense->ascq);
	stats_add(&stats->errors, 1);
}

void stats_expired(struct stats *stats, const uint8_t *cdb, uint64_t lba, uint64_t age)
{
	if (!stats)
		return;
	assert(age <= UINT32_MAX);
	stats_set(&stats->last_expired_lba, lba);
	stats_set(&stats->last_expired, (uint64_t) cdb[0] << 40 | (uint64_t) cdb[1] << 32 | age);
	stats_add(&stats->expired, 1);
}

void stats_late_write_read(const struct stats *stats, struct stats_late_write *write)
{
	uint64_t packed = stats_get(&stats->last_expired);

	*write = (struct stats_late_write){
		.cdb = {(uint8_t) (packed >> 40), (uint8_t) (packed >> 32)},
		.lba = stats_get(&stats->last_expired_lba),
		.age = packed & UINT32_MAX,
	};
}

void stats_error_read(const struct stats *stats, struct stats_error *error)
{
	uint64_t packed = stats_get(&stats->last_error);

	*error = (struct stats_error){
		.error = (int) (packed >> 40),
		.cdb = {(uint8_t) (packed >> 32), (uint8_t) (packed >> 24)},
		.key = (uint8_t) (packed >> 16),
		.asc = (uint8_t) (packed >> 8),
		.ascq = (uint8_t) packed,
		.lba = stats_get(&stats->last_error_lba),
	};
}

static enum stats_end stats_end_of(uint8_t status)
{
	switch (status) {
	case SCSI_BUSY:
		return STATS_END_BUSY;
	case SCSI_RESERVATION_CONFLICT:
		return STATS_END_RESERVATION_CONFLICT;
	case SCSI_TASK_SET_FULL:
		return STATS_END_TASK_SET_FULL;
	case SCSI_TASK_ABORTED:
		return STATS_END_TASK_ABORTED;
	default:
		return STATS_END_OTHER;
	}
}

static void stats_count_failure(
	struct stats *stats, const struct stats_flight *flight, uint64_t now, uint8_t status,
	const uint8_t *sense_data)
{
	struct scsi_sense sense;
	uint64_t half = stats_get(&flight->cdb[0]);
	uint8_t opcode;

	memcpy(&opcode, &half, sizeof(opcode));
	/* An initiator retries it: a failover is no failure. */
	if (status != SCSI_BUSY)
		stats_add(&stats->classes[flight->class].failed, 1);
	if (status != SCSI_CHECK_CONDITION) {
		stats_add(&stats->ends[stats_end_of(status)], 1);
		return;
	}
	scsi_sense_decode(sense_data, &sense);
	assert(sense.key < 16);
	stats_add(&stats->sense[sense.key], 1);
	stats_set(
		&stats->last_sense,
		(uint64_t) opcode << 24 | (uint64_t) sense.key << 16 | (uint64_t) sense.asc << 8 |
			sense.ascq);
	stats_set(&stats->last_sense_at, now);
}

void stats_end(
	struct stats *stats, struct stats_flight *flight, uint64_t *now, bool answered,
	uint8_t status, const uint8_t *sense, uint64_t bytes)
{
	struct stats_class *class;
	uint64_t begun, ns;

	if (!stats)
		return;
	if (!*now)
		*now = clock_now_ns();
	begun = atomic_load_explicit(&flight->begun, memory_order_relaxed);
	assert(begun);
	ns = clock_since(*now, begun);
	atomic_store_explicit(&flight->begun, 0, memory_order_relaxed);
	stats_add(&stats->ended, 1);
	if (!answered)
		return;
	class = &stats->classes[flight->class];
	stats_add(&class->commands, 1);
	stats_add(&class->ns, ns);
	stats_add(&class->latency[stats_bucket(ns)], 1);
	if (status == SCSI_GOOD)
		stats_add(&class->bytes, bytes);
	else
		stats_count_failure(stats, flight, *now, status, sense);
}

/* ------- readers, on any thread ------- */

uint64_t stats_cpu(const struct stats *stats)
{
	int thread = atomic_load_explicit(&stats->thread, memory_order_relaxed);

	return stats_get(&stats->cpu_ns) + (thread ? stats_cpu_ns(THREAD_CLOCK(thread)) : 0);
}

const char *stats_end_name(enum stats_end end)
{
	static const char *const names[STATS_END_COUNT] = {
		"busy", "reservation_conflict", "task_set_full", "task_aborted", "other",
	};

	assert(end < STATS_END_COUNT);
	return names[end];
}

bool stats_flight_read(const struct stats_flight *flight, struct stats_request *request)
{
	uint64_t half[2];

	request->begun = atomic_load_explicit(&flight->begun, memory_order_acquire);
	if (!request->begun)
		return false;
	half[0] = atomic_load_explicit(&flight->cdb[0], memory_order_acquire);
	half[1] = atomic_load_explicit(&flight->cdb[1], memory_order_acquire);
	request->data_length = atomic_load_explicit(&flight->data_length, memory_order_acquire);
	if (stats_get(&flight->begun) != request->begun)
		return false;
	memcpy(request->cdb, half, sizeof(request->cdb));
	return true;
}
