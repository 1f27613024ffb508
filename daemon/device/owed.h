/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of answers that are owed to the kernel: every netlink command that was received, or
 * found waiting by a scan, is in it until it is answered, or nobody waits for it any more. A
 * command that is not in it is not answered. So each is answered at most once, and what is left at
 * the end is known.
 *
 * The kernel has one command in flight for each kind and device at most; another one of the same
 * kind means that nobody waits for the one before it. Main thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <tcmu/netlink.h>

struct owed {
	GHashTable *commands; /* of uint64_t */
};

void owed_init(struct owed *owed);

/* Frees it; nothing is owed any more. Takes one that was never initialised. */
void owed_clear(struct owed *owed);

/* The command of this device waits. */
void owed_add(struct owed *owed, enum tcmu_event_kind kind, uint32_t id);

/* It is answered now, or nobody waits for it. False: it was not owed. */
bool owed_take(struct owed *owed, enum tcmu_event_kind kind, uint32_t id);

/* Any command that is owed. False: there is none. */
bool owed_any(const struct owed *owed, enum tcmu_event_kind *kind, uint32_t *id);
