/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open export.
 *
 * remote_open() makes it. The I/O thread submits, the client thread does the rest. `lock`
 * guards the members under it and is held for a few instructions only. `client` guards the members
 * under it: the client thread holds it except while it waits, and the I/O thread takes it where it
 * is free, to send a request without a wake-up. The others do not change until remote_close().
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "connector.h"
#include "gather.h"
#include "journal.h"
#include "request.h"
#include "session.h"
#include "target.h"

/* The order of the table of counters, in nbd.c. */
enum remote_counter {
	REMOTE_COUNT_CONNECTIONS,
	REMOTE_COUNT_RECONNECTED,
	REMOTE_COUNT_RETRIED,
	REMOTE_COUNT_REPLAYED,
	REMOTE_COUNT_TIMED_OUT,
	REMOTE_COUNT_UNFLUSHED,
	REMOTE_COUNTERS,
};

struct remote {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	uint64_t *counters; /* NULL: the daemon has none */
	struct remote_endpoint endpoint;
	uint32_t block_size;         /* bytes, of the device */
	uint64_t timeout_ms;         /* 0: none */
	bool stable;                 /* every write is stable when it is answered */
	struct remote_export export; /* as the daemon knows it, except the size */
	struct tcmu_backend_info info;
	_Atomic uint64_t size; /* bytes, of the export */
	struct connector *connector;
	int wake_fd;
	pthread_t thread;
	atomic_bool cancelling; /* a request has become `cancelled` */
	atomic_bool abandoned;  /* nothing may reach the server any more */
	atomic_bool ending;     /* no request is in flight, and none comes */

	pthread_mutex_t lock;
	struct remote_request *submitted; /* the oldest; linked by `next` */
	struct remote_request *submitted_last;
	bool asleep; /* the client thread waits, or will, without checking `submitted` */

	pthread_mutex_t client;
	struct remote_session session;
	bool up;       /* session is there */
	bool lost;     /* its connections are to be dropped */
	bool dropping; /* answers do not count */
	bool failed;   /* acknowledged data may be lost: nothing is written any more */
	unsigned in_flight[REMOTE_CONNECTIONS_MAX];
	struct remote_list waiting;  /* to be sent, in their order of arrival */
	struct remote_list sent;     /* the server has them */
	struct remote_list answered; /* their answers are not handled yet */
	struct journal journal;
	struct remote_request flush; /* the handler's own */
	bool flushing;               /* flush is in a list */
	struct remote_request replay;
	bool replaying;           /* replay is in a list: no other request is sent */
	uint64_t replay_position; /* the next entry */
	uint64_t clock_ms;        /* a time that stands still while the process does */
	int64_t last_ms;          /* of CLOCK_MONOTONIC, when clock_ms was advanced */
	uint64_t tick_ms;         /* when time limits are checked next */
	bool ticking;             /* the client thread waits until tick_ms, or shorter */
	bool used;                /* something was to be sent since the last check */
	unsigned blocked;         /* a bit for each connection that it waits to write to */
	struct gather gather;
	char health[128]; /* as the daemon knows it; "": well */
};
