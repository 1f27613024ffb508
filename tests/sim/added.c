/* SPDX-License-Identifier: Apache-2.0 */
/* See added.h. */
#include "added.h"

#include <stdio.h>

#include "backend.h"
#include "initiator.h"

static unsigned added_choose(struct life *life, unsigned n)
{
	life->added_random = life->added_random * UINT64_C(6364136223846793005) +
		UINT64_C(1442695040888963407);
	return (unsigned) ((life->added_random >> 33) % n);
}

static void added_begin(struct life *life, enum world_kind kind)
{
	life->added_random = (life->options.seed * 64 + kind) * UINT64_C(0xd1342543de82ef95) + 7;
	for (unsigned i = 0; i < 4; i++)
		(void) added_choose(life, 2);
}

bool added_has(const struct life *life, enum world_kind kind)
{
	return life->added & (UINT64_C(1) << kind);
}

static void added_add_provisioning(struct life *life)
{
	static const uint64_t caps[] = {
		TCMU_IO_CAP(TCMU_IO_UNMAP), TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES),
		TCMU_IO_CAP(TCMU_IO_WRITE_SAME), TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE)};

	for (unsigned i = 0; i < life->slot_cnt; i++) {
		uint64_t chosen = 0;

		for (unsigned j = 0; j < 4; j++)
			chosen |= added_choose(life, j == 0 ? 4 : 2) ? caps[j] : 0;
		backends_set_caps(i, chosen, added_choose(life, 3));
	}
	initiators_use(KCOMMAND_UNMAP);
	initiators_use(KCOMMAND_WRITE_SAME);
}

/* Most stores are shared, some of them as their initiators say. */
static void added_add_rival(struct life *life)
{
	for (unsigned i = 0; i < life->slot_cnt; i++) {
		struct slot *slot = &life->slots[i];

		if (added_choose(life, 4) == 0)
			continue;
		slot->port_access = added_choose(life, 3) == 0 ? 3 : 1;
		backends_share(i);
		(void) snprintf(
			slot->config, sizeof(slot->config), "%s/%u",
			backends_subtype(SUBTYPE_LOCKS), i);
		if (slot->port_access == 3)
			initiators_use(KCOMMAND_SET_GROUPS);
	}
}

static void added_add_xcopy(struct life *life)
{
	life->xcopy_all = added_choose(life, 2);
	initiators_use(KCOMMAND_XCOPY);
	backends_copy();
}

static void added_add_overtake(struct life *life)
{
	life->xcopy_all = true;
	backends_copy();
}

static void added_add_format(struct life *life)
{
	(void) life;
	initiators_use(KCOMMAND_FORMAT);
}

static void added_add_sanitize(struct life *life)
{
	(void) life;
	initiators_use(KCOMMAND_SANITIZE);
}

static void added_add_segments(struct life *life)
{
	if (!added_has(life, WORLD_XCOPY))
		added_add_xcopy(life);
	initiators_use_segments();
}

/* COMPARE AND WRITE of one block is two blocks of data-out. */
static void added_add_limits(struct life *life)
{
	for (unsigned i = 0; i < life->slot_cnt; i++)
		backends_set_limit(i, 2 + added_choose(life, 2));
}

static void added_add_mode_select(struct life *life)
{
	(void) life;
	initiators_use(KCOMMAND_MODE_SELECT);
}

/* A life has a kind in one of so many lives. */
static const struct {
	enum world_kind kind;
	unsigned one_of;
	void (*add)(struct life *life); /* NULL: there is nothing to prepare */
} added_kinds[] = {
	{WORLD_PROVISIONING, 3, added_add_provisioning},
	{WORLD_RIVAL, 5, added_add_rival},
	{WORLD_XCOPY, 4, added_add_xcopy},
	{WORLD_FORMAT, 8, added_add_format},
	{WORLD_MODE_SELECT, 4, added_add_mode_select},
	{WORLD_TWICE, 5, NULL},
	{WORLD_CONFIGFS_HANGS, 6, NULL},
	{WORLD_SHRINK, 6, NULL},
	{WORLD_UNLOAD, 6, NULL},
	{WORLD_OVERTAKE, 8, added_add_overtake},
	{WORLD_LOCK_HANGS, 3, NULL},
	{WORLD_SANITIZE, 8, added_add_sanitize},
	{WORLD_SEGMENTS, 6, added_add_segments},
	{WORLD_LIMITS, 4, added_add_limits},
};
#define ADDED (sizeof(added_kinds) / sizeof(added_kinds[0]))

void added_make(struct life *life)
{
	for (unsigned i = 0; i < ADDED; i++) {
		enum world_kind kind = added_kinds[i].kind;

		added_begin(life, kind);
		if (!(life->options.kinds & (UINT64_C(1) << kind)) ||
		    added_choose(life, added_kinds[i].one_of) != 0)
			continue;
		life->added |= UINT64_C(1) << kind;
		if (added_kinds[i].add)
			added_kinds[i].add(life);
	}
}
