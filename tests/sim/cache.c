/* SPDX-License-Identifier: Apache-2.0 */
/* See cache.h. */
#include "cache.h"

#include <stdlib.h>

#include "history.h"
#include "initiator.h"
#include "sim.h"
#include "threads.h"

struct cache {
	bool administrator; /* has it off */
	bool initiator;     /* the same */
	bool saved;         /* an initiator has saved "off" */
	/* A MODE SELECT that was sent before this says nothing. */
	uint64_t known, known_saved;
};

struct caches {
	struct cache slots[STORES];
};

void cache_reset(void)
{
	if (!sim->caches)
		sim->caches = calloc(1, sizeof(*sim->caches));
	*sim->caches = (struct caches){0};
}

static struct cache *cache_at(const struct kdev *kdev)
{
	return &sim->caches->slots[kdev->slot];
}

bool cache_is_off(unsigned slot)
{
	const struct cache *cache = &sim->caches->slots[slot];

	return cache->administrator || cache->initiator;
}

/* Commands in flight may be carried out while it is on. */
static void cache_changed(const struct kdev *kdev)
{
	if (!cache_is_off(kdev->slot))
		initiators_cache_is_on(kdev->slot);
}

void cache_created(const struct kdev *kdev)
{
	*cache_at(kdev) = (struct cache){.known = sim_now(), .known_saved = sim_now()};
	cache_changed(kdev);
}

void cache_attached(const struct kdev *kdev)
{
	struct cache *cache = cache_at(kdev);

	cache->initiator = cache->saved && !initiators_ask_cache_on(kdev->slot);
	cache->known = sim_now();
	cache_changed(kdev);
}

void cache_administrator_asks_on(const struct kdev *kdev)
{
	struct cache *cache = cache_at(kdev);

	cache->administrator = cache->initiator = false;
	cache->known = sim_now();
	cache_changed(kdev);
}

static void cache_check_stable(const struct kdev *kdev, uint64_t asked, const char *why)
{
	sim_trace("%s: its write cache is off for certain", kdev->name);
	initiators_check_stable(kdev->store, asked, why);
}

void cache_administrator_has_off(const struct kdev *kdev, uint64_t asked)
{
	cache_at(kdev)->administrator = true;
	cache_check_stable(kdev, asked, "on stable storage after the write cache went off");
}

void cache_initiator_asks(const struct kcommand *command)
{
	struct cache *cache = cache_at(command->kdev);

	if (!command->cache_on)
		return;
	cache->initiator = false;
	cache->known = sim_now();
	if (command->save) {
		cache->saved = false;
		cache->known_saved = sim_now();
	}
	cache_changed(command->kdev);
}

void cache_initiator_has(const struct kcommand *command)
{
	struct cache *cache = cache_at(command->kdev);

	if (command->cache_on || initiators_ask_cache_on(command->kdev->slot))
		return;
	if (command->save && cache->known_saved < command->begun)
		cache->saved = true;
	if (cache->known >= command->begun)
		return;
	cache->initiator = true;
	cache_check_stable(
		command->kdev, command->begun, "on stable storage after MODE SELECT of WCE 0");
}
