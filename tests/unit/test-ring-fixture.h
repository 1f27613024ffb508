/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of a ring for the tests of ring.c, and short words for what they do all the time.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tcmu/ring.h>

#include "fake-ring.h"

#define FIXTURE_IOVS 64

struct fixture {
	struct fake_ring *fake;
	struct tcmu_ring ring;
	struct tcmu_entry entry;
	struct iovec iov[FIXTURE_IOVS];
	/* what fixture_consume() saw, in its order; sense is the last one's */
	struct fake_completion seen[FIXTURE_IOVS];
	uint8_t seen_sense[TCMU_SENSE_MAX];
	int seen_count;
};

extern const uint8_t read_10[10];
extern const uint8_t write_10[10];

/* cmocka's setup and teardown: a ring of 64 KiB with a data area of 4 MiB, attached. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The same with other options, in place of the one that is there. */
void fixture_replace(struct fixture *f, const struct fake_ring_options *options);

/* Pushes and publishes a READ(10) of so many bytes; returns its cmd_id. */
uint16_t fixture_push_read(struct fixture *f, uint32_t length);

/* tcmu_ring_next() into the fixture's entry. */
int fixture_next(struct fixture *f);

/* Fetches one command, which has to be there; returns its cmd_id. */
uint16_t fixture_fetch(struct fixture *f);

/* Answers with GOOD. */
void fixture_complete(struct fixture *f, uint16_t cmd_id);

/* Publishes and lets the kernel's side take the completions. Returns fake_ring_consume()'s result.
 */
int fixture_consume(struct fixture *f);
