/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to a device, for its parent and for administrators; and the log lines about a device
 * that is served and not well: commands that take longer than tcmur_cmd_time_out, the backend's
 * errors, and large commands through small pieces of the data area. Such lines are not written for
 * each command: the I/O thread counts, and a check of all devices every few seconds finds the news.
 *
 * Main thread. Nothing here waits, also where a handler is stuck; nothing but the check changes a
 * device.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>
#include <tcmu/scan.h>

#include "base/rate-limit.h"
#include "device/fsm.h"
#include "io/stats.h"

struct device;
struct health;

enum device_state device_state(const struct device *device);
const struct tcmu_name *device_name(const struct device *device);
unsigned device_minor(const struct device *device);

/* "user_0/disk": for logs. */
const char *device_label(const struct device *device);

/* Whether an administrator's text means it: its label, its name, or "uio3". */
bool device_is_called(const struct device *device, const char *text);

/* The backing store that this device has or still holds; NULL: none is known. */
const char *device_claim(const struct device *device);

/* The backing store that it uses, or is to use: it is open, is being opened, or was served last;
 * NULL: none is known. */
const char *device_store(const struct device *device);

/* Whether its claim is a late backend's: for how long (seconds) and how many requests are stuck. */
bool device_is_orphan(const struct device *device, double *age, unsigned *requests);

/* Whether its attributes have been read: then it is known whether its creation waits. */
bool device_is_known(const struct device *device);

/* Whether its creation waits for an answer that is still to be sent. */
bool device_owes_answer(const struct device *device);

/* The id of a creation that waits and that the device has not answered. */
bool device_waiting_creation(const struct device *device, uint32_t *id);

#define DEVICE_HEALTH_SIZE 128

struct device_status {
	const char *label;
	const struct tcmu_name *name;
	unsigned minor;
	const char *handler; /* its subtype */
	const char *state;
	double state_seconds; /* since it entered the state */
	const char *problem;  /* why it is not served, or not well; NULL: nothing is wrong */
	bool shared;          /* with other hosts */
	bool fenced;          /* shared, and its old connection to the backend is not closed yet */
	uint64_t size;        /* bytes; 0: not known yet */
	uint32_t block_size;  /* likewise */
	bool write_cache;     /* emulate_write_cache */
	struct rate_limits limits;
	const char *serial;        /* "": not read yet */
	unsigned backend;          /* requests that the backend has */
	const char *lock;          /* whether this host has the lock; NULL: it is not shared */
	unsigned lock_group;       /* of the lock holder, as last queried; 0: not known */
	uint64_t takeovers;        /* times that this host has taken the lock */
	uint64_t damped;           /* commands that did not take it back at once */
	const struct stats *stats; /* never NULL */
	char health[DEVICE_HEALTH_SIZE]; /* what its handler says of an open backend; "": nothing */
	const struct tcmu_counter *counters; /* the handler's, up to a NULL name; NULL: none */
	const uint64_t *counter_values;      /* atomic */
};

/* Strings and stats live as long as the device. */
void device_get_status(const struct device *device, struct device_status *status);

/* The kernel's commands in flight, in no order; at most max. Returns how many. */
unsigned device_requests(const struct device *device, struct stats_request *requests, unsigned max);

/* Logs news of late commands and of errors, and advice. Returns whether a command has been in
 * flight for a second, the shortest cmd_time_out. now: clock_now_ns(). */
bool device_check_health(struct device *device, uint64_t now);

/* ------- when to log; pure ------- */

enum late_news {
	LATE_NOTHING,
	LATE_BEGINS,
	LATE_ENDS,
};

/* begun: when the oldest command in flight was fetched, ns; 0: none is. seconds: after which it is
 * late; 0: never. Being late again within a minute is no news. */
enum late_news health_late(struct health *health, uint64_t begun, uint64_t now, unsigned seconds);

/* errors: how many there have been. Returns how many are to be logged now; 0 for a minute after the
 * last time. */
uint64_t health_errors(struct health *health, uint64_t errors, uint64_t now);

/* Counts of reads and writes, which only grow. Returns how many KiB they have on average, once, if
 * they are so large that larger pieces of the data area make them cheaper; else 0. */
unsigned health_large(struct health *health, uint64_t commands, uint64_t bytes);

/* Advice for an errno of the backend: the end of a sentence. */
const char *health_advice(int error);
