/* SPDX-License-Identifier: Apache-2.0 */
/* See cases-faults.h. */
#include "cases-faults.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "traffic.h"
#include "verdict.h"

#define REGION_BYTES (UINT64_C(4) << 20)
#define SLOW_MS      30
#define SLOW_DEPTH   32
#define SLOW_ROUNDS  3 /* one of them must be fast: a busy host makes some slow */
#define STUCK        16
#define CANCEL_MS    5000

static void faults_open(struct subject *subject, struct model *model)
{
	uint64_t size = subject->cli->size < REGION_BYTES ? subject->cli->size : REGION_BYTES;

	subject_open(subject, SUBJECT_NEW);
	if (!subject_can(subject, TCMU_IO_WRITE))
		subject_skip(subject, "the handler has no WRITE");
	subject_model(subject, model, 0, size / subject->cli->block_size);
}

static void faults_close(struct subject *subject, struct model *model)
{
	subject_close(subject);
	model_free(model);
}

/* Ends the test where there is nothing to inject faults into. */
static void faults_need_system_calls(struct subject *subject, struct model *model)
{
	struct tcmu_disk_stats stats = {.size = sizeof(stats)};

	subject_write(subject, model, 0, 1, 0, BUFFER_WHOLE);
	subject_verify(subject, model, 0, 1, BUFFER_WHOLE);
	tcmu_disk_read_stats(subject->disk, &stats);
	if (!stats.system_calls)
		subject_skip(subject, "the handler makes no system call by tcmu_io_aio()");
}

static uint64_t faults_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

void case_cancel(struct subject *subject)
{
	struct traffic_setup setup = {
		.depth = 32, .requests = 1000, .most_blocks = 64, .cancel_percent = 60};
	struct traffic_setup after = {.depth = 16, .requests = 200, .most_blocks = 64};
	struct traffic_result result;
	struct model model;

	faults_open(subject, &model);
	verdict_step("cancelled requests");
	traffic_run(subject, &model, &setup, &result);
	verdict_note("cancelled", "%" PRIu64 " of %" PRIu64, result.cancelled, result.requests);
	subject_verify_all(subject, &model);
	traffic_run(subject, &model, &after, NULL);
	subject_verify_all(subject, &model);
	faults_close(subject, &model);
}

/* ------- released memory ------- */

/* The daemon takes the memory away under a request that is stuck. */
void case_released_memory(struct subject *subject)
{
	struct buffer buffer;
	struct model model;
	int r;

	if (!(subject->handler->flags & TCMU_HANDLER_SYSCALLS_ONLY))
		subject_skip(
			subject,
			"without TCMU_HANDLER_SYSCALLS_ONLY the daemon leaves the bytes in their "
			"place");
	faults_open(subject, &model);
	subject_write(subject, &model, 0, 64, 0, BUFFER_WHOLE);
	for (unsigned shape = 0; shape < BUFFER_SHAPES; shape++) {
		for (unsigned write = 0; write < 2; write++) {
			buffer_init(
				&buffer, 8 * (size_t) model.block_size, (enum buffer_shape) shape);
			buffer_seal(&buffer, true);
			verdict_step("a request whose memory was released");
			r = subject_try(
				subject, write ? TCMU_IO_WRITE : TCMU_IO_READ, 0, 8, 8, &buffer,
				NULL, NULL);
			buffer_seal(&buffer, false);
			if (r == 0 && subject->cli->keeps != CLI_KEEPS_NOTHING)
				verdict_fail(
					"a %s whose memory was released succeeds",
					write ? "WRITE" : "READ");
			buffer_release(&buffer);
		}
	}
	verdict_step("requests");
	subject_verify_all(subject, &model);
	faults_close(subject, &model);
}

/* ------- system calls that fail ------- */

