/* SPDX-License-Identifier: Apache-2.0 */
/* See aio/slots.h. */
#include "aio/slots.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "base/memory.h"

/* What the engine keeps in a request. */
struct aio_node {
	struct list_node node;
	uintptr_t res; /* an intptr_t */
};
_Static_assert(sizeof(struct aio_node) <= sizeof(((struct tcmu_aio *) NULL)->engine), "fits");

int aio_slots_init(struct aio_slots *slots, unsigned depth)
{
	assert(depth);
	*slots = (struct aio_slots){.depth = depth};
	list_init(&slots->free);
	list_init(&slots->ended);
	slots->memory = memory_map(depth * sizeof(slots->memory[0]));
	return slots->memory ? 0 : -ENOMEM;
}

void aio_slots_destroy(struct aio_slots *slots)
{
	for (unsigned i = 0; slots->memory && i < slots->used; i++)
		assert(!slots->memory[i].aio && slots->memory[i].cqes == 0);
	memory_unmap(slots->memory, slots->depth * sizeof(slots->memory[0]));
}

bool aio_slots_available(const struct aio_slots *slots)
{
	return !list_is_empty(&slots->free) || slots->used < slots->depth;
}

struct aio_slot *aio_slot_get(struct aio_slots *slots, struct tcmu_aio *aio)
{
	struct aio_slot *slot = list_entry(list_take(&slots->free), struct aio_slot, node);

	if (!slot) {
		assert(slots->used < slots->depth);
		slot = &slots->memory[slots->used++];
		slot->slots = slots;
	}
	assert(!slot->aio && slot->cqes == 0);
	slot->aio = aio;
	return slot;
}

void aio_slot_end(struct aio_slot *slot, int64_t res)
{
	assert(slot->aio);
	aio_slots_end_request(slot->slots, slot->aio, res);
	slot->aio = NULL;
}

void aio_slot_put(struct aio_slot *slot)
{
	assert(!slot->aio && slot->cqes == 0);
	list_push(&slot->slots->free, &slot->node);
}

void aio_slots_end_request(struct aio_slots *slots, struct tcmu_aio *aio, int64_t res)
{
	struct aio_node *node = (struct aio_node *) aio->engine;

	node->res = (uintptr_t) (intptr_t) res;
	list_append(&slots->ended, &node->node);
}

void aio_list_append(struct list *list, struct tcmu_aio *aio)
{
	list_append(list, &((struct aio_node *) aio->engine)->node);
}

void aio_list_push(struct list *list, struct tcmu_aio *aio)
{
	list_push(list, &((struct aio_node *) aio->engine)->node);
}

struct tcmu_aio *aio_list_take(struct list *list)
{
	struct list_node *node = list_take(list);

	return node ? container_of((void *) node, struct tcmu_aio, engine) : NULL;
}

int64_t aio_result(const struct tcmu_aio *aio)
{
	return (intptr_t) ((const struct aio_node *) aio->engine)->res;
}

unsigned aio_iov_cnt(const struct tcmu_aio *aio)
{
	return aio->iov_cnt < IOV_MAX ? aio->iov_cnt : IOV_MAX;
}
