/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One life: a few devices, their initiators, an operator, and what goes wrong. The seed makes a
 * script, a list of events with their times; the schedule's seed makes all other choices.
 *
 * When the script is over, everything is well again. Then each device must serve, each deletion
 * must end, and nothing may be left.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EVENTS_OF_LIFE 48

enum world_kind {
	WORLD_IO,     /* a burst of commands */
	WORLD_CREATE, /* a device that is not there */
	WORLD_DELETE,
	WORLD_SLOW, /* faults of the backend, for a while */
	WORLD_HANG,
	WORLD_FAIL,
	WORLD_OPEN_FAILS,
	WORLD_OPEN_HANGS,
	WORLD_CLOSE_HANGS,
	WORLD_RESIZE, /* changes of attributes */
	WORLD_RESIZE_HANGS,
	WORLD_WRITE_CACHE,
	WORLD_FENCE,
	WORLD_BACKEND_FAILED,
	WORLD_ABORT,
	WORLD_LUN_RESET,
	WORLD_REOPEN, /* the operator */
	WORLD_STOP,
	WORLD_KILL,
	WORLD_POWER,
	WORLD_CONFIGFS_FAILS,
	WORLD_BLOCK,
	WORLD_RESET_RING,
	WORLD_LOSE_EVENT,
	WORLD_EXPIRY,    /* no event: a write that has expired must not land on its successor */
	WORLD_LATE_OPEN, /* no event: a store is open once even if an open came late */
	/* These leave the script as it is without them: added.h. */
	WORLD_PROVISIONING, /* no event: also UNMAP and WRITE SAME */
	WORLD_RIVAL,        /* takes the lock of a shared store */
	WORLD_XCOPY,        /* no event: also EXTENDED COPY */
	WORLD_FORMAT,       /* no event: also FORMAT UNIT */
	WORLD_MODE_SELECT,  /* no event: also MODE SELECT of the write cache */
	WORLD_TWICE,        /* netlink events that come twice */
	WORLD_CONFIGFS_HANGS,
	WORLD_SHRINK,   /* the store is shortened for a while: requests behind its end fail */
	WORLD_UNLOAD,   /* all devices are deleted, and the module goes and comes back */
	WORLD_OVERTAKE, /* the ring is reset under slow writes, and others copy to their blocks */
	WORLD_LOCK_HANGS,
	WORLD_SANITIZE, /* no event: also SANITIZE */
	WORLD_SEGMENTS, /* no event: also EXTENDED COPY of several segments */
	WORLD_LIMITS,   /* no event: stores take less at once than commands have */
	WORLD_KINDS,
};

/* The name of a kind, as it is given on the command line. */
const char *world_kind_name(enum world_kind kind);

struct world_options {
	uint64_t seed;
	uint64_t schedule;
	uint64_t events; /* a bit for each event of the script that happens */
	uint64_t kinds;  /* a bit for each kind that may happen */
};

/* Runs a life. Does not return where a promise is broken. */
void world_run(const struct world_options *options);

/* How many events the script of the last life had. */
unsigned world_events(void);
