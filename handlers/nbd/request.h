/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to the server, and lists of them. The holder of remote->client uses them,
 * except where a member says otherwise.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "extents.h"

struct remote;

enum remote_kind {
	REMOTE_DAEMON = 0, /* the daemon's, at io->priv */
	REMOTE_FLUSH,      /* the handler's own flush */
	REMOTE_REPLAY,     /* an unflushed write after a reconnection */
};

struct remote_request {
	struct tcmu_io *io; /* NULL: the handler's own */
	struct remote *remote;
	struct remote_request *next, *prev; /* in a list */
	enum remote_kind kind;
	enum tcmu_io_op op;
	uint32_t flags; /* TCMU_IO_ bits */
	int error;      /* of the answer */
	uint64_t offset;
	uint64_t length;
	char *data;            /* NULL: it has none */
	uint64_t done;         /* bytes that the server has carried out */
	uint64_t step;         /* bytes that it carries out now */
	uint64_t reserved;     /* bytes of the journal */
	uint64_t mark;         /* FLUSH: the end of the journal when it was sent */
	uint64_t began;        /* milliseconds of clock_ms */
	unsigned connection;   /* on which it was sent */
	bool sent;             /* at some time: the server may have carried it out */
	atomic_bool cancelled; /* set by the I/O thread */
	struct remote_extents extents;
};

struct remote_list {
	struct remote_request *first, *last;
};

static inline void remote_list_add(struct remote_list *list, struct remote_request *request)
{
	request->next = NULL;
	request->prev = list->last;
	if (list->last)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

static inline void remote_list_remove(struct remote_list *list, struct remote_request *request)
{
	if (request->prev)
		request->prev->next = request->next;
	else
		list->first = request->next;
	if (request->next)
		request->next->prev = request->prev;
	else
		list->last = request->prev;
}

/* Puts all of `front` before the requests of the list; front is empty then. */
static inline void remote_list_prepend(struct remote_list *list, struct remote_list *front)
{
	if (!front->first)
		return;
	front->last->next = list->first;
	if (list->first)
		list->first->prev = front->last;
	else
		list->last = front->last;
	list->first = front->first;
	front->first = front->last = NULL;
}