/* Acknowledged data may be lost: the daemon opens the backend again, and so does the test. */
static void faults_reopen(struct subject *subject, struct model *model)
{
	if (!atomic_load(&subject->failed))
		return;
	subject_close(subject);
	subject_open(subject, SUBJECT_AGAIN);
	for (uint64_t i = 0; i < model->blocks; i++)
		model_forget(model, model->first + i);
}

/* A FLUSH whose system call fails must fail, and so must every later one. */
static void faults_test_flush(struct subject *subject)
{
	struct tcmu_disk_fault fault = {
		.size = sizeof(fault),
		.kind = TCMU_FAULT_FAIL,
		.op = TCMU_AIO_FDATASYNC,
		.first = 1,
		.count = 1,
		.value = -EIO};
	struct tcmu_disk_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
	int r;

	if (!subject_can(subject, TCMU_IO_FLUSH) || !subject->info->volatile_cache)
		return;
	tcmu_disk_read_stats(subject->disk, &before);
	tcmu_disk_inject(subject->disk, &fault);
	r = subject_try(subject, TCMU_IO_FLUSH, 0, 0, 0, NULL, NULL, NULL);
	tcmu_disk_clear_faults(subject->disk);
	tcmu_disk_read_stats(subject->disk, &after);
	if (after.system_calls == before.system_calls)
		return;
	if (r == 0)
		verdict_fail("FLUSH succeeds although its system call fails");
	if (!atomic_load(&subject->failed))
		verdict_fail("a FLUSH has failed, and the handler reports no "
			     "TCMU_BACKEND_FAILED");
	if (subject_try(subject, TCMU_IO_FLUSH, 0, 0, 0, NULL, NULL, NULL) == 0)
		verdict_fail("a FLUSH succeeds after one has failed: data may be lost unnoticed");
}

void case_errors(struct subject *subject)
{
	static const int errors[] = {EIO,   ENOSPC, EDQUOT,    EROFS,  ENOMEM, EAGAIN, EINTR,
				     EBUSY, EINVAL, ETIMEDOUT, ENODEV, EPERM,  ENOLINK};
	struct traffic_setup setup = {
		.depth = 8, .requests = 40, .most_blocks = 32, .may_fail = true};
	struct traffic_setup after = {.depth = 8, .requests = 16, .most_blocks = 32};
	struct traffic_result result;
	uint64_t failed = 0;
	struct model model;

	faults_open(subject, &model);
	faults_need_system_calls(subject, &model);
	faults_test_flush(subject);
	faults_reopen(subject, &model);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		for (unsigned first = 1; first <= 9; first += 4) {
			struct tcmu_disk_fault fault = {
				.size = sizeof(fault),
				.kind = TCMU_FAULT_FAIL,
				.first = first,
				.count = 3,
				.value = -errors[i]};

			verdict_step("requests whose system calls fail");
			tcmu_disk_inject(subject->disk, &fault);
			traffic_run(subject, &model, &setup, &result);
			tcmu_disk_clear_faults(subject->disk);
			failed += result.failed;
			faults_reopen(subject, &model);
			traffic_run(subject, &model, &after, NULL);
		}
	}
	verdict_note("failed", "%" PRIu64, failed);
	if (!failed)
		verdict_fail("no request fails although system calls do");
	subject_verify_all(subject, &model);
	faults_close(subject, &model);
}

void case_short_transfers(struct subject *subject)
{
	static const unsigned lengths[] = {1, 511, 512, 4095, 4096, 5000};
	struct traffic_setup setup = {
		.depth = 8, .requests = 120, .most_blocks = 64, .may_fail = false};
	struct model model;

	faults_open(subject, &model);
	faults_need_system_calls(subject, &model);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct tcmu_disk_fault fault = {
			.size = sizeof(fault),
			.kind = TCMU_FAULT_SHORT,
			.first = 1 + (unsigned) i,
			.count = 40,
			.value = lengths[i]};

		verdict_step("requests whose system calls fall short");
		tcmu_disk_inject(subject->disk, &fault);
		setup.plain = true;
		traffic_run(subject, &model, &setup, NULL);
		tcmu_disk_clear_faults(subject->disk);
		subject_verify_all(subject, &model);
	}
	faults_close(subject, &model);
}

