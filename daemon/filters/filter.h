/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter: a handler with a next one. It sees each request on its way to the handler and each
 * answer on its way back, and may change, hold or replace both.
 *
 * Requests come down by submit and go on by filter_pass(); answers come up by done and go on by
 * filter_end(). It is the same struct tcmu_io all the way. A filter without submit lets requests
 * through, and one without done lets answers through.
 *
 * Threads: submit as the handler's; done on any thread; cancel on the I/O thread, at any time after
 * submit has been called, also when the request has passed the filter or has ended. None of them
 * blocks, but that submit may where the stack runs on workers. open, close and resize as the
 * handler's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/handler.h>

#define FILTER_OPTIONS_MAX 16

struct filter_chain;
struct filter_layer;
struct filter_timer;

/* Requests are held: the chain has a struct filter_timer. */
#define FILTER_HOLDS (1u << 0)
/* It stores the writes: the handler below is opened read-only, and claim is the filter's. */
#define FILTER_STORES (1u << 1)

struct filter {
	const char *name;      /* [a-z0-9_]+ */
	const char *help;      /* one line */
	uint32_t flags;        /* FILTER_ */
	uint32_t request_size; /* bytes at filter_request(); not cleared */
	const struct tcmu_option *options;
	/* Counters of a layer; a name begins with the value of the option "name" and "_". NULL:
	 * none. */
	const struct tcmu_counter *counters;
	/* Optional. Checks the values, and nothing but them. 0, or -EINVAL with a
	 * reason. */
	int (*check)(const struct tcmu_option_value *values, struct tcmu_reason *reason);
	/* Of a filter that stores. As the claim of a handler. */
	int (*claim)(
		const struct tcmu_option_value *values, char *claim, size_t size,
		struct tcmu_reason *reason);
	/* Optional. All below is open. info: the properties that the layers below have; the filter
	 * changes them to its own. Sets layer->state. */
	int (*open)(
		struct filter_layer *layer, const struct tcmu_config *config,
		struct tcmu_backend_info *info, struct tcmu_reason *reason);
	/* Optional. Frees layer->state. All below is closed already. */
	void (*close)(struct filter_layer *layer);
	void (*submit)(struct filter_layer *layer, struct tcmu_io *io); /* NULL: filter_pass() */
	void (*done)(struct filter_layer *layer, struct tcmu_io *io, int error); /* NULL:
										    filter_end()
										  */
	/* Optional. Ends the request soon if the filter has it. */
	void (*cancel)(struct filter_layer *layer, struct tcmu_io *io);
};

/* A filter of an open chain. Does not change from open to close. */
struct filter_layer {
	struct filter_chain *chain;
	const struct filter *filter;
	const struct tcmu_option_value *values; /* in the order of the filter's options */
	void *state;                            /* the filter's own */
	size_t request_offset;                  /* of its memory at io->priv */
	unsigned index;                         /* 0: the outermost */
	unsigned counter;                       /* of its first one in the device's table */
};

#define FILTERS_MAX 8

struct filter_chain {
	const struct tcmu_host *outer; /* the daemon's */
	struct tcmu_host_device *dev;
	struct tcmu_host host; /* what the handler gets; it differs in complete() alone */
	const struct tcmu_handler *handler;
	void *backend;
	struct filter_timer *timer; /* NULL: no filter holds requests */
	size_t request_offset;      /* of the chain's own part */
	unsigned cnt;
	struct filter_layer layers[FILTERS_MAX];
};

/* The word for an operation, as it is written in options: "write". */
const char *filter_op_word(enum tcmu_io_op op);

/* The layer's request_size bytes of a request. */
static inline void *filter_request(const struct filter_layer *layer, const struct tcmu_io *io)
{
	return (char *) io->priv + layer->request_offset;
}

/* Sets up the way of requests: chain->host. */
void filter_chain_init(struct filter_chain *chain);

/* Bytes of the chain's own part of a request. */
size_t filter_chain_part(void);

/* The size of a part of io->priv, aligned. */
size_t filter_part_round_up(size_t size);

/* As those of a handler; the backend is the chain. */
void filter_chain_submit(void *chain, struct tcmu_io *io);
void filter_chain_cancel(void *chain, struct tcmu_io *io);

/* For filters: the request goes on to the next layer below, or the answer to the next one above.
 * The filter has the request no more. Any thread for filter_end(); filter_pass() in submit, or in
 * the done callback of a system call. */
void filter_pass(struct filter_layer *layer, struct tcmu_io *io);
void filter_end(struct filter_layer *layer, struct tcmu_io *io, int error);

/* Whether the request was cancelled. */
bool filter_is_cancelled(const struct filter_layer *layer, const struct tcmu_io *io);
