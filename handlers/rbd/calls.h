/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's calls for an open image that may block: each has a limit. When that passes, the
 * image's client instance is given up as if it had been fenced: it is ended, and the daemon
 * reopens the image. image_close() does not wait for ever either; then it leaves the image to the
 * calls that have not returned.
 */
#pragma once

#include <tcmu/handler.h>

#include "fence/bound.h"
#include "image.h"

struct image_call {
	struct bound_call bound;
	struct image *image;
	void (*work)(struct image_call *call);
	const char *name; /* for the log */
	/* arguments and results, as each call needs them */
	uint16_t tag;
	bool ours;
	uint64_t size;
	struct tcmu_reason reason;
	int result;
};

/* Runs call->work on its own thread, with a copy of *call; the results are copied back. Returns its
 * result; -ESHUTDOWN: it has not returned, and the image is fenced; -ENOMEM. */
int image_call_run(struct image *image, struct image_call *call);

/* The milliseconds after which a call, or the close, of the image is left. */
unsigned image_call_limit(const struct image *image);

/* Waits for the calls that were left. May block for ever. */
void image_call_wait(struct image *image);

/* Ends the image's client instance, with a lease or without, unless it is being disconnected. Any
 * thread; does not block. */
void image_cut(struct image *image);

/* From now on image_cut() does nothing. */
void image_begin_disconnect(struct image *image);
