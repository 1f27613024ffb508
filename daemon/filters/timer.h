/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that filters hold back: for some time, or until the request is cancelled. A chain has one
 * timer for all its filters, with one thread, which ends them.
 *
 * Any thread. One lock, under which nothing else runs.
 */
#pragma once

#include <stdint.h>

#include <tcmu/handler.h>

struct filter_layer;
struct filter_timer;

#define FILTER_HOLD_FOR_EVER UINT64_MAX

/* A held answer, in the filter's memory of the request. */
struct filter_hold {
	struct filter_hold *next;
	struct filter_layer *layer;
	struct tcmu_io *io;
	int error;
	int cancelled_error; /* what it ends with if the request is cancelled meanwhile */
	uint64_t due;        /* clock_now_ns() */
};

/* Starts the thread. 0, -ENOMEM or -EAGAIN. */
int filter_timer_new(struct filter_timer **timer);

/* Nothing is held. Takes NULL. */
void filter_timer_free(struct filter_timer *timer);

/* Ends the request with filter_end() when it is due, or at once where it is cancelled or was. All
 * members of hold but next are set. */
void filter_hold_start(struct filter_timer *timer, struct filter_hold *hold);

/* The request was cancelled: ends it if the layer holds it. */
void filter_hold_cancel(
	struct filter_timer *timer, const struct filter_layer *layer, const struct tcmu_io *io);
