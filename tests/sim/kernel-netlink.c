/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel.h: netlink, and the commands of the kernel that wait for an answer. */
#include <errno.h>
#include <stdlib.h>

#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "kernel-abi.h"
#include "kernel-private.h"
#include "sim.h"
#include "threads.h"

#define ADDED_LIMIT_S    12
#define REMOVED_LIMIT_S  8
#define RECONFIG_LIMIT_S 12
#define RELEASE_LIMIT_S  4
/* Of what an earlier daemon has left, where a creation waits too: it comes first. */
#define LEFT_LIMIT_S 13

/* ------- the kernel's side ------- */

struct answer {
	struct kdev *kdev;
	int status;
	void (*answered)(struct kdev *kdev, int status);
};

static void answer_give(void *arg)
{
	struct answer *answer = arg;

	answer->answered(answer->kdev, answer->status);
	free(answer);
}

void kernel_answer(struct kdev *kdev, int status)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		abort();
	*answer = (struct answer){kdev, status, kdev->netlink.answered};
	kdev->netlink.waits = false;
	if (kdev->netlink.kind == TCMU_EVENT_RECONFIG)
		kdev->lock_needed = sim_now();
	sim_trace("%s: event %d is answered: %d", kdev->name, kdev->netlink.kind, status);
	sim_at(sim_now() + sim_choose(100) * SIM_NS_PER_US, answer_give, answer);
}

void kernel_send_event(
	struct kdev *kdev, enum tcmu_event_kind kind, enum tcmu_reconfig_kind reconfig,
	void (*answered)(struct kdev *kdev, int status))
{
	struct kernel *kernel = sim->kernel;
	struct knetlink *netlink = &kdev->netlink;
	bool heard = genl_listener();

	netlink->kind = kind;
	netlink->sent = sim_now();
	netlink->daemon = 0;
	netlink->answered = answered;
	netlink->waits = kernel->replies && (heard || kind == TCMU_EVENT_ADDED);
	/* The sender fails and does not wait; a removal goes on. */
	if (heard && !genl_send_event(kdev, kind, reconfig)) {
		netlink->waits = netlink->waited = false;
		kernel_answer(kdev, -ENOBUFS);
		return;
	}
	netlink->waited = netlink->waits;
	kernel->creates |= netlink->waits && kind == TCMU_EVENT_ADDED;
	sim_trace("%s: event %d is sent%s", kdev->name, kind, netlink->waits ? ", and waits" : "");
	/* A daemon that has just subscribed cannot know that nobody waits. */
	kernel->disturbed |= heard && !netlink->waits;
	if (!netlink->waits)
		kernel_answer(kdev, heard || kind != TCMU_EVENT_RECONFIG ? 0 : -ESRCH);
}

static void kernel_removed(struct kdev *kdev, int status)
{
	(void) status;
	kernel_unregister(kdev);
}

void kernel_remove(struct kdev *kdev)
{
	kernel_send_event(kdev, TCMU_EVENT_REMOVED, 0, kernel_removed);
}

void kernel_set_size(
	struct kdev *kdev, uint64_t size, void (*answered)(struct kdev *kdev, int status))
{
	kdev->netlink.size = size;
	kernel_send_event(kdev, TCMU_EVENT_RECONFIG, TCMU_RECONFIG_SIZE, answered);
}

void kernel_set_write_cache(
	struct kdev *kdev, bool on, void (*answered)(struct kdev *kdev, int status))
{
	kdev->netlink.write_cache = on;
	kernel_send_event(kdev, TCMU_EVENT_RECONFIG, TCMU_RECONFIG_WRITE_CACHE, answered);
}

void kernel_lose_events(unsigned cnt)
{
	sim->kernel->to_lose = cnt;
}

void kernel_double_events(unsigned cnt)
{
	sim->kernel->to_double = cnt;
}

