/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check is a job with a time limit. Its thread uses the job's own copies only. When the limit
 * passes first, the caller is answered then, and the job stays alone until its handler returns, if
 * it ever does.
 */
#include "config/check.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/container-of.h"
#include "base/log.h"
#include "base/reason.h"
#include "config/handler-call.h"
#include "config/options.h"

#define RUNNING_MAX   64
#define SUBTYPE_MAX   64
#define ACCURACY_USEC 10000

struct checks {
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	GQueue running; /* struct check: all whose thread has not ended */
};

struct check {
	struct job job;
	GList link;
	struct checks *checks;              /* NULL: not in its list, or checks_free() was called */
	const struct tcmu_handler *handler; /* not for the thread, which may outlive the handlers */
	struct handler_call *call;          /* the thread's */
	struct options *options;
	int result;
	struct tcmu_reason reason;
	sd_event_source *timer;
	unsigned timeout_ms;
	check_done_fn *done; /* NULL: the caller has been answered */
	void *userdata;
};

/* On the check's thread. */
static void check_work(struct job *job)
{
	struct check *check = container_of(job, struct check, job);

	assert(check->call && check->options);
	check->result = handler_call_check(check->call, &check->reason);
}

/* Takes the caller's function, so that it is called once. */
static check_done_fn *check_take_caller(struct check *check)
{
	check_done_fn *done = check->done;

	check->done = NULL;
	check->timer = sd_event_source_disable_unref(check->timer);
	return done;
}

static void check_unlink(struct check *check)
{
	if (!check->checks)
		return;
	assert(g_queue_link_index(&check->checks->running, &check->link) >= 0);
	g_queue_unlink(&check->checks->running, &check->link);
	check->checks = NULL;
}

static void check_free(struct check *check)
{
	assert(!check->done);
	check_unlink(check);
	handler_call_free(check->call);
	options_free(check->options);
	g_free(check);
}

static void check_ended(struct job *job)
{
	struct check *check = container_of(job, struct check, job);
	check_done_fn *done = check_take_caller(check);
	struct tcmu_reason answer;

	if (check->result >= 0)
		(void) snprintf(answer.text, sizeof(answer.text), "success");
	else if (check->reason.text[0])
		answer = check->reason;
	else
		(void) reason_refuse(
			&answer, check->result, "the %s handler refuses it: %s",
			check->handler->subtype, strerror(-check->result));
	if (done)
		done(check->userdata, check->result >= 0, answer.text);
	else if (check->checks)
		log_warning(
			"the %s handler's check of \"%s\", which had timed out, has returned: %s",
			check->handler->subtype, options_config(check->options)->target,
			answer.text);
	check_free(check);
}

static int on_check_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct check *check = userdata;
	check_done_fn *done;
	struct tcmu_reason reason;

	(void) source;
	(void) usec;
	assert(check->done && check->checks);
	(void) reason_refuse(
		&reason, -ETIMEDOUT, "the %s handler has not answered within %u.%u s",
		check->handler->subtype, check->timeout_ms / 1000, check->timeout_ms % 1000 / 100);
	log_warning(
		"the check of \"%s\" timed out: %s; check its backing store",
		options_config(check->options)->target, reason.text);
	done = check_take_caller(check);
	done(check->userdata, false, reason.text);
	return 0;
}

static int check_launch(struct checks *checks, struct check *check)
{
	int r;

	assert(check->done && !check->checks);
	if (checks->running.length >= RUNNING_MAX)
		return -EBUSY;
	r = sd_event_add_time_relative(
		checks->event, &check->timer, CLOCK_MONOTONIC, check->timeout_ms * UINT64_C(1000),
		ACCURACY_USEC, on_check_timeout, check);
	if (r >= 0)
		r = job_start(checks->mailbox, &check->job, "tcmud-check");
	if (r < 0)
		return r;
	check->checks = checks;
	check->link.data = check;
	g_queue_push_tail_link(&checks->running, &check->link);
	return 0;
}

/* Finds the handler for text and decodes its options. 0, or -errno with a reason. */
static int check_prepare(
	const struct checks *checks, const char *wanted, const char *text,
	const struct tcmu_handler **handler, struct options **options, struct tcmu_reason *reason)
{
	const struct handlers_entry *entry;
	char subtype[SUBTYPE_MAX];
	int r = options_check_text(text, reason);

	if (r < 0)
		return r;
	if (!options_subtype(text, subtype, sizeof(subtype)))
		return reason_refuse(
			reason, -EINVAL,
			"the config string does not begin with a handler's name and a '/'");
	if (wanted && strcmp(wanted, subtype) != 0)
		return reason_refuse(
			reason, -EINVAL, "the string is for the handler \"%s\", not \"%s\"",
			subtype, wanted);
	entry = handlers_lookup(checks->handlers, subtype);
	if (!entry || !entry->handler)
		return reason_refuse(
			reason, -ENOENT, "%s", entry ? entry->problem : "there is no such handler");
	*handler = entry->handler;
	return options_parse(text, entry->handler, options, reason);
}

void check_start(
	struct checks *checks, const char *subtype, const char *text, unsigned timeout_ms,
	check_done_fn *done, void *userdata)
{
	const struct tcmu_handler *handler = NULL;
	struct tcmu_reason reason = {""};
	struct options *options = NULL;
	struct check *check;
	int r = check_prepare(checks, subtype, text, &handler, &options, &reason);

	assert(done && (r < 0 || handler));
	if (r < 0 || !handler->check_config) {
		options_free(options);
		done(userdata, r >= 0, r >= 0 ? "success" : reason.text);
		return;
	}
	check = g_new0(struct check, 1);
	*check = (struct check){
		.job = {.work = check_work, .done = check_ended},
		.handler = handler,
		.call = handler_call_new(handler, options_config(options)),
		.options = options,
		.timeout_ms = timeout_ms,
		.done = done,
		.userdata = userdata,
	};
	r = check_launch(checks, check);
	if (r >= 0)
		return;
	(void) check_take_caller(check);
	check_free(check);
	done(userdata, false,
	     r == -EBUSY ? "the check was not made: too many checks hang already"
			 : "the check was not made: no thread can be started; try again");
}

unsigned checks_running(const struct checks *checks)
{
	return checks->running.length;
}

struct checks *checks_new(sd_event *event, struct mailbox *mailbox, const struct handlers *handlers)
{
	struct checks *checks = g_new0(struct checks, 1);

	assert(event && mailbox && handlers);
	checks->event = event;
	checks->mailbox = mailbox;
	checks->handlers = handlers;
	g_queue_init(&checks->running);
	return checks;
}

void checks_free(struct checks *checks)
{
	if (!checks)
		return;
	while (!g_queue_is_empty(&checks->running)) {
		struct check *check = g_queue_peek_head(&checks->running);
		check_done_fn *done = check_take_caller(check);

		assert(check->checks == checks);
		check_unlink(check);
		if (done)
			done(check->userdata, false, "the daemon stops");
	}
	g_free(checks);
}
