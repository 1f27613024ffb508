/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check is a job with a time limit. Its thread has the job's own copies only; when the limit
 * passes first, the caller gets its answer then, and the job stays alone until its handler returns,
 * if it ever does.
 */
#include "config/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/options.h"

#define RUNNING_MAX   64
#define SUBTYPE_MAX   64
#define ACCURACY_USEC 10000

struct checks {
	sd_event *event;
	struct mailbox *mailbox;
	const struct handlers *handlers;
	struct check *running; /* all whose thread has not ended, those without a caller too */
	unsigned cnt;
};

struct check {
	struct job job;
	struct checks *checks; /* NULL: freed meanwhile */
	struct check *next, **link;
	const struct tcmu_handler *handler; /* not for the thread: it may outlive the registry */
	int (*check_config)(const struct tcmu_config *config, struct tcmu_reason *reason);
	struct options *options;
	int result;
	struct tcmu_reason reason;
	sd_event_source *timer;
	unsigned timeout_ms;
	check_done_fn *done; /* NULL: the caller has been answered, or is gone */
	void *userdata;
};

/* On the check's thread. */
static void check_work(struct job *job)
{
	struct check *check = (struct check *) job;

	check->result = check->check_config(options_config(check->options), &check->reason);
}

static void check_forget_caller(struct check *check)
{
	check->done = NULL;
	check->timer = sd_event_source_disable_unref(check->timer);
}

static void check_free(struct check *check)
{
	check_forget_caller(check);
	if (check->checks) {
		*check->link = check->next;
		if (check->next)
			check->next->link = check->link;
		check->checks->cnt--;
	}
	options_free(check->options);
	free(check);
}

static void check_ended(struct job *job)
{
	struct check *check = (struct check *) job;
	check_done_fn *done = check->done;
	char text[sizeof(check->reason.text)];

	if (check->result >= 0)
		(void) snprintf(text, sizeof(text), "success");
	else if (check->reason.text[0])
		(void) snprintf(text, sizeof(text), "%s", check->reason.text);
	else
		(void) snprintf(
			text, sizeof(text), "the %s handler refuses it: %s",
			check->handler->subtype, strerror(-check->result));
	if (!done && check->checks)
		log_warning(
			"the %s handler has ended its check of \"%s\" at last: %s",
			check->handler->subtype, options_config(check->options)->target, text);
	if (done)
		done(check->userdata, check->result >= 0, text);
	check_free(check);
}

static int on_check_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct check *check = userdata;
	check_done_fn *done = check->done;
	char text[128];

	(void) source;
	(void) usec;
	(void) snprintf(
		text, sizeof(text), "the %s handler has not answered within %u.%u s",
		check->handler->subtype, check->timeout_ms / 1000, check->timeout_ms % 1000 / 100);
	log_warning("the check of \"%s\" hangs: %s", options_config(check->options)->target, text);
	check_forget_caller(check);
	done(check->userdata, false, text);
	return 0;
}

static int check_launch(struct checks *checks, struct check *check)
{
	int r;

	if (checks->cnt >= RUNNING_MAX)
		return -EBUSY;
	r = sd_event_add_time_relative(
		checks->event, &check->timer, CLOCK_MONOTONIC, check->timeout_ms * UINT64_C(1000),
		ACCURACY_USEC, on_check_timeout, check);
	if (r >= 0)
		r = job_start(checks->mailbox, &check->job, "tcmud-check");
	if (r < 0)
		return r;
	check->checks = checks;
	check->next = checks->running;
	check->link = &checks->running;
	if (check->next)
		check->next->link = &check->next;
	checks->running = check;
	checks->cnt++;
	return 0;
}

/* The handler that is to check text, its options decoded. NULL with a reason: refused. */
static const struct tcmu_handler *check_prepare(
	const struct checks *checks, const char *subtype, const char *text,
	struct options **options, struct tcmu_reason *reason)
{
	const struct handlers_entry *entry;
	char own[SUBTYPE_MAX];

	if (options_check_text(text, reason) < 0)
		return NULL;
	if (!options_subtype(text, own, sizeof(own))) {
		(void) snprintf(
			reason->text, sizeof(reason->text),
			"it is to begin with the name of a handler and a '/'");
		return NULL;
	}
	if (subtype && strcmp(subtype, own) != 0) {
		(void) snprintf(
			reason->text, sizeof(reason->text),
			"the string is for the handler \"%s\", not \"%s\"", own, subtype);
		return NULL;
	}
	entry = handlers_lookup(checks->handlers, own);
	if (!entry || !entry->handler) {
		(void) snprintf(
			reason->text, sizeof(reason->text), "%s",
			entry ? entry->problem : "there is no such handler");
		return NULL;
	}
	return options_parse(text, entry->handler, options, reason) < 0 ? NULL : entry->handler;
}

void check_start(
	struct checks *checks, const char *subtype, const char *text, unsigned timeout_ms,
	check_done_fn *done, void *userdata)
{
	struct tcmu_reason reason = {""};
	struct options *options = NULL;
	const struct tcmu_handler *handler = check_prepare(
		checks, subtype, text, &options, &reason);
	struct check *check;
	int r;

	if (!handler || !handler->check_config) {
		options_free(options);
		done(userdata, handler, handler ? "success" : reason.text);
		return;
	}
	check = calloc(1, sizeof(*check));
	if (check)
		*check = (struct check){
			.job = {.work = check_work, .done = check_ended},
			.handler = handler,
			.check_config = handler->check_config,
			.options = options,
			.timeout_ms = timeout_ms,
			.done = done,
			.userdata = userdata,
		};
	else
		options_free(options);
	r = check ? check_launch(checks, check) : -ENOMEM;
	if (r >= 0)
		return;
	if (check)
		check_free(check);
	done(userdata, false,
	     r == -EBUSY ? "too many checks hang already, so this one was not made"
			 : "the check cannot be made: out of memory or threads");
}

unsigned checks_running(const struct checks *checks)
{
	return checks->cnt;
}

int checks_new(
	sd_event *event, struct mailbox *mailbox, const struct handlers *handlers,
	struct checks **ret)
{
	struct checks *checks = calloc(1, sizeof(*checks));

	if (!checks)
		return -ENOMEM;
	checks->event = event;
	checks->mailbox = mailbox;
	checks->handlers = handlers;
	*ret = checks;
	return 0;
}

void checks_free(struct checks *checks)
{
	if (!checks)
		return;
	for (struct check *check = checks->running, *next; check; check = next) {
		check_done_fn *done = check->done;

		next = check->next;
		check_forget_caller(check);
		check->checks = NULL;
		if (done)
			done(check->userdata, false, "the daemon stops");
	}
	free(checks);
}
