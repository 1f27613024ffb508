/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "added.h"
#include "backend.h"
#include "cache.h"
#include "daemon.h"
#include "event-loop.h"
#include "fds.h"
#include "history.h"
#include "initiator.h"
#include "kernel.h"
#include "rival.h"
#include "sim.h"
#include "threads.h"

#define BEGIN_NS       (1000 * SIM_NS_PER_S)
#define SERVE_LIMIT_S  150
#define LISTEN_LIMIT_S 60
#define DELETE_LIMIT_S 30
#define EMPTY_LIMIT_S  90
#define STOP_LIMIT_S   20
#define CALM_TIMEOUT_S 5
#define DRAIN_S        10 /* stop_timeout_ms: until the ring is taken from requests that hang */

static struct life *life_at(void)
{
	if (!sim->life)
		sim->life = calloc(1, sizeof(*sim->life));
	return sim->life;
}

static const char *const world_kinds[WORLD_KINDS] = {
	[WORLD_IO] = "io",
	[WORLD_CREATE] = "create",
	[WORLD_DELETE] = "delete",
	[WORLD_SLOW] = "slow",
	[WORLD_HANG] = "hang",
	[WORLD_FAIL] = "fail",
	[WORLD_OPEN_FAILS] = "open-fails",
	[WORLD_OPEN_HANGS] = "open-hangs",
	[WORLD_CLOSE_HANGS] = "close-hangs",
	[WORLD_RESIZE] = "resize",
	[WORLD_RESIZE_HANGS] = "resize-hangs",
	[WORLD_WRITE_CACHE] = "write-cache",
	[WORLD_FENCE] = "fence",
	[WORLD_BACKEND_FAILED] = "backend-failed",
	[WORLD_ABORT] = "abort",
	[WORLD_LUN_RESET] = "lun-reset",
	[WORLD_REOPEN] = "reopen",
	[WORLD_STOP] = "stop",
	[WORLD_KILL] = "kill",
	[WORLD_POWER] = "power",
	[WORLD_CONFIGFS_FAILS] = "configfs-fails",
	[WORLD_BLOCK] = "block",
	[WORLD_RESET_RING] = "reset-ring",
	[WORLD_LOSE_EVENT] = "lose-event",
	[WORLD_EXPIRY] = "expiry",
	[WORLD_LATE_OPEN] = "late-open",
	[WORLD_PROVISIONING] = "provisioning",
	[WORLD_RIVAL] = "rival",
	[WORLD_XCOPY] = "xcopy",
	[WORLD_FORMAT] = "format",
	[WORLD_MODE_SELECT] = "mode-select",
	[WORLD_TWICE] = "twice",
	[WORLD_CONFIGFS_HANGS] = "configfs-hangs",
	[WORLD_SHRINK] = "shrink",
	[WORLD_UNLOAD] = "unload",
	[WORLD_OVERTAKE] = "overtake",
	[WORLD_LOCK_HANGS] = "lock-hangs",
	[WORLD_SANITIZE] = "sanitize",
	[WORLD_SEGMENTS] = "segments",
	[WORLD_LIMITS] = "limits",
};

const char *world_kind_name(enum world_kind kind)
{
	return kind < WORLD_KINDS ? world_kinds[kind] : NULL;
}

unsigned world_events(void)
{
	return life_at()->event_cnt;
}

/* ------- the script ------- */

static unsigned script_choose(struct life *life, unsigned n)
{
	life->random = life->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned) ((life->random >> 33) % n);
}

static void script_make_slots(struct life *life)
{
	life->slot_cnt = 1 + script_choose(life, STORES);
	for (unsigned i = 0; i < life->slot_cnt; i++) {
		struct slot *slot = &life->slots[i];

		*slot = (struct slot){
			.ring =
				{.ring_size = 1024 + 64 * script_choose(life, 60),
				 .block_count = 6 + script_choose(life, 40),
				 .scatter = script_choose(life, 2)},
			.write_cache = script_choose(life, 2),
			.timeout_ns = (1 + script_choose(life, script_choose(life, 2) ? 3 : 30)) *
				SIM_NS_PER_S,
		};
		(void) snprintf(
			slot->config, sizeof(slot->config), "%s/%u;sanitize=1",
			backends_subtype(script_choose(life, 3)), i);
		backends_set_cache(i, script_choose(life, 2), script_choose(life, 2));
	}
}

