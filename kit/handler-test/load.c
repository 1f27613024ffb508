/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As many requests as --depth says are in flight; the I/O thread starts the next when one ends.
 * Times are counted in buckets of a 32nd: the error of a percentile is below 4 %.
 */
#include "load.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verdict.h"

#define PARTS   32u /* buckets for each power of two */
#define BUCKETS (64 * PARTS)

struct load_slot {
	struct load *load;
	struct buffer buffer;
	uint64_t began;
};

struct load {
	struct subject *subject;
	struct load_slot *slots;
	uint64_t end;    /* ns: no request begins after it */
	uint64_t next;   /* block, for --sequential */
	uint64_t blocks; /* of the disk, in requests */
	uint64_t requests;
	uint64_t longest;
	uint64_t counts[BUCKETS];
	unsigned in_flight;
	pthread_mutex_t lock;
	pthread_cond_t idle;
};

static uint64_t load_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static unsigned load_bucket(uint64_t ns)
{
	unsigned power;

	if (ns < PARTS)
		return (unsigned) ns;
	power = 63 - (unsigned) __builtin_clzll(ns);
	return (power - 4) * PARTS + (unsigned) (ns >> (power - 5)) % PARTS;
}

/* The least time of a bucket. */
static uint64_t load_bucket_time(unsigned bucket)
{
	unsigned power = bucket / PARTS + 4;

	if (bucket < PARTS)
		return bucket;
	return (UINT64_C(1) << power) + ((uint64_t) (bucket % PARTS) << (power - 5));
}

static void load_on_done(void *userdata, int error, uint64_t result, uint32_t flags);

/* Under the lock. */
static void load_begin(struct load *load, struct load_slot *slot)
{
	struct subject *subject = load->subject;
	const struct cli *cli = subject->cli;
	bool reads = !subject_can(subject, TCMU_IO_WRITE) ||
		subject_random(subject, 100) < cli->read_percent;
	uint64_t at = cli->sequential ? load->next++ % load->blocks
				      : subject_random(subject, load->blocks);
	struct tcmu_disk_request request = {
		.size = sizeof(request),
		.op = reads ? TCMU_IO_READ : TCMU_IO_WRITE,
		.iov = slot->buffer.iov,
		.iov_cnt = slot->buffer.iov_cnt,
		.offset = at * cli->request_size,
		.length = cli->request_size,
		.done = load_on_done,
		.userdata = slot};

	slot->began = load_now();
	load->in_flight++;
	if (tcmu_disk_submit(subject->disk, &request, NULL) < 0)
		verdict_fail("a request of %u bytes cannot be submitted", cli->request_size);
}

static void load_on_done(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct load_slot *slot = userdata;
	struct load *load = slot->load;
	uint64_t now = load_now();

	(void) result;
	(void) flags;
	if (error)
		verdict_fail("a request fails under load: %s", strerror(-error));
	pthread_mutex_lock(&load->lock);
	load->requests++;
	load->counts[load_bucket(now - slot->began)]++;
	if (now - slot->began > load->longest)
		load->longest = now - slot->began;
	load->in_flight--;
	if (now < load->end)
		load_begin(load, slot);
	if (load->in_flight == 0)
		pthread_cond_signal(&load->idle);
	pthread_mutex_unlock(&load->lock);
}

static double load_percentile(const struct load *load, double percent)
{
	uint64_t wanted = (uint64_t) ((double) load->requests * percent / 100), seen = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += load->counts[i];
		if (seen > wanted)
			return (double) load_bucket_time(i) / 1000;
	}
	return (double) load->longest / 1000;
}

static void load_report(const struct load *load, uint64_t took)
{
	static const double percents[] = {50, 90, 99, 99.9};
	double seconds = (double) took / 1e9;
	char name[32];

	verdict_note("requests", "%" PRIu64, load->requests);
	verdict_note("requests-per-second", "%.0f", (double) load->requests / seconds);
	verdict_note(
		"mib-per-second", "%.1f",
		(double) load->requests * load->subject->cli->request_size / seconds / 1048576);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		(void) snprintf(name, sizeof(name), "p%g-us", percents[i]);
		verdict_note(name, "%.1f", load_percentile(load, percents[i]));
	}
	verdict_note("longest-us", "%.1f", (double) load->longest / 1000);
}

/* The numbers of the handler itself. */
static void load_report_counters(const struct subject *subject)
{
	const struct tcmu_counter *counters = tcmu_disk_counters(subject->disk);

	for (unsigned i = 0; counters && counters[i].name; i++)
		verdict_note(
			counters[i].name, "%" PRIu64, tcmu_disk_read_counter(subject->disk, i));
}

void case_load(struct subject *subject)
{
	const struct cli *cli = subject->cli;
	static struct load load = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};
	uint64_t began;

	if (cli->load_seconds <= 0)
		subject_skip(subject, "--load=0");
	subject_open(subject, SUBJECT_NEW);
	if (cli->request_size / cli->block_size >
	    subject_most_blocks(subject, TCMU_IO_WRITE, cli->request_size / cli->block_size))
		subject_skip(subject, "--request-size is more than the handler's maximum_transfer");
	load.subject = subject;
	load.blocks = cli->size / cli->request_size;
	load.slots = calloc(cli->depth, sizeof(*load.slots));
	if (!load.slots)
		abort();
	verdict_step("load");
	began = load_now();
	load.end = began + (uint64_t) (cli->load_seconds * 1e9);
	pthread_mutex_lock(&load.lock);
	for (unsigned i = 0; i < cli->depth; i++) {
		load.slots[i].load = &load;
		buffer_init(&load.slots[i].buffer, cli->request_size, BUFFER_WHOLE);
		load_begin(&load, &load.slots[i]);
	}
	while (load.in_flight)
		pthread_cond_wait(&load.idle, &load.lock);
	pthread_mutex_unlock(&load.lock);
	load_report(&load, load_now() - began);
	load_report_counters(subject);
	subject_close(subject);
	for (unsigned i = 0; i < cli->depth; i++)
		buffer_release(&load.slots[i].buffer);
	free(load.slots);
}