void kernel_daemon_began(unsigned number)
{
	const struct kdev *kdev;

	sim->kernel->daemon = number;
	sim->kernel->daemon_began = sim_now();
	sim->kernel->creates = false;
	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		sim->kernel->creates |= kdev->netlink.waits &&
			kdev->netlink.kind == TCMU_EVENT_ADDED;
}

/* ------- the oracle ------- */

static void kernel_check_waiting(const struct kdev *kdev)
{
	static const uint64_t limits[] = {
		[TCMU_EVENT_ADDED] = ADDED_LIMIT_S * SIM_NS_PER_S,
		[TCMU_EVENT_REMOVED] = REMOVED_LIMIT_S * SIM_NS_PER_S,
		[TCMU_EVENT_RECONFIG] = RECONFIG_LIMIT_S * SIM_NS_PER_S,
	};
	const struct knetlink *netlink = &kdev->netlink;
	bool left = netlink->sent < sim->kernel->daemon_began;
	uint64_t since = left ? sim->kernel->daemon_began : netlink->sent;
	uint64_t limit = limits[netlink->kind];

	if (left && sim->kernel->creates && netlink->kind != TCMU_EVENT_ADDED)
		limit = LEFT_LIMIT_S * SIM_NS_PER_S;
	if (netlink->waits && sim_now() - since > limit)
		sim_fail(
			"%s: event %d is not answered after %llu s", kdev->name, netlink->kind,
			(unsigned long long) ((sim_now() - since) / SIM_NS_PER_S));
}

void kernel_check_deadlines(bool daemon_serves)
{
	struct kdev *kdev;

	for (unsigned i = 0; daemon_serves && (kdev = kernel_at(i)); i++) {
		uint64_t since = kdev->unregistered_at > sim->kernel->daemon_began
			? kdev->unregistered_at
			: sim->kernel->daemon_began;

		kernel_check_waiting(kdev);
		if (!kdev->registered && !kdev->released &&
		    sim_now() - since > RELEASE_LIMIT_S * SIM_NS_PER_S)
			sim_fail(
				"%s is not released %d s after it was removed", kdev->name,
				RELEASE_LIMIT_S);
	}
}

void kernel_check_owed(unsigned daemon)
{
	const struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->netlink.waits && kdev->netlink.daemon == daemon)
			sim_fail(
				"%s: the daemon has stopped and never answered event %d",
				kdev->name, kdev->netlink.kind);
}

/* ------- what the daemon sends and receives ------- */

void kernel_event_received(struct kdev *kdev, const void *message)
{
	static const enum tcmu_event_kind kinds[] = {
		[TCMU_CMD_ADDED_DEVICE] = TCMU_EVENT_ADDED,
		[TCMU_CMD_REMOVED_DEVICE] = TCMU_EVENT_REMOVED,
		[TCMU_CMD_RECONFIG_DEVICE] = TCMU_EVENT_RECONFIG,
	};

	if (kdev->netlink.kind == kinds[genlmsg_hdr((struct nlmsghdr *) message)->cmd])
		kdev->netlink.daemon = sim->kernel->daemon;
}

/* The youngest device with this number. */
static struct kdev *kernel_find_id(uint32_t id)
{
	struct kdev *kdev, *found = NULL;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->id == id)
			found = kdev;
	return found;
}

int kernel_take_reply(enum tcmu_event_kind kind, uint32_t id, int status)
{
	struct kdev *kdev = kernel_find_id(id);

	if (!kdev)
		sim_fail("an answer for the device %u, which never was", id);
	if (!kdev->netlink.waits || kdev->netlink.kind != kind) {
		/* The kernel forgets the command that waits, and never ends it. */
		if (kdev->netlink.waits || !sim->kernel->disturbed)
			sim_fail("%s: an answer to event %d that does not wait", kdev->name, kind);
		return -ENODEV;
	}
	if (kind == TCMU_EVENT_REMOVED && (kdev->opened || (kdev->mapped && !kdev->replaced)))
		sim_fail("%s: the removal is answered before the ring is returned", kdev->name);
	kernel_answer(kdev, status);
	return 0;
}
