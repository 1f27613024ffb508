/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel.h: netlink, and the commands of the kernel that wait for an answer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <tcmu/module.h>

#include "fds.h"
#include "kernel-private.h"
#include "sim.h"
#include "threads.h"

#define ADDED_LIMIT_S    12
#define REMOVED_LIMIT_S  8
#define RECONFIG_LIMIT_S 12
#define RELEASE_LIMIT_S  4

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

/* The sender goes on, soon. */
static void kernel_answer(struct kdev *kdev, int status)
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

/* False: it is lost. The daemon's socket has NETLINK_BROADCAST_ERROR: the sender fails with ENOBUFS
 * and does not wait; a removal goes on. */
static bool kernel_queue_event(const struct tcmu_event *event)
{
	struct kernel *kernel = sim->kernel;
	bool lost = kernel->to_lose || kernel->event_cnt == EVENTS_MAX;

	if (lost) {
		sim_trace("an event is lost");
		kernel->to_lose -= kernel->to_lose > 0;
		kernel->overrun = true;
		kernel->disturbed = true;
	} else {
		kernel->events[kernel->event_cnt++] = *event;
		if (kernel->to_double && kernel->event_cnt < EVENTS_MAX) {
			kernel->to_double--;
			kernel->events[kernel->event_cnt++] = *event;
			sim_trace("an event comes twice");
		}
	}
	fds_edge(kernel->netlink_fd);
	return !lost;
}

void kernel_send_event(
	struct kdev *kdev, enum tcmu_event_kind kind, enum tcmu_reconfig_kind reconfig,
	void (*answered)(struct kdev *kdev, int status))
{
	struct kernel *kernel = sim->kernel;
	struct knetlink *netlink = &kdev->netlink;
	struct tcmu_event event = {
		.kind = kind,
		.minor = kdev->minor,
		.device_id = kdev->id,
		.reconfig = reconfig,
		.size = netlink->size,
		.write_cache = netlink->write_cache,
	};

	kernel_name(kdev, &event.name);
	netlink->kind = kind;
	netlink->sent = sim_now();
	netlink->daemon = 0;
	netlink->answered = answered;
	netlink->waits = kernel->replies && (kernel->netlink_fd || kind == TCMU_EVENT_ADDED);
	if (kernel->netlink_fd && !kernel_queue_event(&event)) {
		netlink->waits = netlink->waited = false;
		kernel_answer(kdev, -ENOBUFS);
		return;
	}
	netlink->waited = netlink->waits;
	sim_trace("%s: event %d is sent%s", kdev->name, kind, netlink->waits ? ", and waits" : "");
	/* A daemon that has just subscribed cannot know that nobody waits. */
	kernel->disturbed |= kernel->netlink_fd && !netlink->waits;
	if (!netlink->waits)
		kernel_answer(kdev, kernel->netlink_fd || kind != TCMU_EVENT_RECONFIG ? 0 : -ESRCH);
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
	sim->kernel->daemon = number;
	sim->kernel->daemon_began = sim_now();
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
	uint64_t since = netlink->sent > sim->kernel->daemon_began ? netlink->sent
								   : sim->kernel->daemon_began;

	if (netlink->waits && sim_now() - since > limits[netlink->kind])
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

/* ------- functions of libtcmu, replaced ------- */

static uint32_t netlink_poll(void *userdata)
{
	const struct kernel *kernel = userdata;

	return kernel->event_cnt || kernel->overrun ? EPOLLIN : 0;
}

static void netlink_closed(void *userdata)
{
	struct kernel *kernel = userdata;

	kernel->netlink_fd = 0;
	kernel->event_cnt = 0;
}

static const struct fd_operations netlink_operations = {
	.poll = netlink_poll, .closed = netlink_closed};

int tcmu_netlink_open(struct tcmu_netlink **netlink)
{
	struct kernel *kernel = sim->kernel;

	sim_preempt();
	kernel->netlink_fd = fds_open(&netlink_operations, kernel);
	*netlink = (struct tcmu_netlink *) (void *) kernel;
	return 0;
}

void tcmu_netlink_close(struct tcmu_netlink *netlink)
{
	if (netlink && sim->kernel->netlink_fd)
		fds_close(sim->kernel->netlink_fd);
}

int tcmu_netlink_fd(const struct tcmu_netlink *netlink)
{
	(void) netlink;
	return sim->kernel->netlink_fd;
}

int tcmu_netlink_set_replies(struct tcmu_netlink *netlink, bool on)
{
	(void) netlink;
	sim_preempt();
	sim->kernel->replies = on;
	return 0;
}

int tcmu_netlink_receive(struct tcmu_netlink *netlink, struct tcmu_event *event)
{
	struct kernel *kernel = sim->kernel;
	struct kdev *kdev;

	(void) netlink;
	sim_preempt();
	if (kernel->overrun) {
		kernel->overrun = false;
		return -ENOBUFS;
	}
	if (!kernel->event_cnt)
		return 0;
	*event = kernel->events[0];
	memmove(kernel->events, kernel->events + 1,
		--kernel->event_cnt * sizeof(kernel->events[0]));
	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->id == event->device_id && kdev->netlink.kind == event->kind)
			kdev->netlink.daemon = kernel->daemon;
	return 1;
}

int tcmu_netlink_reply(
	struct tcmu_netlink *netlink, enum tcmu_event_kind kind, uint32_t id, int status)
{
	struct kdev *kdev = kernel_at(id - 1);

	(void) netlink;
	sim_preempt();
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

int tcmu_module_block_netlink(bool block)
{
	(void) block;
	return 0;
}

int tcmu_module_reset_netlink(void)
{
	return tcmu_module_end_commands();
}

int tcmu_module_end_commands(void)
{
	struct kdev *kdev;

	sim_preempt();
	sim_trace("netlink is reset");
	sim->kernel->disturbed = true;
	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->netlink.waits)
			kernel_answer(kdev, -EINTR);
	return 0;
}

int tcmu_module_load(void)
{
	return 0;
}
