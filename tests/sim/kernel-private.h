/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model kernel from inside.
 */
#pragma once

#include "kernel.h"

#define EVENTS_MAX 64

struct kernel {
	enum kernel_version version;
	struct kernel_calls calls;
	struct kdev *kdevs[KDEVS_MAX];
	unsigned kdev_cnt;
	/* netlink */
	int netlink_fd; /* of the daemon; 0: none */
	bool replies;
	struct tcmu_event events[EVENTS_MAX];
	unsigned daemons[EVENTS_MAX];
	unsigned event_cnt;
	unsigned to_lose;
	unsigned to_double;
	bool overrun;
	unsigned daemon;
	uint64_t daemon_began;
	bool disturbed; /* events were lost, or a daemon was killed: an answer may be one too many
			 */
};

/* The registered device of this name or minor, or NULL. */
struct kdev *kernel_find(const struct tcmu_name *name);
struct kdev *kernel_find_minor(unsigned minor);

/* The name by which the daemon knows it. */
void kernel_name(const struct kdev *kdev, struct tcmu_name *name);

/* Removes the uio device. */
void kernel_unregister(struct kdev *kdev);

/* Frees the ring once nothing refers to it. */
void kernel_release(struct kdev *kdev);

/* The device's fd may have become readable. */
void kernel_notify(struct kdev *kdev);

/* Takes completions, and sends queued commands. */
void kernel_consume(struct kdev *kdev);

/* Sends a netlink event; answered() follows. */
void kernel_send_event(
	struct kdev *kdev, enum tcmu_event_kind kind, enum tcmu_reconfig_kind reconfig,
	void (*answered)(struct kdev *kdev, int status));
