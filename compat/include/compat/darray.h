/* SPDX-License-Identifier: Apache-2.0 */
/* An array that grows: the macros that handlers use. Without memory, an element is not appended. */
#pragma once

#include <stdlib.h>
#include <string.h>

#define darray(type) \
	struct { \
		type *item; \
		size_t size; \
		size_t alloc; \
	}

#define darray_new() \
	{ \
		0, 0, 0 \
	}
#define darray_init(array) \
	do { \
		(array).item = NULL; \
		(array).size = 0; \
		(array).alloc = 0; \
	} while (0)
#define darray_free(array)        free((array).item)

#define darray_item(array, index) ((array).item[index])
#define darray_size(array)        ((array).size)
#define darray_empty(array)       ((array).size == 0)

/* Room for one element more. */
static inline int darray_reserve(void **item, size_t size, size_t *alloc, size_t element)
{
	size_t more = *alloc ? *alloc * 2 : 8;
	void *moved;

	if (size < *alloc)
		return 1;
	moved = realloc(*item, more * element);
	if (!moved)
		return 0;
	*item = moved;
	*alloc = more;
	return 1;
}

#define darray_append(array, ...) \
	do { \
		void *darray_at = (array).item; \
		if (darray_reserve( \
			    &darray_at, (array).size, &(array).alloc, sizeof(*(array).item))) { \
			(array).item = darray_at; \
			(array).item[(array).size++] = (__VA_ARGS__); \
		} \
	} while (0)
#define darray_push(array, ...) darray_append(array, __VA_ARGS__)
#define darray_pop(array)       ((array).item[--(array).size])

/* Removes the element at an index; the later ones move up. */
#define darray_remove(array, index) \
	do { \
		size_t darray_gone = (size_t) (index); \
		if (darray_gone < (array).size) { \
			(array).size--; \
			memmove((array).item + darray_gone, (array).item + darray_gone + 1, \
				((array).size - darray_gone) * sizeof(*(array).item)); \
		} \
	} while (0)

#define darray_foreach(at, array) \
	for ((at) = (array).item; (at) < (array).item + (array).size; (at)++)
#define darray_foreach_reverse(at, array) \
	for ((at) = (array).item + (array).size; (at)-- > (array).item;)
