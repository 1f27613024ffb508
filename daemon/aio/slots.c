/* SPDX-License-Identifier: Apache-2.0 */
/* See aio/slots.h. */
#include "aio/slots.h"

#include <assert.h>
#include <errno.h>

#include "base/memory.h"

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
