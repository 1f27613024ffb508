/* SPDX-License-Identifier: Apache-2.0 */
/* See rival.h. */
#include "rival.h"

#include <stdlib.h>

#include "backend.h"
#include "history.h"
#include "initiator.h"
#include "sim.h"
#include "threads.h"

#define BLOCKS 10 /* that it writes */

struct rival {
	bool fences, keeps;
	unsigned writes; /* that are left */
	uint64_t end;
};

struct rivals {
	struct rival stores[STORES];
};

void rivals_reset(void)
{
	if (!sim->rivals)
		sim->rivals = calloc(1, sizeof(*sim->rivals));
	*sim->rivals = (struct rivals){0};
}

static void rival_write(unsigned store)
{
	uint64_t data[BLOCK_SIZE / sizeof(uint64_t)], tag = initiators_new_tag();
	unsigned block = sim_choose(BLOCKS);

	for (unsigned i = 0; i < BLOCK_SIZE / sizeof(tag); i++)
		data[i] = tag;
	sim_trace(
		"store %u: the rival writes %u tag %#llx", store, block, (unsigned long long) tag);
	backends_rival_writes(store, block, data);
	history_set(store, block, tag);
}

/* Holds the lock. This host may take it at any time. */
static void rival_use(void *arg)
{
	struct rival *rival = arg;
	unsigned store = (unsigned) (rival - sim->rivals->stores);

	if (!backends_rival_holds(store) || !rival->end)
		return;
	if (rival->writes) {
		rival->writes--;
		rival_write(store);
	} else if (sim_now() >= rival->end) {
		if (!rival->keeps)
			backends_rival_releases(store);
		return;
	}
	sim_at(sim_now() + sim_choose(4000) * SIM_NS_PER_US, rival_use, rival);
}

static void rival_take(void *arg)
{
	struct rival *rival = arg;
	unsigned store = (unsigned) (rival - sim->rivals->stores);

	if (!rival->end)
		return;
	if (!backends_rival_takes(store, rival->fences || sim_now() >= rival->end))
		sim_at(sim_now() + sim_choose(50) * SIM_NS_PER_MS, rival_take, rival);
	else
		rival_use(rival);
}

void rival_begin(unsigned store, unsigned number, uint64_t length)
{
	struct rival *rival = &sim->rivals->stores[store];

	if (!backends_is_shared(store) || backends_rival_holds(store) || rival->end > sim_now())
		return;
	*rival = (struct rival){
		.fences = number % 2,
		.keeps = number % 8 < 2,
		.writes = 1 + number / 8,
		.end = sim_now() + length / 4,
	};
	rival_take(rival);
}

void rivals_end(void)
{
	for (unsigned i = 0; i < STORES; i++) {
		sim->rivals->stores[i].end = 0;
		backends_rival_releases(i);
	}
}