/* A life has a few kinds of events, often; not all of them, seldom. */
static uint64_t script_choose_kinds(struct life *life)
{
	uint64_t kinds = 0;
	unsigned cnt = script_choose(life, 7);

	while (cnt--)
		kinds |= UINT64_C(1) << (WORLD_CREATE + script_choose(life, WORLD_EXPIRY - 1));
	return (kinds | 1u << WORLD_IO) & life->options.kinds;
}

/* One of the kinds. */
static enum world_kind script_choose_kind(struct life *life, uint64_t kinds)
{
	unsigned left = script_choose(life, (unsigned) __builtin_popcountll(kinds));
	enum world_kind kind = 0;

	while (!(kinds & (UINT64_C(1) << kind)) || left--)
		kind++;
	return kind;
}

/* Events that follow an event of a kind, on the same device: faults are found there. */
static const struct {
	enum world_kind after, kinds[2];
} script_follows[] = {
	{WORLD_HANG, {WORLD_IO, WORLD_DELETE}},
	{WORLD_CLOSE_HANGS, {WORLD_DELETE, WORLD_CREATE}},
	{WORLD_OPEN_HANGS, {WORLD_DELETE, WORLD_CREATE}},
	{WORLD_RESIZE_HANGS, {WORLD_RESIZE, WORLD_DELETE}},
};
#define FOLLOWS (sizeof(script_follows) / sizeof(script_follows[0]))

static void script_follow(struct life *life, unsigned i)
{
	struct world_event_script *event = &life->script[i];

	for (unsigned j = 0; j < FOLLOWS; j++) {
		if (event->kind == script_follows[j].after)
			event->length *= 4;
		for (unsigned k = 0; k < 2 && k < i; k++) {
			enum world_kind kind = script_follows[j].kinds[k];

			if (event[-1 - (int) k].kind != script_follows[j].after ||
			    !(life->options.kinds & (UINT64_C(1) << kind)) ||
			    script_choose(life, 4) == 0)
				continue;
			event->kind = kind;
			event->slot = event[-1 - (int) k].slot;
			return;
		}
	}
}

/* A reopen or a stop while requests hang, for about as long as they may. */
static bool script_drains(const struct life *life, const struct world_event_script *event)
{
	return (event->kind == WORLD_REOPEN || event->kind == WORLD_STOP) &&
		event->number % 4 == 0 && (life->options.kinds & (UINT64_C(1) << WORLD_HANG));
}

static void script_make(struct life *life)
{
	uint64_t kinds, span, time = 40 * SIM_NS_PER_MS, end = 0;
	unsigned step;

	life->random = life->options.seed * UINT64_C(0x9e3779b97f4a7c15) + 99;
	for (unsigned i = 0; i < 4; i++)
		(void) script_choose(life, 2);
	script_make_slots(life);
	added_make(life);
	kinds = script_choose_kinds(life) | (life->added & ADDED_EVENTS);
	life->early = script_choose(life, 5) == 0;
	life->event_cnt = 4 + script_choose(life, EVENTS_OF_LIFE - 4);
	span = (uint64_t) (1 + script_choose(life, 40)) * SIM_NS_PER_S / 2;
	step = (unsigned) (2 * span / life->event_cnt / SIM_NS_PER_US);
	for (unsigned i = 0; i < life->event_cnt; i++) {
		struct world_event_script *event = &life->script[i];
		enum world_kind kind = script_choose(life, 2) ? WORLD_IO
							      : script_choose_kind(life, kinds);

		/* Some follow each other at once. */
		time += script_choose(life, 3) ? script_choose(life, step) * SIM_NS_PER_US
					       : script_choose(life, 3000) * SIM_NS_PER_US;
		*event = (struct world_event_script){
			.kind = kind,
			.slot = script_choose(life, life->slot_cnt),
			.time = time,
			.length = (uint64_t) (1 + script_choose(life, 6000)) * SIM_NS_PER_MS,
			.number = script_choose(life, 64),
		};
		if (script_choose(life, 6) == 0)
			event->length *= 5;
		script_follow(life, i);
		if (script_drains(life, event) && time + (DRAIN_S + 2) * SIM_NS_PER_S > end)
			end = time + (DRAIN_S + 2) * SIM_NS_PER_S;
	}
	if (end < time + SIM_NS_PER_S)
		end = time + SIM_NS_PER_S;
	life->end = BEGIN_NS + end;
}