/* ------- slow and hung ------- */

/* The same traffic with and without slow system calls. Returns by how many milliseconds they make
 * it longer: a backend that is slow by itself, or on a busy host, is so both times. */
static uint64_t faults_delay_costs(
	struct subject *subject, struct model *model, struct traffic_setup *setup)
{
	struct tcmu_disk_fault fault = {
		.size = sizeof(fault), .kind = TCMU_FAULT_DELAY, .first = 1, .value = SLOW_MS};
	uint64_t began = faults_now_ms(), plain, slow;

	traffic_run(subject, model, setup, NULL);
	plain = faults_now_ms() - began;
	tcmu_disk_inject(subject->disk, &fault);
	began = faults_now_ms();
	traffic_run(subject, model, setup, NULL);
	slow = faults_now_ms() - began;
	tcmu_disk_clear_faults(subject->disk);
	return slow > plain ? slow - plain : 0;
}

void case_slow_backend(struct subject *subject)
{
	struct traffic_setup setup = {
		.depth = SLOW_DEPTH,
		.requests = UINT64_C(4) * SLOW_DEPTH,
		.most_blocks = 8,
		.plain = true};
	/* One after the other they take 128 times the delay. */
	uint64_t most = setup.requests * (uint64_t) SLOW_MS / 2, costs = UINT64_MAX;
	struct model model;

	faults_open(subject, &model);
	faults_need_system_calls(subject, &model);
	verdict_step("requests whose system calls are slow");
	for (unsigned round = 0; round < SLOW_ROUNDS && costs > most; round++)
		costs = faults_delay_costs(subject, &model, &setup);
	verdict_note("milliseconds", "%" PRIu64, costs);
	if (costs > most)
		verdict_fail(
			"%" PRIu64 " requests of %u ms take %" PRIu64
			" ms more with %u in flight: they are not served side by side",
			setup.requests, SLOW_MS, costs, SLOW_DEPTH);
	subject_verify_all(subject, &model);
	faults_close(subject, &model);
}

struct faults_ended {
	pthread_mutex_t lock;
	unsigned cnt;
	unsigned good;
	int error;
};

static void faults_on_end(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct faults_ended *ended = userdata;

	(void) result;
	(void) flags;
	pthread_mutex_lock(&ended->lock);
	ended->cnt++;
	ended->good += error == 0 ? 1 : 0;
	if (error && error != -ECANCELED)
		ended->error = error;
	pthread_mutex_unlock(&ended->lock);
}

/* Reads that hang. */
static void faults_submit_reads(
	struct subject *subject, struct buffer *buffers, uint64_t *ids, struct faults_ended *ended)
{
	*ended = (struct faults_ended){.lock = PTHREAD_MUTEX_INITIALIZER};
	for (unsigned i = 0; i < STUCK; i++) {
		struct tcmu_disk_request request = {
			.size = sizeof(request),
			.op = TCMU_IO_READ,
			.offset = (uint64_t) i * subject->cli->block_size,
			.length = subject->cli->block_size,
			.done = faults_on_end,
			.userdata = ended};

		buffer_init(&buffers[i], subject->cli->block_size, BUFFER_WHOLE);
		request.iov = buffers[i].iov;
		request.iov_cnt = buffers[i].iov_cnt;
		if (tcmu_disk_submit(subject->disk, &request, &ids[i]) < 0)
			verdict_fail("a READ cannot be submitted");
	}
}

static void faults_release(struct buffer *buffers)
{
	for (unsigned i = 0; i < STUCK; i++)
		buffer_release(&buffers[i]);
}

