/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open image, and a request to it.
 *
 * Threads of librbd call back; no callback comes after rbd_close(). `lock` guards the members under
 * it. It is held for a few instructions only, never during a call of librbd or of the host.
 */
#pragma once

#include <pthread.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "cluster.h"
#include "fence/lease.h"
#include "fence/takeover.h"

/* Counters of an image. They are kept while the plugin is loaded, however often the image is
 * reopened. */
struct image_counts {
	struct image_counts *next;
	atomic_uint lock_lost;
	atomic_uint conn_lost;
	atomic_uint timed_out;
	atomic_uint old; /* old connections to it that are not closed yet */
	char name[];     /* in the service map */
};

/* The image's entry in the service map. Only due and locked change after open. */
struct image_service {
	bool registered;
	bool lockable;               /* the image has an exclusive lock */
	atomic_bool due;             /* a report is due */
	atomic_bool locked;          /* this host holds the lock, as far as is known */
	struct image_counts *counts; /* NULL: not registered */
};

struct image {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	/* Held during the host's log() and event(). Two, because a log may be slow, and the leases
	 * of all images wait for an event. */
	pthread_mutex_t log_lock, event_lock;
	bool left; /* the host is not called any more; set under both */
	struct image_cluster cluster;
	pthread_mutex_t connection_lock; /* lock order: before lease.c's and `lock` */
	bool connected;                  /* cluster can be ended; under connection_lock */
	atomic_bool cut; /* the client instance was ended, with a lease or without */
	rbd_image_t rbd;
	bool read_only;
	bool unsafe;          /* it was opened with settings that no shared image may have */
	uint64_t object_size; /* bytes */
	uint32_t block_size;  /* of the disk */
	uint64_t watch;       /* of the image's header, with watched */
	bool watched;
	struct tcmu_backend_info info;
	_Atomic uint64_t size; /* bytes, as last read */
	atomic_bool fenced;    /* the cluster has blocklisted this connection: librbd is not called
				  for writes any more */
	atomic_bool old;       /* it is fenced, or its device is gone: it only waits for its end */
	atomic_bool on_demand; /* only the daemon's requests acquire and release the lock */
	struct image_service service;
	struct image *next_reported; /* in the list of status.c */

	/* the lock holder */
	struct lease lease;
	uint64_t op_timeout;               /* seconds; 0: none */
	char address[RECORD_ADDRESS_SIZE]; /* of this client instance; "": not known yet */
	atomic_bool recorded;              /* it has a record */
	atomic_bool unanswered;      /* the cluster may have writes of it that have timed out */
	struct takeover_check check; /* the image thread's */
	atomic_bool new_tenure;      /* check is of an earlier one */

	unsigned calls; /* of the daemon that have not returned; under lock */
	pthread_cond_t calls_ended;

	/* the image thread */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct image_request *first; /* requests for the thread, in their order of arrival */
	struct image_request *last;
	bool updated; /* the header has changed */
	bool ending;
};

/* A request, at io->priv. */
struct image_request {
	struct tcmu_io *io;
	struct image *image;
	struct image_request *next; /* in the image thread's list */
	char *copy;                 /* of scattered buffers, or NULL */
	uint64_t mismatch;          /* byte offset that librbd has reported */
};

/* Wakes the image thread. Any thread. */
static inline void image_wake(struct image *image)
{
	pthread_mutex_lock(&image->lock);
	pthread_cond_signal(&image->wake);
	pthread_mutex_unlock(&image->lock);
}
