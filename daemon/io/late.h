/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel gives a command up after cmd_time_out: it reports to the initiator that it has failed,
 * but the request to the backend goes on, and a late write may land on top of its successor to the
 * same block. So a write that has been in flight for half a second is late: a write that overlaps
 * it waits until it has ended (io/order.h). That does not depend on cmd_time_out, which anybody may
 * change at any time without a notice: it is 1 s at least.
 *
 * A scan finds late commands, several times a second, whatever wakes the thread: wake-ups that do
 * not read the clock would put it off. Commands that waited in the ring while no
 * slot was free, or while the thread was stuck in the backend, are late when they are fetched,
 * because nobody knows how long each has waited. Where the permission changes meanwhile, they get
 * BUSY: another host may have had the lock, and have written what their initiators sent again.
 *
 * An EXTENDED COPY in the foreground, which consists of many writes, is cancelled before its time
 * is over. That needs cmd_time_out: it is read again for each of them (device/lu-info.c). One that
 * is late when it is fetched is BUSY: it may be over already. So is one that has waited for the
 * main thread for half a second (io/dispatch.c).
 *
 * Everything runs on the I/O thread.
 */
#pragma once

#include "io/command.h"

struct late {
	struct core *core;
	uint64_t limit;      /* ns until the kernel gives up, as read last; 0: never */
	uint64_t scanned;    /* the last scan, by clock_now_ns(); 0: none yet */
	bool rested;         /* since then the thread has slept with nothing in flight */
	uint64_t full_since; /* since when no slot was free for the ring's commands; 0: one is */
};

/* limit: ns; 0: the kernel never gives up. Any thread, before the I/O thread starts. */
void late_init(struct late *late, struct core *core, uint64_t limit);

/* A control request. */
void late_set_limit(struct late *late, uint64_t limit);

/* Milliseconds until the next scan, for a thread that goes to sleep; -1: none is needed. */
int late_interval_ms(struct late *late);

/* Under the ring lock: scans if it is time for that. now: by clock_now_ns(). */
void late_check(struct late *late, uint64_t now);

/* Under the ring lock: the permission of requests has changed. Commands that are late when they are
 * fetched are refused until the ring is empty. */
void late_permission_changed(struct late *late);

/* A late command has ended: counts it if the kernel has given it up. now: by clock_now_ns(). */
void late_end(const struct late *late, const struct command *command, uint64_t now);
