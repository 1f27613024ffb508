/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model kernel from inside.
 */
#pragma once

#include "kernel.h"

#define MESSAGES_MAX 64
#define SOCKETS_MAX  4

struct nl_sock;

/* A socket of generic netlink. */
struct ksocket {
	struct nl_sock *nl; /* NULL: none */
	int fd;
	bool config, notify; /* the groups that it has joined */
	uint32_t sequence;   /* of the last request */
	bool acknowledges;   /* its acknowledgement was not read, with this error: */
	int error;
};

/* A message to the one socket that has joined groups. */
struct kmessage {
	struct kdev *kdev; /* NULL: it is the controller's */
	size_t length;
	uint8_t bytes[512] __attribute__((aligned(8)));
};

struct kernel {
	enum kernel_version version;
	struct kernel_calls calls;
	struct kdev *kdevs[KDEVS_MAX];
	unsigned kdev_cnt;
	/* netlink */
	struct ksocket sockets[SOCKETS_MAX];
	bool replies;
	struct kmessage messages[MESSAGES_MAX];
	unsigned message_cnt;
	unsigned to_lose;
	unsigned to_double;
	bool overrun;
	unsigned daemon;
	uint64_t daemon_began;
	bool creates;   /* a creation has waited since then */
	bool disturbed; /* events were lost, or a daemon was killed: an answer may be one too many
			 */
	/* the module */
	bool loaded;
	unsigned loads;
	int family, group;    /* as this time's numbers are */
	unsigned minor_first; /* lower ones are other drivers' */
	uint32_t id_last;
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

/* The sender of the event that waits goes on, soon. */
void kernel_answer(struct kdev *kdev, int status);

/* The daemon has read the event; has answered one: 0 or -errno. */
void kernel_event_received(struct kdev *kdev, const void *message);
int kernel_take_reply(enum tcmu_event_kind kind, uint32_t id, int status);

/* The socket that has joined the family's group, or NULL. */
struct ksocket *genl_listener(void);

/* False: the event is lost. */
bool genl_send_event(
	struct kdev *kdev, enum tcmu_event_kind kind, enum tcmu_reconfig_kind reconfig);

/* The controller says that the family is there, or gone. */
void genl_announce(bool there);

void genl_daemon_killed(void);