/* ------- devices ------- */

static void slot_configured(struct kdev *kdev, int status)
{
	if (status < 0) {
		kernel_unregister_failed(kdev);
		return;
	}
	kdev->configured = true;
	/* The kernel's default of the attribute says nothing of the store. */
	cache_created(kdev);
}

static void slot_create(unsigned index)
{
	struct slot *slot = &life_at()->slots[index];

	if ((slot->kdev && slot->kdev->registered) || !kernel_has_room() || life_at()->unloading ||
	    !kernel_is_loaded())
		return;
	slot->kdev = kernel_create(
		index, slot->config, index, &slot->ring, slot->write_cache, slot->timeout_ns,
		slot_configured);
	slot->kdev->port_access = slot->port_access;
}

/* The target core waits until each command has its status. */
static void slot_remove(void *arg)
{
	struct kdev *kdev = arg;

	if (kdev->waiting || kdev->netlink.waits || kdev->changing)
		sim_at(sim_now() + 10 * SIM_NS_PER_MS, slot_remove, kdev);
	else
		kernel_remove(kdev);
}

static void slot_delete(unsigned index)
{
	struct kdev *kdev = life_at()->slots[index].kdev;

	if (!kdev || !kdev->registered || !kdev->configured || kdev->ending)
		return;
	sim_trace("%s is to be deleted", kdev->name);
	kdev->ending = true;
	sim_at(sim_now(), slot_remove, kdev);
}

static void slot_resized(struct kdev *kdev, int status)
{
	kdev->changing = false;
	if (status == 0)
		kdev->size = kdev->netlink.size;
}

static void slot_cache_changed(struct kdev *kdev, int status)
{
	struct slot *slot = &life_at()->slots[kdev->slot];

	kdev->changing = false;
	if (status < 0)
		return;
	kdev->write_cache = kdev->netlink.write_cache;
	/* Nobody has made it true where no daemon has answered. */
	if (!kdev->write_cache && kdev->netlink.waited)
		cache_administrator_has_off(kdev, slot->reconfigured);
}

static void slot_change(unsigned index, enum world_kind kind, unsigned number)
{
	struct slot *slot = &life_at()->slots[index];
	struct kdev *kdev = slot->kdev;
	uint64_t blocks = STORE_BLOCKS / 2 + number % (STORE_BLOCKS / 2 + 1);

	if (!kdev || !kdev->configured || kdev->ending || kdev->netlink.waits || kdev->changing)
		return;
	kdev->changing = true;
	if (kind == WORLD_RESIZE) {
		/* A device never shrinks here: initiators would have to know. */
		if (blocks * BLOCK_SIZE < kdev->size)
			blocks = kdev->size / BLOCK_SIZE;
		kernel_set_size(kdev, blocks * BLOCK_SIZE, slot_resized);
		return;
	}
	slot->reconfigured = sim_now();
	if (number % 2)
		cache_administrator_asks_on(kdev);
	kernel_set_write_cache(kdev, number % 2, slot_cache_changed);
}

/* ------- events ------- */

