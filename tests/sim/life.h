/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life that runs, from inside of the world.
 */
#pragma once

#include "daemon.h"
#include "fake-ring.h"
#include "history.h"
#include "world.h"

struct world_event_script {
	enum world_kind kind;
	unsigned slot;
	uint64_t time;
	uint64_t length; /* of a fault, ns */
	unsigned number;
};

/* A place for a device, with its store. */
struct slot {
	struct kdev *kdev; /* the last one; NULL: none yet */
	char config[32];
	struct fake_ring_options ring;
	bool write_cache;
	uint64_t timeout_ns;
	uint8_t port_access;
	bool failed;           /* its handler has reported so: only reopening helps */
	uint64_t reconfigured; /* when the last change of the write cache was sent */
};

/* Of the life that runs. Not the daemon's: kept on the heap. */
struct life {
	struct world_options options;
	struct slot slots[STORES];
	unsigned slot_cnt;
	struct world_event_script script[EVENTS_OF_LIFE];
	unsigned event_cnt;
	uint64_t random;
	uint64_t added_random; /* of added.h */
	uint64_t added;        /* the kinds from WORLD_PROVISIONING that it has */
	uint64_t end;
	bool ending;
	bool xcopy_all;
	bool unloading;
	bool early; /* the devices are there before the daemon */
};
