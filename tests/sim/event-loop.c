/* SPDX-License-Identifier: Apache-2.0 */
/* See event-loop.h. */
#include "event-loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <systemd/sd-event.h>

#include "fds.h"
#include "sim.h"
#include "threads.h"

#define NODES_MAX 16
#define NODE_SIZE 16

enum source_kind {
	SOURCE_IO,
	SOURCE_TIME,
	SOURCE_DEFER,
	SOURCE_INOTIFY,
};

struct sd_event_source {
	struct sd_event_source *next;
	enum source_kind kind;
	int enabled;
	int64_t priority;
	int fd;
	uint64_t time; /* ns */
	union {
		sd_event_io_handler_t io;
		sd_event_time_handler_t time;
		sd_event_handler_t defer;
		sd_event_inotify_handler_t inotify;
	} call;
	void *userdata;
};

struct event_loop {
	sd_event_source *sources;
	char nodes[NODES_MAX][NODE_SIZE];
	unsigned node_cnt;
};

void event_loop_reset(void)
{
	if (!sim->event_loop)
		sim->event_loop = calloc(1, sizeof(*sim->event_loop));
	while (sim->event_loop->sources)
		sd_event_source_disable_unref(sim->event_loop->sources);
	sim->event_loop->node_cnt = 0;
}

void event_loop_wake(void)
{
	sim_wake(sim->event_loop);
}

unsigned event_loop_sources(void)
{
	unsigned cnt = 0;

	for (const sd_event_source *source = sim->event_loop->sources; source;
	     source = source->next)
		cnt++;
	return cnt;
}

void event_loop_node_deleted(const char *name)
{
	struct event_loop *event_loop = sim->event_loop;

	if (event_loop->node_cnt < NODES_MAX)
		(void) snprintf(event_loop->nodes[event_loop->node_cnt++], NODE_SIZE, "%s", name);
	event_loop_wake();
}

static bool source_is_ready(const sd_event_source *source)
{
	switch (source->kind) {
	case SOURCE_IO:
		return source->enabled && fds_poll(source->fd);
	case SOURCE_TIME:
		return source->enabled && source->time <= sim_now();
	case SOURCE_DEFER:
		return source->enabled;
	case SOURCE_INOTIFY:
		return sim->event_loop->node_cnt;
	}
	return false;
}

/* The most important ready source; among equals, any. NULL: none is ready, and *time is when one
 * will be. */
static sd_event_source *event_loop_pick(uint64_t *time)
{
	sd_event_source *best = NULL;
	unsigned equals = 0;

	*time = 0;
	for (sd_event_source *source = sim->event_loop->sources; source; source = source->next) {
		if (source->kind == SOURCE_TIME && source->enabled &&
		    (!*time || source->time < *time))
			*time = source->time;
		if (!source_is_ready(source))
			continue;
		if (!best || source->priority < best->priority) {
			best = source;
			equals = 1;
		} else if (source->priority == best->priority && sim_choose(++equals) == 0) {
			best = source;
		}
	}
	return best;
}

static void event_loop_give_node(const sd_event_source *source)
{
	struct event_loop *event_loop = sim->event_loop;
	union {
		struct inotify_event event;
		char bytes[sizeof(struct inotify_event) + NODE_SIZE];
	} given = {.event = {.mask = IN_DELETE, .len = NODE_SIZE}};

	memcpy(given.event.name, event_loop->nodes[--event_loop->node_cnt], NODE_SIZE);
	(void) source->call.inotify(NULL, &given.event, source->userdata);
}

void event_loop_run(void)
{
	uint64_t time;
	sd_event_source *source = event_loop_pick(&time);

	if (!source) {
		(void) sim_block(sim->event_loop, time);
		return;
	}
	if (source->enabled == SD_EVENT_ONESHOT)
		source->enabled = SD_EVENT_OFF;
	switch (source->kind) {
	case SOURCE_IO:
		(void) source->call.io(source, source->fd, fds_poll(source->fd), source->userdata);
		break;
	case SOURCE_TIME:
		(void) source->call.time(source, source->time / 1000, source->userdata);
		break;
	case SOURCE_DEFER:
		(void) source->call.defer(source, source->userdata);
		break;
	case SOURCE_INOTIFY:
		event_loop_give_node(source);
		break;
	}
	sim_preempt();
}

/* ------- functions of sd-event ------- */

static sd_event_source *source_new(
	enum source_kind kind, int enabled, void *userdata, sd_event_source **ret)
{
	sd_event_source *source = calloc(1, sizeof(*source));

	if (!source)
		abort();
	source->kind = kind;
	source->enabled = enabled;
	source->userdata = userdata;
	source->next = sim->event_loop->sources;
	sim->event_loop->sources = source;
	if (ret)
		*ret = source;
	return source;
}

int sd_event_add_io(
	sd_event *event, sd_event_source **ret, int fd, uint32_t events,
	sd_event_io_handler_t callback, void *userdata)
{
	sd_event_source *source = source_new(SOURCE_IO, SD_EVENT_ON, userdata, ret);

	(void) event, (void) events;
	source->fd = fd;
	source->call.io = callback;
	return 0;
}

int sd_event_add_time_relative(
	sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec, uint64_t accuracy,
	sd_event_time_handler_t callback, void *userdata)
{
	sd_event_source *source = source_new(SOURCE_TIME, SD_EVENT_ONESHOT, userdata, ret);

	(void) event, (void) clock;
	source->time = sim_now() + usec * 1000 + sim_choose((unsigned) accuracy + 1) * 1000;
	source->call.time = callback;
	return 0;
}

int sd_event_add_defer(
	sd_event *event, sd_event_source **ret, sd_event_handler_t callback, void *userdata)
{
	(void) event;
	source_new(SOURCE_DEFER, SD_EVENT_ONESHOT, userdata, ret)->call.defer = callback;
	return 0;
}

int sd_event_add_inotify(
	sd_event *event, sd_event_source **ret, const char *path, uint32_t mask,
	sd_event_inotify_handler_t callback, void *userdata)
{
	(void) event, (void) path, (void) mask;
	source_new(SOURCE_INOTIFY, SD_EVENT_ON, userdata, ret)->call.inotify = callback;
	return 0;
}

int sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
	source->priority = priority;
	return 0;
}

int sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
	source->enabled = enabled;
	return 0;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *source)
{
	sd_event_source **at = &sim->event_loop->sources;

	while (source && *at && *at != source)
		at = &(*at)->next;
	if (source && !*at)
		sim_fail("an event source is released twice");
	if (source) {
		*at = source->next;
		free(source);
	}
	return NULL;
}
