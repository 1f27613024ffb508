/* SPDX-License-Identifier: Apache-2.0 */
#include "program/module-wait.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/container-of.h"
#include "base/thread.h"

#define ACCURACY_USEC 100000

struct module_wait {
	struct module_wait_setup setup;
	struct job job;
	bool loading; /* the job runs */
	bool ended;   /* nobody waits any more: the end of the job frees this */
	int result;   /* of load */
	int reported; /* the last error that waiting was called with */
	uint64_t delay_usec;
	sd_event_source *timer;
};

/* On the job's thread. */
static void module_wait_load(struct job *job)
{
	struct module_wait *wait = container_of(job, struct module_wait, job);

	wait->result = wait->setup.load();
}

static void module_wait_again(struct module_wait *wait, int error)
{
	assert(error < 0 && thread_is_main());
	if (error != wait->reported) {
		wait->reported = error;
		wait->setup.waiting(wait->setup.userdata, error);
	}
	(void) sd_event_source_set_time_relative(wait->timer, wait->delay_usec);
	(void) sd_event_source_set_enabled(wait->timer, SD_EVENT_ONESHOT);
	wait->delay_usec *= 2;
	if (wait->delay_usec > MODULE_WAIT_USEC_MAX)
		wait->delay_usec = MODULE_WAIT_USEC_MAX;
}

static void module_wait_loaded(struct job *job)
{
	struct module_wait *wait = container_of(job, struct module_wait, job);
	int r = wait->result;

	assert(wait->loading);
	wait->loading = false;
	if (wait->ended) {
		module_wait_free(wait);
		return;
	}
	if (r >= 0)
		r = wait->setup.serve(wait->setup.userdata);
	if (r < 0)
		module_wait_again(wait, r);
}

static int on_module_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct module_wait *wait = userdata;
	int r;

	(void) usec;
	assert(source == wait->timer && !wait->loading);
	r = job_start(wait->setup.mailbox, &wait->job, "tcmud-module");
	wait->loading = r >= 0;
	if (r < 0)
		module_wait_again(wait, r);
	return 0;
}

int module_wait_new(const struct module_wait_setup *setup, int error, struct module_wait **ret)
{
	struct module_wait *wait = calloc(1, sizeof(*wait));
	int r;

	assert(setup->load && setup->serve && setup->waiting && setup->first_usec);
	if (!wait)
		return -ENOMEM;
	wait->setup = *setup;
	wait->job = (struct job){.work = module_wait_load, .done = module_wait_loaded};
	wait->delay_usec = setup->first_usec;
	r = sd_event_add_time_relative(
		setup->event, &wait->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_module_timer,
		wait);
	if (r < 0) {
		module_wait_free(wait);
		return r;
	}
	module_wait_again(wait, error);
	*ret = wait;
	return 0;
}

void module_wait_free(struct module_wait *wait)
{
	if (!wait)
		return;
	wait->timer = sd_event_source_disable_unref(wait->timer);
	wait->ended = true;
	if (!wait->loading)
		free(wait);
}