void case_hung_backend(struct subject *subject)
{
	struct tcmu_disk_fault fault = {
		.size = sizeof(fault), .kind = TCMU_FAULT_STICK, .first = 1};
	struct buffer buffers[STUCK];
	struct faults_ended ended;
	struct model model;
	uint64_t ids[STUCK];

	faults_open(subject, &model);
	faults_need_system_calls(subject, &model);
	subject_write(subject, &model, 0, STUCK, 0, BUFFER_WHOLE);
	/* They hang, and go on. */
	tcmu_disk_inject(subject->disk, &fault);
	faults_submit_reads(subject, buffers, ids, &ended);
	(void) tcmu_disk_drain(subject->disk, 50);
	tcmu_disk_clear_faults(subject->disk);
	tcmu_disk_unstick(subject->disk);
	verdict_step("requests that hung and go on");
	if (tcmu_disk_drain(subject->disk, CANCEL_MS) < 0)
		verdict_fail("requests do not end although their system calls have");
	if (ended.good != STUCK)
		verdict_fail("%u of %u requests that hung fail", STUCK - ended.good, STUCK);
	faults_release(buffers);
	/* They hang, and are cancelled. */
	tcmu_disk_inject(subject->disk, &fault);
	faults_submit_reads(subject, buffers, ids, &ended);
	for (unsigned i = 0; i < STUCK; i++)
		tcmu_disk_cancel(subject->disk, ids[i]);
	verdict_step("cancelled requests whose system calls hang");
	if (tcmu_disk_drain(subject->disk, CANCEL_MS) < 0)
		verdict_fail("requests do not end although their system calls were cancelled");
	if (ended.error)
		verdict_fail(
			"a cancelled request ends with %s, expected ECANCELED or success",
			strerror(-ended.error));
	tcmu_disk_clear_faults(subject->disk);
	faults_release(buffers);
	verdict_step("requests");
	subject_verify_all(subject, &model);
	faults_close(subject, &model);
}

static void faults_run_command(const char *command)
{
	char *words[] = {(char *) "sh", (char *) "-c", (char *) command, NULL};
	int status = 0, r;
	pid_t pid;

	verdict_step("a command of --stall or --resume");
	r = posix_spawn(&pid, "/bin/sh", NULL, NULL, words, environ);
	if (r != 0)
		verdict_fail("cannot run /bin/sh: %s", strerror(r));
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		verdict_fail("the command fails with status %#x: %s", status, command);
	verdict_step("requests");
}

void case_stalled_backend(struct subject *subject)
{
	struct buffer buffers[STUCK];
	struct faults_ended ended;
	struct tcmu_disk_stats stats = {.size = sizeof(stats)};
	struct model model;
	uint64_t ids[STUCK];

	if (!subject->cli->stall)
		subject_skip(subject, "--stall and --resume are not given");
	faults_open(subject, &model);
	subject_write(subject, &model, 0, STUCK, 0, BUFFER_WHOLE);
	faults_run_command(subject->cli->stall);
	faults_submit_reads(subject, buffers, ids, &ended);
	(void) tcmu_disk_drain(subject->disk, 300);
	tcmu_disk_read_stats(subject->disk, &stats);
	verdict_note("stalled", "%u of %u", stats.in_flight, STUCK);
	for (unsigned i = 0; i < STUCK; i += 2)
		tcmu_disk_cancel(subject->disk, ids[i]);
	(void) tcmu_disk_drain(subject->disk, 300);
	tcmu_disk_read_stats(subject->disk, &stats);
	verdict_note("after-cancellation", "%u of %u", stats.in_flight, STUCK);
	if (stats.longest_submit > UINT64_C(500000000))
		verdict_fail("submit of an ASYNC handler waits for the backend");
	faults_run_command(subject->cli->resume);
	verdict_step("requests after --resume");
	while (tcmu_disk_drain(subject->disk, 1000) < 0)
		;
	if (ended.error)
		verdict_fail("a request ends with %s after --resume", strerror(-ended.error));
	faults_release(buffers);
	subject_verify_all(subject, &model);
	faults_close(subject, &model);
}