static void fault_ends(void *arg)
{
	struct world_event_script *event = arg;
	struct store_faults *faults = backends_faults(event->slot);
	struct kdev *kdev = life_at()->slots[event->slot].kdev;

	switch (event->kind) {
	case WORLD_SLOW:
	case WORLD_HANG:
	case WORLD_FAIL:
	case WORLD_REOPEN:
	case WORLD_STOP:
	case WORLD_OVERTAKE:
		faults->mode = STORE_GOOD;
		break;
	case WORLD_OPEN_FAILS:
		faults->open_fails = false;
		break;
	case WORLD_OPEN_HANGS:
		faults->open_hangs = false;
		break;
	case WORLD_CLOSE_HANGS:
		faults->close_hangs = false;
		break;
	case WORLD_RESIZE_HANGS:
		faults->resize_hangs = false;
		break;
	case WORLD_LOCK_HANGS:
		faults->lock_hangs = false;
		break;
	case WORLD_CONFIGFS_FAILS:
		if (kdev)
			kdev->configfs_fails = false;
		break;
	case WORLD_SHRINK:
		faults->blocks = 0;
		daemon_report_size(event->slot);
		break;
	case WORLD_CONFIGFS_HANGS:
		if (kdev)
			kernel_hang_configfs(kdev, false);
		break;
	case WORLD_BLOCK:
		if (kdev)
			kernel_block(kdev, false);
		break;
	default:
		break;
	}
	backends_changed(event->slot);
}

static void fault_begin(struct world_event_script *event)
{
	struct store_faults *faults = backends_faults(event->slot);

	faults->mode = event->kind == WORLD_SLOW || event->kind == WORLD_OVERTAKE ? STORE_SLOW
		: event->kind == WORLD_HANG                                       ? STORE_HANGS
		: event->kind == WORLD_FAIL                                       ? STORE_FAILS
										  : faults->mode;
	faults->open_fails |= event->kind == WORLD_OPEN_FAILS;
	faults->open_hangs |= event->kind == WORLD_OPEN_HANGS;
	faults->close_hangs |= event->kind == WORLD_CLOSE_HANGS;
	faults->resize_hangs |= event->kind == WORLD_RESIZE_HANGS;
	faults->lock_hangs |= event->kind == WORLD_LOCK_HANGS;
	backends_changed(event->slot);
	sim_at(sim_now() + event->length, fault_ends, event);
}

static void daemon_starts_again(void *arg)
{
	(void) arg;
	if (daemon_state() == DAEMON_OFF)
		daemon_start();
	else
		sim_at(sim_now() + 50 * SIM_NS_PER_MS, daemon_starts_again, NULL);
}

static void daemon_ends(const struct world_event_script *event)
{
	if (event->kind == WORLD_STOP) {
		daemon_stop();
	} else {
		daemon_kill();
		for (unsigned i = 0; event->kind == WORLD_POWER && i < STORES; i++)
			backends_cut_power(i);
	}
	sim_at(sim_now() + event->length / 20, daemon_starts_again, NULL);
}

static void drain_begins(void *arg)
{
	const struct world_event_script *event = arg;
	const struct kdev *kdev = life_at()->slots[event->slot].kdev;

	if (event->kind == WORLD_STOP)
		daemon_ends(event);
	else if (kdev && kdev->registered && !kdev->ending)
		daemon_reopen(kdev->name);
}

static void drain_hangs(void *arg)
{
	struct world_event_script *event = arg;

	backends_faults(event->slot)->mode = STORE_HANGS;
	backends_changed(event->slot);
	sim_at(sim_now() + DRAIN_S * SIM_NS_PER_S - SIM_NS_PER_S / 10 +
		       event->number * 10 * SIM_NS_PER_MS,
	       fault_ends, event);
}

/* Some commands are answered, and others hang. */
static void drain_slowly(struct world_event_script *event, struct kdev *kdev)
{
	initiators_burst(kdev, 16);
	sim_at(sim_now() + SIM_NS_PER_MS / 2, drain_hangs, event);
	sim_at(sim_now() + 4 * SIM_NS_PER_MS, drain_begins, event);
}

