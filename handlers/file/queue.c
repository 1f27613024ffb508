/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rare operation on queues of requests; the frequent ones are inline.
 */
#include "queue.h"

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
