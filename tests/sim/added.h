/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds from WORLD_PROVISIONING: they came later, and leave a script without them as it was.
 * Each has its own random numbers.
 */
#pragma once

#include "life.h"

#define ADDED_EVENTS \
	(UINT64_C(1) << WORLD_RIVAL | UINT64_C(1) << WORLD_TWICE | \
	 UINT64_C(1) << WORLD_CONFIGFS_HANGS | UINT64_C(1) << WORLD_SHRINK | \
	 UINT64_C(1) << WORLD_UNLOAD | UINT64_C(1) << WORLD_OVERTAKE | \
	 UINT64_C(1) << WORLD_LOCK_HANGS)

/* Chooses which of them the life has, and prepares them. After the slots, before the events. */
void added_make(struct life *life);

bool added_has(const struct life *life, enum world_kind kind);