/* Somebody removes all devices and the module, and loads it again; half of them create devices at
 * once then. */
static void module_loads(void *arg)
{
	const struct world_event_script *event = arg;

	life_at()->unloading = false;
	kernel_load();
	for (unsigned i = 0; event->number % 2 && i < life_at()->slot_cnt; i++)
		slot_create(i);
}

static void module_unloads(void *arg)
{
	struct world_event_script *event = arg;

	if (!life_at()->unloading)
		return;
	for (unsigned i = 0; i < life_at()->slot_cnt; i++)
		slot_delete(i);
	if (kernel_unload())
		sim_at(sim_now() + event->length / 8, module_loads, event);
	else
		sim_at(sim_now() + 3 * SIM_NS_PER_MS, module_unloads, event);
}

static void module_begins_to_unload(struct world_event_script *event)
{
	if (life_at()->unloading)
		return;
	life_at()->unloading = true;
	module_unloads(event);
}

static void overtake_copies(void *arg)
{
	const struct world_event_script *event = arg;
	struct life *life = life_at();

	for (unsigned i = 0; i < life->slot_cnt; i++)
		if (i != event->slot && life->slots[i].kdev)
			initiators_copy(life->slots[i].kdev, event->slot);
}

/* The kernel answers the writes, and initiators of other devices copy to the same blocks: a device
 * takes one copy at a time. */
static void overtake_resets(void *arg)
{
	struct world_event_script *event = arg;

	kernel_reset_ring(life_at()->slots[event->slot].kdev, true);
	for (unsigned i = 0; i < 4; i++)
		sim_at(sim_now() + (1 + 5 * i) * SIM_NS_PER_MS, overtake_copies, event);
}

static void overtake_begins(struct world_event_script *event, struct kdev *kdev)
{
	fault_begin(event);
	for (unsigned i = 0; i < 4; i++)
		initiators_write(kdev);
	sim_at(sim_now() + (1 + event->number) * 100 * SIM_NS_PER_US, overtake_resets, event);
}

/* Events of a device that is there. */
static void event_run_on(struct world_event_script *event, struct kdev *kdev)
{
	switch (event->kind) {
	case WORLD_IO:
		initiators_burst(kdev, 1 + event->number % 16);
		break;
	case WORLD_ABORT:
	case WORLD_LUN_RESET:
		kernel_task_management(kdev, event->kind == WORLD_LUN_RESET);
		break;
	case WORLD_REOPEN:
		daemon_reopen(kdev->name);
		break;
	case WORLD_CONFIGFS_FAILS:
		kdev->configfs_fails = true;
		sim_at(sim_now() + event->length, fault_ends, event);
		break;
	case WORLD_BLOCK:
		kernel_block(kdev, true);
		sim_at(sim_now() + event->length / 4, fault_ends, event);
		break;
	case WORLD_RESET_RING:
		kernel_reset_ring(kdev, true);
		break;
	case WORLD_OVERTAKE:
		overtake_begins(event, kdev);
		break;
	default:
		break;
	}
}

