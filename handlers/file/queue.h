/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in their order of arrival. The I/O thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "request.h"

/* All zero: empty. A request is in one queue at a time. */
struct file_queue {
	struct file_request *first;
	struct file_request *last; /* undefined while the queue is empty */
};

/* Appends a request. */
static inline void file_queue_add(struct file_queue *queue, struct file_request *request)
{
	request->next = NULL;
	if (queue->first)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

/* Removes and returns the first request; NULL: the queue is empty. */
static inline struct file_request *file_queue_take(struct file_queue *queue)
{
	struct file_request *request = queue->first;

	if (request)
		queue->first = request->next;
	return request;
}

/* Returns the whole queue and leaves it empty. */
static inline struct file_queue file_queue_take_all(struct file_queue *queue)
{
	struct file_queue all = *queue;

	queue->first = NULL;
	return all;
}

/* Removes a request. False: it is not in the queue. */
bool file_queue_remove(struct file_queue *queue, struct file_request *request);
