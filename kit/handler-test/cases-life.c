/* SPDX-License-Identifier: Apache-2.0 */
/* See cases-life.h. */
#include "cases-life.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"
#include "verdict.h"

#define OPENINGS     12
#define CLOSINGS     60
#define LEFT_TRIES   100 /* of 20 ms: the kernel takes time to end a thread */
#define REOPEN_BYTES (UINT64_C(2) << 20)

void case_description(struct subject *subject)
{
	const struct tcmu_handler *handler = subject->handler;
	const char *path = tcmu_plugin_path(subject->plugin);
	char expected[96];
	const char *file = strrchr(path, '/');
	unsigned locks = !!handler->lock + !!handler->unlock + !!handler->lock_state;

	verdict_note("subtype", "%s", handler->subtype);
	verdict_note(
		"threading", "%s",
		handler->threading == TCMU_HANDLER_ASYNC            ? "asynchronous"
			: handler->threading == TCMU_HANDLER_SERIAL ? "serial"
								    : "parallel");
	(void) snprintf(expected, sizeof(expected), "handler_%s.so", handler->subtype);
	if (strcmp(file ? file + 1 : path, expected) != 0)
		verdict_fail(
			"the file is named %s: the daemon expects %s", file ? file + 1 : path,
			expected);
	if (!handler->name || !*handler->name)
		verdict_fail("the handler has no name for people");
	if (!handler->config_desc || !*handler->config_desc)
		verdict_fail("the handler has no config_desc, which targetcli shows");
	if (locks != 0 && locks != 3)
		verdict_fail("the handler has %u of lock, unlock and lock_state", locks);
	if (handler->workers && handler->threading != TCMU_HANDLER_PARALLEL)
		verdict_fail("the handler sets workers, and is not PARALLEL");
	for (const struct tcmu_option *option = handler->options; option && option->name; option++)
		if (!option->help)
			verdict_warn("the option \"%s\" has no help", option->name);
}

/* open refuses what check_config refuses; the host checks the reason. */
static void life_expect_refusal(struct subject *subject, const char *config)
{
	struct cli cli = *subject->cli;
	struct subject other = *subject;
	struct tcmu_reason reason = {""};

	cli.config = config;
	other.cli = &cli;
	if (subject_open_quietly(&other, SUBJECT_NEW, &reason) >= 0)
		verdict_fail("open does not refuse what check_config refuses: %s", config);
}

void case_check_config(struct subject *subject)
{
	const struct cli *cli = subject->cli;
	struct tcmu_reason reason;
	int r;

	verdict_step("check_config");
	for (unsigned i = 0; i < 2; i++) {
		reason.text[0] = '\0';
		r = tcmu_plugin_check(
			subject->plugin, cli->config, i ? 0 : cli->size, i ? 0 : cli->block_size,
			&reason);
		if (r != 0)
			verdict_fail(
				"check_config refuses the config string%s (%d): %s",
				i ? " while the size is not known" : "", r, reason.text);
		if (reason.text[0])
			verdict_fail("check_config accepts, with a reason: %s", reason.text);
	}
	for (unsigned i = 0; i < CLI_REFUSALS && cli->refusals[i]; i++) {
		reason.text[0] = '\0';
		r = tcmu_plugin_check(
			subject->plugin, cli->refusals[i], cli->size, cli->block_size, &reason);
		if (r >= 0)
			verdict_fail("the config string is not refused: %s", cli->refusals[i]);
		if (!reason.text[0])
			verdict_fail("a refusal without a reason: %s", cli->refusals[i]);
		verdict_note("refusal", "%s", reason.text);
		life_expect_refusal(subject, cli->refusals[i]);
	}
}

/* ------- what is left ------- */

static unsigned life_count_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned cnt = 0;

	while (dir && readdir(dir))
		cnt++;
	if (dir)
		closedir(dir);
	return cnt;
}

