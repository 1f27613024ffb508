/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First in, first out: a singly linked list whose nodes are embedded in the listed structures. For
 * one thread, or under one lock of its user. A node is on one list at most.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/container-of.h"

struct list_node {
	struct list_node *next;
};

struct list {
	struct list_node *first; /* NULL: the list is empty */
	struct list_node **end;  /* the pointer that the next node goes to */
};

/* Makes an empty list. */
static inline void list_init(struct list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static inline bool list_is_empty(const struct list *list)
{
	return !list->first;
}

/* Adds a node, which is on no list, as the newest. */
static inline void list_append(struct list *list, struct list_node *node)
{
	node->next = NULL;
	*list->end = node;
	list->end = &node->next;
}

/* Adds a node before all others: it is the next that list_take() returns. */
static inline void list_push(struct list *list, struct list_node *node)
{
	node->next = list->first;
	if (!list->first)
		list->end = &node->next;
	list->first = node;
}

/* Takes the oldest node off the list. NULL: the list is empty. */
static inline struct list_node *list_take(struct list *list)
{
	struct list_node *node = list->first;

	if (node) {
		list->first = node->next;
		if (!list->first)
			list->end = &list->first;
		node->next = NULL;
	}
	return node;
}

/* Moves all nodes to another list, which was empty, in their order. */
static inline void list_move(struct list *from, struct list *to)
{
	assert(from != to);
	list_init(to);
	if (!from->first)
		return;
	*to = *from;
	list_init(from);
}

/* Moves all nodes to the end of another list, in their order. */
static inline void list_join(struct list *from, struct list *to)
{
	assert(from != to);
	if (!from->first)
		return;
	*to->end = from->first;
	to->end = from->end;
	list_init(from);
}

/* Takes a node out of the middle; it must be on the list. Linear. */
static inline void list_remove(struct list *list, struct list_node *node)
{
	struct list_node **link = &list->first;

	while (*link && *link != node)
		link = &(*link)->next;
	assert(*link == node);
	*link = node->next;
	if (list->end == &node->next)
		list->end = link;
	node->next = NULL;
}

#define list_for_each(node, list) \
	for (struct list_node * (node) = (list)->first; (node); (node) = (node)->next)

/* The structure that a node is embedded in; NULL stays NULL. */
#define list_entry(node, type, member) \
	({ \
		struct list_node *node_ = (node); \
		node_ ? container_of(node_, type, member) : NULL; \
	})
