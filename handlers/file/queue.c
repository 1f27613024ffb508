/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Singly linked queues of requests.
 */
#include "queue.h"

#include <assert.h>
#include <stddef.h>

#include "request.h"

void file_queue_add(struct file_queue *queue, struct file_request *request)
{
	assert(request);
	request->next = NULL;
	if (queue->first)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

struct file_request *file_queue_take(struct file_queue *queue)
{
	struct file_request *request = queue->first;

	assert(!request || request->next || request == queue->last);
	if (request)
		queue->first = request->next;
	return request;
}

struct file_queue file_queue_take_all(struct file_queue *queue)
{
	struct file_queue all = *queue;

	queue->first = NULL;
	return all;
}

bool file_queue_remove(struct file_queue *queue, struct file_request *request)
{
	struct file_queue all = file_queue_take_all(queue);
	struct file_request *other;
	bool found = false;

	while ((other = file_queue_take(&all))) {
		if (other == request)
			found = true;
		else
			file_queue_add(queue, other);
	}
	return found;
}