static void event_run(void *arg)
{
	struct world_event_script *event = arg;
	struct kdev *kdev = life_at()->slots[event->slot].kdev;

	if (event->kind != WORLD_IO)
		sim_trace(
			"* %s of store %u for %.3f s", world_kinds[event->kind], event->slot,
			(double) event->length / 1e9);
	if (script_drains(life_at(), event) && kdev && kdev->configured && !kdev->ending) {
		drain_slowly(event, kdev);
		return;
	}
	switch (event->kind) {
	case WORLD_CREATE:
		slot_create(event->slot);
		break;
	case WORLD_DELETE:
		slot_delete(event->slot);
		break;
	case WORLD_SLOW:
	case WORLD_HANG:
	case WORLD_FAIL:
	case WORLD_OPEN_FAILS:
	case WORLD_OPEN_HANGS:
	case WORLD_CLOSE_HANGS:
	case WORLD_RESIZE_HANGS:
	case WORLD_LOCK_HANGS:
		fault_begin(event);
		break;
	case WORLD_RESIZE:
	case WORLD_WRITE_CACHE:
		slot_change(event->slot, event->kind, event->number);
		break;
	case WORLD_FENCE:
	case WORLD_BACKEND_FAILED:
		life_at()->slots[event->slot].failed = true;
		daemon_report(event->slot, event->kind == WORLD_FENCE);
		break;
	case WORLD_STOP:
	case WORLD_KILL:
	case WORLD_POWER:
		daemon_ends(event);
		break;
	case WORLD_SHRINK:
		backends_faults(event->slot)->blocks = 1 + event->number;
		daemon_report_size(event->slot);
		sim_at(sim_now() + event->length, fault_ends, event);
		break;
	/* Also of a device that is being created. */
	case WORLD_CONFIGFS_HANGS:
		if (!kdev || !kdev->registered)
			break;
		kernel_hang_configfs(kdev, true);
		sim_at(sim_now() + event->length, fault_ends, event);
		break;
	case WORLD_UNLOAD:
		module_begins_to_unload(event);
		break;
	case WORLD_TWICE:
		kernel_double_events(1 + event->number % 6);
		break;
	case WORLD_RIVAL:
		rival_begin(event->slot, event->number, event->length);
		break;
	case WORLD_LOSE_EVENT:
		kernel_lose_events(1 + event->number % 2);
		break;
	default:
		if (kdev && kdev->registered && kdev->configured && !kdev->ending)
			event_run_on(event, kdev);
	}
}

/* ------- a life ------- */

static bool life_never(void)
{
	return false;
}

static void life_check(void *arg)
{
	kernel_check_deadlines(daemon_state() == DAEMON_SERVES);
	sim_at(sim_now() + 500 * SIM_NS_PER_MS, life_check, arg);
}

/* Everything outside of the daemon is well from now on. */
static void life_heal(struct life *life)
{
	sim_trace("* all is well");
	kernel_lose_events(0);
	life->unloading = false;
	kernel_load();
	rivals_end();
	for (unsigned i = 0; i < STORES; i++) {
		*backends_faults(i) = (struct store_faults){0};
		backends_changed(i);
	}
	for (unsigned i = 0; i < life->slot_cnt; i++) {
		struct kdev *kdev = life->slots[i].kdev;

		if (!kdev)
			continue;
		kdev->configfs_fails = false;
		kernel_hang_configfs(kdev, false);
	}
}

/* Every place gets a device, and each device commands, until it serves. */
static void life_probe(void *arg)
{
	struct life *life = arg;

	for (unsigned i = 0; i < life->slot_cnt && !life->ending; i++) {
		struct kdev *kdev = life->slots[i].kdev;

		if (!kdev || !kdev->registered)
			slot_create(i);
		else if (life->slots[i].failed && sim_chance(8))
			daemon_reopen(kdev->name);
		else if (kdev->configured && !kdev->ending && !initiators_served(kdev))
			initiators_probe(kdev);
	}
	sim_at(sim_now() + 700 * SIM_NS_PER_MS, life_probe, life);
}

static bool life_all_served(void)
{
	const struct life *life = life_at();

	for (unsigned i = 0; i < life->slot_cnt; i++) {
		const struct kdev *kdev = life->slots[i].kdev;

		if (!kdev || !kdev->registered || !kdev->configured || kdev->ending ||
		    !initiators_served(kdev))
			return !kernel_has_room();
	}
	return true;
}

static bool life_all_released(void)
{
	const struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (!kdev->released)
			return false;
	return true;
}

static void life_delete(void *arg)
{
	for (unsigned i = 0; i < life_at()->slot_cnt; i++)
		slot_delete(i);
	sim_at(sim_now() + 100 * SIM_NS_PER_MS, life_delete, arg);
}

