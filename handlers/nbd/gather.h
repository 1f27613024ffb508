/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the client thread lets answers come together. Each answer that wakes it takes a processor
 * from the server, if that is on this machine and the processors are busy, and wakes the I/O thread
 * in turn. With many requests in flight the server has more to do meanwhile: a pause after a
 * wake-up then serves several answers by one. Where the processors are idle, or the server is not
 * on this machine, a pause may only delay. So it is measured: samples with and without pauses
 * alternate, and pauses stay only if answers come faster with them.
 *
 * A pause is an eighth of the time that the requests in flight take, so it adds little to that even
 * where it gains nothing.
 *
 * Pure: times are arguments, in nanoseconds of a clock that only grows and is never 0.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GATHER_DEPTH  8u /* requests in flight; with fewer there are no pauses, and no tuning */
#define GATHER_ROUNDS 5u /* of a tuning: a sample without pauses, and one with them */

struct gather {
	bool on;           /* pauses are made: in this sample, or while the result is kept */
	bool found;        /* the last result: pauses are worth it */
	unsigned sample;   /* of the tuning; 2 * GATHER_ROUNDS: it is over */
	unsigned answers;  /* of this sample */
	uint64_t depths;   /* the sum of the requests in flight, over these answers */
	uint64_t begin;    /* of this sample */
	uint64_t last;     /* when the last answers came */
	uint64_t each;     /* ns from one answer to the next, by the last sample without pauses */
	uint64_t until;    /* the result is kept until then */
	uint64_t patience; /* ns for which the last result was kept; 0: there was none */
	uint64_t taken[2][GATHER_ROUNDS]; /* ns of a sample; the second are those with pauses */
};

/* The thread was woken: so many answers have come, and so many requests were in flight before. */
void gather_note(struct gather *gather, unsigned answers, unsigned in_flight, uint64_t now);

/* How long to let answers come together, in ns; 0: not at all. */
uint64_t gather_pause(const struct gather *gather, unsigned in_flight);
