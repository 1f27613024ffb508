/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control requests: changes of an I/O thread that other threads want. Requests are merged into one
 * until the I/O thread takes it, before the next command that it fetches: so a change is in force
 * for every command that is sent after it.
 *
 * Lock: the control's, for a copy; no other lock is taken under it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/handler.h>

#include "base/rate-limit.h"
#include "io/core.h"

/* The members of a control request that are valid. */
#define CONTROL_FAULT         (1u << 0)  /* the backend has failed */
#define CONTROL_DRAIN         (1u << 1)  /* fetch no more */
#define CONTROL_CANCEL        (1u << 2)  /* with DRAIN: abandon the commands in flight */
#define CONTROL_PERMISSION    (1u << 3)  /* permission, not_ready */
#define CONTROL_BACKEND       (1u << 4)  /* backend, info */
#define CONTROL_SIZE          (1u << 5)  /* size, info */
#define CONTROL_WRITE_CACHE   (1u << 6)  /* write_cache */
#define CONTROL_LU_INFO       (1u << 7)  /* lu_info */
#define CONTROL_LIMITS        (1u << 8)  /* limits */
#define CONTROL_DEFERRED_DONE (1u << 9)  /* deferred_error */
#define CONTROL_REATTACH      (1u << 10) /* the ring was reset for us: attach it */
#define CONTROL_LAST          CONTROL_REATTACH

struct control_request {
	uint32_t changes; /* CONTROL_ */
	bool write_cache;
	enum io_permission permission;
	uint8_t not_ready;   /* SCSI_ASCQ_, or 0 */
	unsigned generation; /* the number of the permission; set by control_post() */
	int deferred_error;  /* 0 or -errno */
	uint64_t size;       /* bytes */
	void *backend;
	struct tcmu_backend_info info; /* of the backend, as it is after the change */
	struct rate_limits limits;
	struct scsi_lu_info lu_info;
};

struct control {
	struct wait *wait;
	atomic_bool pending; /* there is a request to take */
	pthread_mutex_t lock;
	struct control_request request;
	unsigned permission_generation; /* how many requests have set the permission */
};

/* wait: how the I/O thread is woken. Any thread, before it starts. */
void control_init(struct control *control, struct wait *wait);

/* Any thread, after the I/O thread has ended. */
void control_destroy(struct control *control);

/* Merges a request, copied, into the one that is not yet taken, and wakes the I/O thread. Any
 * thread; waits for nobody. */
void control_post(struct control *control, const struct control_request *request);

/* The request that waits, if any. False: there is none. I/O thread. */
bool control_take(struct control *control, struct control_request *request);

/* The number of the newest permission that was requested. Any thread. */
unsigned control_permission_generation(struct control *control);