/* The main thread, and the thread of the model backend. */
static bool life_is_idle(void)
{
	return daemon_is_empty() && threads_count() == 2 && !backends_open();
}

static bool life_is_over(void)
{
	return daemon_state() == DAEMON_OFF;
}

static void life_expect(bool (*done)(void), unsigned seconds, const char *what)
{
	if (!sim_run(done, sim_now() + seconds * SIM_NS_PER_S))
		sim_fail("%s", what);
}

static bool life_is_calm(const struct life *life)
{
	if (life->early || added_has(life, WORLD_RIVAL) || added_has(life, WORLD_FORMAT) ||
	    added_has(life, WORLD_SANITIZE))
		return false;
	/* A backend takes up to 400 ms for a request, and commands queue. */
	for (unsigned i = 0; i < life->slot_cnt; i++)
		if (life->slots[i].timeout_ns < CALM_TIMEOUT_S * SIM_NS_PER_S)
			return false;
	for (unsigned i = 0; i < life->event_cnt; i++)
		if ((life->options.events & (UINT64_C(1) << i)) &&
		    life->script[i].kind > WORLD_DELETE)
			return false;
	return true;
}

static void life_create(void *arg)
{
	(void) arg;
	for (unsigned i = 0; i < life_at()->slot_cnt; i++)
		slot_create(i);
}

static void life_begin(struct life *life)
{
	static const unsigned depths[] = {2, 4, 8, 32};
	struct daemon_options daemon = {
		.depth = depths[script_choose(life, 4)],
		.busy_poll = script_choose(life, 2) ? 0 : 50,
		.xcopy_all = life->xcopy_all,
	};

	daemon_reset(&daemon);
	daemon_start();
	if (life->early)
		life_create(NULL);
	sim_at(sim_now() + 9 * SIM_NS_PER_MS, life_create, NULL);
	for (unsigned i = 0; i < life->event_cnt; i++)
		if (life->options.events & (UINT64_C(1) << i))
			sim_at(BEGIN_NS + life->script[i].time, event_run, &life->script[i]);
	sim_at(sim_now() + SIM_NS_PER_S, life_check, NULL);
}

static void life_end(struct life *life)
{
	life_heal(life);
	daemon_starts_again(NULL);
	initiators_expect_service();
	life_probe(life);
	life_expect(
		life_all_served, SERVE_LIMIT_S,
		"all is well, and a device does not serve in 150 s");
	life_expect(
		kernel_waits_for_answers, LISTEN_LIMIT_S,
		"all is well, and the kernel does not wait for the daemon's answers");
	life->ending = true;
	life_delete(NULL);
	life_expect(life_all_released, DELETE_LIMIT_S, "a device that was deleted is not released");
	life_expect(
		life_is_idle, EMPTY_LIMIT_S,
		"all devices are deleted, and something of them is left in the daemon");
	daemon_stop();
	life_expect(life_is_over, STOP_LIMIT_S, "the daemon does not stop");
	initiators_check_all();
}

void world_run(const struct world_options *options)
{
	static const struct kernel_calls calls = {
		.attached = cache_attached,
		.got_status = initiators_take_status,
		.late = initiators_late,
		.data_taken = initiators_data_taken,
	};
	struct life *life = life_at();

	threads_reset(options->schedule);
	fds_reset();
	event_loop_reset();
	backends_reset(options->kinds & (UINT64_C(1) << WORLD_LATE_OPEN));
	history_reset();
	rivals_reset();
	cache_reset();
	initiators_reset(options->kinds & (UINT64_C(1) << WORLD_EXPIRY));
	memset(life, 0, sizeof(*life));
	life->options = *options;
	script_make(life);
	initiators_set_calm(life_is_calm(life));
	kernel_reset(script_choose(life, KERNEL_VERSIONS), &calls);
	life_begin(life);
	(void) sim_run(life_never, life->end);
	life_end(life);
	sim->report->lives++;
	sim->report->steps += sim_steps();
}