/* Waits until there are no more than before. */
static void life_expect_no_more(const char *directory, const char *what, unsigned before)
{
	unsigned now = life_count_entries(directory);

	for (unsigned i = 0; now > before && i < LEFT_TRIES; i++) {
		(void) poll(NULL, 0, 20);
		now = life_count_entries(directory);
	}
	if (now > before)
		verdict_fail("close leaves %u %s behind", now - before, what);
}

void case_open_close(struct subject *subject)
{
	unsigned fds = 0, threads = 0;

	for (unsigned i = 0; i < OPENINGS; i++) {
		char claim[128];
		struct tcmu_reason reason = {""};

		subject_open(subject, i ? SUBJECT_AGAIN : SUBJECT_NEW);
		if (i == 0 && subject->handler->claim) {
			(void) tcmu_plugin_claim(
				subject->plugin, subject->cli->config, claim, sizeof(claim),
				&reason);
			if (*claim && strcmp(claim, subject->info->claim) != 0)
				verdict_fail(
					"claim says \"%s\", open says \"%s\"", claim,
					subject->info->claim);
		}
		subject_close(subject);
		/* The first time may leave what is made once. */
		if (i == 0) {
			fds = life_count_entries("/proc/self/fd");
			threads = life_count_entries("/proc/self/task");
		}
	}
	life_expect_no_more("/proc/self/task", "threads", threads);
	life_expect_no_more("/proc/self/fd", "descriptors", fds);
}

/* ------- properties ------- */

static void life_check_bytes(struct subject *subject, const char *name, uint64_t bytes)
{
	if (bytes % subject->cli->block_size)
		verdict_fail(
			"%s is %" PRIu64 " bytes, no multiple of the block of %u bytes", name,
			bytes, subject->cli->block_size);
}

void case_properties(struct subject *subject)
{
	const struct tcmu_backend_info *info;
	uint64_t known = TCMU_CAP_ATOMIC | TCMU_CAP_COMMANDS, caps;

	for (int op = TCMU_IO_READ; op <= TCMU_IO_WRITE_SAME; op++)
		known |= TCMU_IO_CAP(op);
	subject_open(subject, SUBJECT_NEW);
	info = subject->info;
	caps = info->caps;
	verdict_note("caps", "%#" PRIx64, caps);
	verdict_note("claim", "%s", info->claim);
	if (caps & ~known)
		verdict_fail("caps has unknown bits: %#" PRIx64, caps & ~known);
	if (!(caps & TCMU_IO_CAP(TCMU_IO_READ)))
		verdict_fail("caps has no READ");
	if (info->volatile_cache && !(caps & TCMU_IO_CAP(TCMU_IO_FLUSH)))
		verdict_fail("volatile_cache is set, and caps has no FLUSH");
	if (info->thin && !(caps & TCMU_IO_CAP(TCMU_IO_UNMAP)))
		verdict_fail("thin is set, and caps has no UNMAP");
	if (!(caps & TCMU_IO_CAP(TCMU_IO_WRITE)) &&
	    (caps & known & ~(TCMU_CAP_ATOMIC | TCMU_CAP_COMMANDS)) >> 3 << 3 &
		    ~TCMU_IO_CAP(TCMU_IO_MAP))
		verdict_fail("caps has operations that write, and no WRITE");
	if ((caps & TCMU_CAP_ATOMIC) && !(caps & TCMU_IO_CAP(TCMU_IO_WRITE)))
		verdict_fail("caps has ATOMIC, and no WRITE");
	if (info->physical_block & (info->physical_block - 1))
		verdict_fail("physical_block is %u, no power of two", info->physical_block);
	life_check_bytes(subject, "physical_block", info->physical_block);
	life_check_bytes(subject, "optimal_transfer", info->optimal_transfer);
	life_check_bytes(subject, "maximum_transfer", info->maximum_transfer);
	life_check_bytes(subject, "unmap_granularity", info->unmap_granularity);
	life_check_bytes(subject, "maximum_unmap", info->maximum_unmap);
	life_check_bytes(subject, "maximum_compare_and_write", info->maximum_compare_and_write);
	life_check_bytes(subject, "atomic_write", info->atomic_write);
	if (info->maximum_transfer && info->optimal_transfer > info->maximum_transfer)
		verdict_fail("optimal_transfer is greater than maximum_transfer");
	if (!info->claim[0])
		verdict_warn(
			"info.claim is empty: the daemon cannot refuse a second disk on the same "
			"store");
	subject_close(subject);
}

