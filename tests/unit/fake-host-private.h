/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fake-host.c (the plugin, its device, its options) and fake-host-io.c (requests, system
 * calls, faults) share.
 */
#pragma once

#include <pthread.h>

#include "fake-host.h"

#define FAKE_FAULTS 16

struct fake_rule {
	enum tcmu_aio_op op;
	bool always;
	unsigned nth; /* 0: has befallen */
	enum fake_fault fault;
	int64_t value;
};

struct fake_inside {
	void *backend; /* NULL: not open */
	struct tcmu_host host;
	struct aio_engine *engine;
	struct workers *workers;

	/* requests under way; the lock is for plugins that complete on threads of their own */
	pthread_mutex_t lock;
	pthread_cond_t completed;
	struct fake_io *active;
	unsigned in_flight;

	/* system calls */
	struct fake_call *asked;
	struct fake_call *stuck;
	struct fake_call *ended;
	struct fake_rule rules[FAKE_FAULTS];
	unsigned rule_cnt;
};

/* ------- fake-host-io.c ------- */

void fake_complete(struct tcmu_io *io, int error);
void fake_aio(struct tcmu_io *io, struct tcmu_aio *aio);
