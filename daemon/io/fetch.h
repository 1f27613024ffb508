/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches commands and task management functions from the ring, answers commands to it, and notices
 * that the ring was reset by somebody else.
 *
 * A reset (configfs, action/reset_ring) starts a new generation of entries: the kernel has answered
 * everything that was fetched, and gives the data pages to new commands while our requests may
 * still use them. So from the moment that a reset is noticed the ring is stale: nothing is fetched,
 * nothing is completed to the kernel, and what is in flight is cancelled. New entries may have data
 * in pages that a late request has overwritten. So the thread does not attach the ring by itself:
 * once nothing refers to it, the device blocks the kernel, resets the ring again, which answers
 * BUSY for the new entries, and requests fetch_reattach().
 *
 * Task management functions are read also while no slot is free, because then the commands that
 * they name hang. Such a function may name commands that are not fetched yet: they are marked, and
 * end when they are fetched. A mark holds for the entries before the function only, because the
 * kernel uses a number again as soon as its command has ended.
 *
 * The ring of a daemon that died is stale from the start, but for the commands that it has noted
 * (notes/notes.h): these are finished and answered before.
 *
 * Everything runs on the I/O thread under the ring lock.
 */
#pragma once

#include "io/command.h"
#include "io/dispatch.h"

struct fetch {
	struct core *core;
	struct dispatch *dispatch;
	void (*take_control)(struct core *core); /* control requests that came meanwhile */
	atomic_bool *control_pending;

	uint64_t position;     /* bytes fetched while there are marks */
	uint64_t marked_until; /* the last mark holds up to this position */
	uint64_t *marks;       /* by cmd_id: up to which position; below position: no mark */

	unsigned redos; /* of a recovery: writes in flight, and one more while they are begun */
};

/* Any thread, before the I/O thread starts. -ENOMEM: fetch_destroy() may be called. */
int fetch_init(
	struct fetch *fetch, struct core *core, struct dispatch *dispatch,
	void (*take_control)(struct core *core), atomic_bool *control_pending);

/* Any thread, after the I/O thread has ended. */
void fetch_destroy(struct fetch *fetch);

/* Whether the ring is attached and is still the one that was attached. If it was reset, it becomes
 * stale here. */
bool fetch_check_ring(struct fetch *fetch);

/* A control request: attaches the ring again. Ignored unless IO_SIGNAL_RING_IDLE was signalled and
 * the ring is still there. */
void fetch_reattach(struct fetch *fetch);

/* Fetches a batch, and decides each command. now: 0, or clock_now_ns(); set if the clock was read.
 * Returns how many commands and functions it took. */
unsigned fetch_batch(struct fetch *fetch, uint64_t *now);

/* Whether fetch_batch() or fetch_check_ring() would find something. */
bool fetch_has_work(const struct fetch *fetch);

/* Writes the answer of a command that has ended to the ring. False: it is internal, or the ring is
 * not attached any more. */
bool fetch_answer(struct fetch *fetch, struct command *command);

/* A command with a note has ended; answered: by fetch_answer(). */
void fetch_end_note(struct fetch *fetch, struct command *command, bool answered);

/* After core_attach(), without the ring lock: begins what makes a CORE_RING_RECOVERED ring stale.
 * IO_SIGNAL_RING_RESET follows. Takes any ring. */
void fetch_recover(struct fetch *fetch);

/* Makes all answers visible to the kernel and rings the doorbell. */
void fetch_publish(struct fetch *fetch);