/* ------- more than one opening ------- */

static void life_region(struct subject *subject, struct model *model)
{
	uint64_t bytes = subject->cli->size < REOPEN_BYTES ? subject->cli->size : REOPEN_BYTES;

	subject_model(subject, model, 0, bytes / subject->cli->block_size);
}

static void life_needs_writes(struct subject *subject)
{
	if (!subject_can(subject, TCMU_IO_WRITE))
		subject_skip(subject, "the handler has no WRITE");
}

void case_reopen(struct subject *subject)
{
	struct traffic_setup setup = {.depth = 16, .requests = 400, .most_blocks = 64};
	struct model model;

	if (subject->cli->keeps != CLI_KEEPS_STORE)
		subject_skip(subject, "the handler keeps no data after close");
	subject_open(subject, SUBJECT_NEW);
	life_needs_writes(subject);
	life_region(subject, &model);
	for (unsigned i = 0; i < 3; i++) {
		traffic_run(subject, &model, &setup, NULL);
		if (i == 1)
			subject_flush(subject);
		subject_close(subject);
		subject_open(subject, SUBJECT_AGAIN);
		subject_verify_all(subject, &model);
	}
	subject_close(subject);
	model_free(&model);
}

void case_read_only(struct subject *subject)
{
	struct model model;
	uint64_t writes = 0;

	for (int op = TCMU_IO_READ; op <= TCMU_IO_WRITE_SAME; op++)
		if (op != TCMU_IO_READ && op != TCMU_IO_MAP && op != TCMU_IO_FLUSH)
			writes |= TCMU_IO_CAP(op);
	subject_open(subject, SUBJECT_NEW);
	life_region(subject, &model);
	if (subject_can(subject, TCMU_IO_WRITE))
		subject_write(subject, &model, 0, 16, 0, BUFFER_WHOLE);
	subject_flush(subject);
	subject_close(subject);
	if (subject->handler->flags & TCMU_HANDLER_RAW_CONFIG)
		subject_skip(subject, "a config string with another syntax has no ro=1");
	subject_open(subject, SUBJECT_READ_ONLY | SUBJECT_AGAIN);
	if (subject->info->caps & writes)
		verdict_warn(
			"caps of a read-only disk has operations that write (%#" PRIx64
			"): the daemon does not use them",
			subject->info->caps & writes);
	if (subject->cli->keeps == CLI_KEEPS_STORE)
		subject_verify(subject, &model, 0, 16, BUFFER_PAGES);
	subject_close(subject);
	model_free(&model);
}

/* Requests in flight, and close as soon as the last has ended. */
void case_close_at_once(struct subject *subject)
{
	for (unsigned i = 0; i < CLOSINGS; i++) {
		uint64_t most;
		struct buffer buffers[8];
		struct tcmu_disk_request request = {.size = sizeof(request), .op = TCMU_IO_READ};

		subject_open(subject, i ? SUBJECT_AGAIN : SUBJECT_NEW);
		most = subject_most_blocks(subject, TCMU_IO_READ, 16);
		for (unsigned n = 0; n < 8; n++) {
			buffer_init(
				&buffers[n], most * subject->cli->block_size,
				(enum buffer_shape)(n % BUFFER_SHAPES));
			request.iov = buffers[n].iov;
			request.iov_cnt = buffers[n].iov_cnt;
			request.offset = n * buffers[n].length;
			request.length = buffers[n].length;
			if (tcmu_disk_submit(subject->disk, &request, NULL) < 0)
				verdict_fail("a READ cannot be submitted");
		}
		subject_close(subject);
		for (unsigned n = 0; n < 8; n++)
			buffer_release(&buffers[n]);
	}
	/* Calls after close are noticed now. */
	(void) poll(NULL, 0, 200);
}

