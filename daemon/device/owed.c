/* SPDX-License-Identifier: Apache-2.0 */
#include "device/owed.h"

#include <assert.h>

static uint64_t owed_key(enum tcmu_event_kind kind, uint32_t id)
{
	assert(kind >= TCMU_EVENT_ADDED && kind <= TCMU_EVENT_RECONFIG);
	return (uint64_t) kind << 32 | id;
}

void owed_init(struct owed *owed)
{
	assert(!owed->commands);
	owed->commands = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void owed_clear(struct owed *owed)
{
	if (!owed->commands)
		return;
	assert(g_hash_table_size(owed->commands) == 0);
	g_hash_table_destroy(owed->commands);
	owed->commands = NULL;
}

void owed_add(struct owed *owed, enum tcmu_event_kind kind, uint32_t id)
{
	uint64_t *key = g_new(uint64_t, 1);

	*key = owed_key(kind, id);
	(void) g_hash_table_add(owed->commands, key);
}

bool owed_take(struct owed *owed, enum tcmu_event_kind kind, uint32_t id)
{
	uint64_t key = owed_key(kind, id);

	return g_hash_table_remove(owed->commands, &key);
}

bool owed_any(const struct owed *owed, enum tcmu_event_kind *kind, uint32_t *id)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, owed->commands);
	if (!g_hash_table_iter_next(&iter, &key, NULL))
		return false;
	*kind = (enum tcmu_event_kind)(*(const uint64_t *) key >> 32);
	*id = (uint32_t) * (const uint64_t *) key;
	return true;
}
