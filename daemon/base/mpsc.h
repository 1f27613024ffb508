/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue that any thread may push to and one thread takes as a whole: many producers, one
 * consumer, no lock. Inside it is a stack that the consumer reverses.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/container-of.h"

struct mpsc_node {
	struct mpsc_node *next;
};

struct mpsc {
	_Atomic(struct mpsc_node *) newest;
};

/* Any thread. The queue owns the node until it is taken. Returns whether the queue was empty: then
 * the caller wakes the consumer, if it sleeps. Sequentially consistent: a consumer that announces
 * its sleep and then checks the queue cannot miss a producer that pushes and then checks whether
 * the consumer sleeps. */
static inline bool mpsc_push(struct mpsc *queue, struct mpsc_node *node)
{
	struct mpsc_node *before = atomic_load_explicit(&queue->newest, memory_order_relaxed);

	do {
		node->next = before;
	} while (!atomic_compare_exchange_weak(&queue->newest, &before, node));
	return !before;
}

/* Any thread. Whether there is nothing to take. */
static inline bool mpsc_is_empty(const struct mpsc *queue)
{
	return !atomic_load(&queue->newest);
}

/* The consumer only. Takes all nodes, the oldest first, linked by next. NULL: there are none. */
static inline struct mpsc_node *mpsc_take_all(struct mpsc *queue)
{
	struct mpsc_node *node = mpsc_is_empty(queue)
		? NULL
		: atomic_exchange_explicit(&queue->newest, NULL, memory_order_acq_rel);
	struct mpsc_node *oldest = NULL;

	while (node) {
		struct mpsc_node *next = node->next;

		node->next = oldest;
		oldest = node;
		node = next;
	}
	return oldest;
}