/* ------- resize ------- */

static const struct traffic_setup resize_traffic = {.depth = 8, .requests = 100, .most_blocks = 16};

struct life_background {
	struct subject *subject;
	struct model *model;
	pthread_t thread;
	atomic_bool stop;
};

static void *life_run_background(void *arg)
{
	struct life_background *background = arg;

	while (!atomic_load(&background->stop))
		traffic_run(background->subject, background->model, &resize_traffic, NULL);
	return NULL;
}

static int life_resize(struct subject *subject, uint64_t size)
{
	struct tcmu_reason reason;
	int r;

	verdict_step("resize");
	r = tcmu_disk_resize(subject->disk, size, &reason);
	verdict_step("requests");
	if (r < 0)
		verdict_note("resize-refused", "%s", reason.text);
	return r;
}

/* The blocks at the end of the disk work. */
static void life_use_end(struct subject *subject)
{
	uint32_t block = subject->cli->block_size;
	uint64_t blocks = tcmu_disk_size(subject->disk) / block;
	struct model end;

	subject_model(subject, &end, blocks - 8, 8);
	end.serial += 1 << 20;
	subject_write(subject, &end, blocks - 8, 8, 0, BUFFER_WHOLE);
	subject_verify(subject, &end, blocks - 8, 8, BUFFER_BLOCKS);
	model_free(&end);
}

void case_resize(struct subject *subject)
{
	uint64_t size = subject->cli->size;
	struct life_background background = {.subject = subject};
	struct model model;
	int larger, smaller;

	if (!subject->handler->resize)
		subject_skip(subject, "the handler has no function resize");
	subject_open(subject, SUBJECT_NEW);
	life_needs_writes(subject);
	life_region(subject, &model);
	background.model = &model;
	/* So that there are data to lose when the size changes, whenever the thread starts. */
	traffic_run(subject, &model, &resize_traffic, NULL);
	if (pthread_create(&background.thread, NULL, life_run_background, &background) != 0)
		verdict_fail("no thread can be started");
	larger = life_resize(subject, size + (UINT64_C(4) << 20));
	smaller = larger == 0 ? life_resize(subject, size) : 0;
	atomic_store(&background.stop, true);
	pthread_join(background.thread, NULL);
	if (larger == 0 && smaller != 0)
		verdict_note("size", "it stays larger, with a reason");
	life_use_end(subject);
	subject_verify_all(subject, &model);
	subject_close(subject);
	model_free(&model);
	if (larger < 0)
		verdict_warn("the handler refuses a larger size");
}

void case_lock(struct subject *subject)
{
	struct tcmu_reason reason;
	uint16_t tag = 0;
	bool ours = false;
	int r;

	if (!subject->handler->lock)
		subject_skip(subject, "the handler has no lock");
	subject_open(subject, SUBJECT_NEW);
	verdict_step("lock");
	r = tcmu_disk_lock(subject->disk, 7, &reason);
	if (r < 0)
		verdict_fail("lock fails: %s", reason.text);
	r = tcmu_disk_lock_state(subject->disk, &ours, &tag);
	if (r < 0 || !ours || tag != 7)
		verdict_fail("after lock(7), lock_state says %d, ours %d, tag %u", r, ours, tag);
	r = tcmu_disk_lock(subject->disk, 8, &reason);
	if (r == 0)
		r = tcmu_disk_lock_state(subject->disk, &ours, &tag);
	if (r < 0 || !ours || tag != 8)
		verdict_fail("a lock that is held does not take the new tag");
	r = tcmu_disk_unlock(subject->disk);
	if (r < 0)
		verdict_fail("unlock fails: %s", strerror(-r));
	r = tcmu_disk_lock_state(subject->disk, &ours, &tag);
	if (r < 0 || ours)
		verdict_fail("after unlock, lock_state says %d, ours %d", r, ours);
	r = tcmu_disk_unlock(subject->disk);
	if (r < 0)
		verdict_fail("unlock of a lock that is not held fails: %s", strerror(-r));
	subject_close(subject);
}
