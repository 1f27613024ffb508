/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hosted disk and its requests, for the modules of this directory.
 *
 * The I/O thread owns the engine, the calls and the order of things. A request belongs to the
 * submitter until it is in the inbox, to the handler from submit to its completion, and then to the
 * I/O thread. The lock is for the list of what is in flight, and for the faults; no function of the
 * handler and no callback runs under it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <tcmu/handler.h>
#include <tcmu/host.h>

#include "aio/aio.h"
#include "aio/workers.h"
#include "base/container-of.h"
#include "base/list.h"
#include "base/mpsc.h"

#define HOST_FAULTS 16

struct host_call;
struct options;

/* A function that another thread wants the I/O thread to run. */
struct host_message {
	struct mpsc_node node;
	void (*run)(struct host_message *message);
};

enum host_phase {
	HOST_IDLE,
	HOST_SUBMITTED, /* the handler's */
	HOST_COMPLETED,
};

struct host_request {
	struct tcmu_disk *disk;
	struct host_message message; /* its beginning */
	_Atomic(enum host_phase) phase;
	int error;
	struct mpsc_node completed;
	struct work work; /* for handlers that block */

	/* in flight, under the lock */
	struct host_request *previous;
	struct host_request *next;

	struct list_node kept; /* after its end */
	tcmu_disk_done_fn *done;
	void *userdata;
	uint64_t id;
	enum tcmu_io_op op;
	uint64_t offset;
	uint64_t length;
	uint64_t began; /* clock_now_ns() */
	struct iovec *iov;
	unsigned iov_max;
	char *flat; /* the data in one piece; NULL: the handler has the caller's buffers */
	struct iovec *scattered; /* with flat: where the data lies */
	unsigned scattered_cnt;
	void *priv;
	struct tcmu_disk_command *command; /* of the caller, or NULL */
	uint8_t cdb[32];
	uint8_t sense[96];
	struct tcmu_io io; /* the last member: the handler's may be longer */
};

struct host_fault {
	struct tcmu_disk_fault fault;
	unsigned seen; /* calls of its operation since it was injected */
};

struct tcmu_disk {
	const struct tcmu_plugin *plugin;
	struct stack *stack;                /* NULL: the config string has no filter */
	const struct tcmu_handler *handler; /* of the stack, if there is one */
	struct tcmu_disk_setup setup;
	struct options *options;
	struct tcmu_host host;
	struct tcmu_backend_info info;
	_Atomic uint64_t size;
	void *backend;
	uint64_t *counters; /* the handler's own; NULL: none */
	atomic_bool closed; /* the handler's close has returned */

	/* the I/O thread */
	pthread_t thread;
	struct aio_engine *engine; /* NULL: the handler blocks */
	struct workers *workers;   /* NULL: it does not */
	int wake_fd;
	atomic_bool asleep;
	atomic_bool stop;
	struct mpsc inbox;      /* struct host_message */
	struct mpsc completed;  /* struct host_request */
	atomic_uint completing; /* threads within host_complete() */
	struct list stuck;      /* struct host_call */
	struct list delayed;
	struct list ended;
	struct list kept; /* requests that have ended, the oldest first */
	unsigned kept_cnt;

	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t idle; /* nothing is in flight */
	struct host_request *active;
	unsigned in_flight;
	struct host_fault faults[HOST_FAULTS];
	unsigned fault_cnt;

	_Atomic uint64_t requests;
	_Atomic uint64_t system_calls;
	_Atomic uint64_t longest_submit;
};

static inline struct host_request *host_request_of(struct tcmu_io *io)
{
	return container_of(io, struct host_request, io);
}
