/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open backend of the fault handler, and a request to it.
 *
 * A backend does not change after open, except its counters and the members that `lock` guards.
 * Several threads carry out requests at once.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "options.h"

#define FAULT_ERRORS_MAX 8
#define FAULT_OP_CNT     (TCMU_IO_MAP + 1)

/* Every request of op, or the nth only, ends with error. */
struct fault_error {
	enum tcmu_io_op op; /* 0: any operation */
	int error;          /* negative errno */
	uint64_t nth;       /* 0: every request */
};

/* When a call hangs. */
struct fault_hang {
	bool forever;
	char file[TCMU_CONFIG_MAX + 1]; /* as long as it exists; empty: no such file */
};

struct fault_backend {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	int fd;
	struct fault_hang close_hang;
	struct fault_hang hold; /* of requests */
	uint64_t delay_ms;
	enum fault_ops ops;
	enum fault_when when;
	bool cancel;
	uint64_t fail_after; /* 0: never */
	struct fault_error errors[FAULT_ERRORS_MAX];
	unsigned error_cnt;
	atomic_uint_fast64_t requests;
	atomic_uint_fast64_t requests_of[FAULT_OP_CNT];

	pthread_mutex_t lock;
	pthread_cond_t cancelled; /* signalled when a request is cancelled */
};

/* At io->priv. */
struct fault_request {
	uint64_t nth;   /* of its op, from 1 */
	bool cancelled; /* guarded by lock */
};
