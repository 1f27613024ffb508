/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of the kernel's netlink family TCM-USER
 *
 * The kernel reports devices that are added, removed or reconfigured, and waits for a reply to each
 * event if tcmu_netlink_set_replies() has asked for that.
 *
 * One thread at a time uses a socket. No call blocks. tcmu_netlink_decode() is a function of bytes
 * and needs no socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/scan.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tcmu_event_kind {
	TCMU_EVENT_ADDED = 1,
	TCMU_EVENT_REMOVED,
	TCMU_EVENT_RECONFIG,
};

/* The attribute that an event of the kind RECONFIG changes. */
enum tcmu_reconfig_kind {
	TCMU_RECONFIG_CONFIG = 1,
	TCMU_RECONFIG_SIZE,
	TCMU_RECONFIG_WRITE_CACHE,
};

struct tcmu_event {
	enum tcmu_event_kind kind;
	unsigned minor;     /* of the uio device */
	uint32_t device_id; /* for the reply */
	struct tcmu_name name;
	enum tcmu_reconfig_kind reconfig; /* RECONFIG only; it says which of the next is set */
	char config[TCMU_NAME_MAX];       /* without a final newline */
	uint64_t size;                    /* bytes */
	bool write_cache;
};

/* An open pair of sockets: one receives events, the other one sends replies. */
struct tcmu_netlink;

/* Decodes one generic netlink message of length bytes, which begins with struct nlmsghdr. message
 * must be aligned to 4 bytes.
 *
 * Returns 0 and fills *event, or a negative errno:
 * -EBADMSG: the message is malformed, or an attribute is missing.
 * -ENOMSG: the message is well-formed and is none of the three events. */
int tcmu_netlink_decode(const void *message, size_t length, struct tcmu_event *event);

/* Opens the sockets and joins the multicast group "config". The receive buffer has 4 MiB, or as
 * much as the system permits. The caller closes *netlink with tcmu_netlink_close().
 *
 * Returns 0 and sets *netlink, or a negative errno and sets *netlink to NULL:
 * -ENOENT: the module target_core_user is not loaded.
 * -EPERM: the process may not use the family.
 * -ENOMEM: there is not enough memory. */
int tcmu_netlink_open(struct tcmu_netlink **netlink);

/* Closes the sockets and frees netlink, which may be NULL. */
void tcmu_netlink_close(struct tcmu_netlink *netlink);

/* The descriptor to poll for POLLIN. It stays owned by netlink.
 *
 * Returns the descriptor. */
int tcmu_netlink_fd(const struct tcmu_netlink *netlink);

/* Sets whether the kernel waits for a reply to each event (SET_FEATURES). The setting is repeated
 * by tcmu_netlink_receive() when the module has been loaded again.
 *
 * Returns 0 or a negative errno:
 * -ENOMEM: there is not enough memory.
 * -EPERM: the process may not change it. */
int tcmu_netlink_set_replies(struct tcmu_netlink *netlink, bool on);

/* Receives the next event. Joins the group again when the module has been loaded again; then, too,
 * events were lost.
 *
 * Returns 1 and fills *event; 0 if there is none for now; or a negative errno:
 * -ENOBUFS: events were lost. Scan all devices, then call again. No process waits for a reply to
 * a lost event: the kernel has failed its creation or its change with ENOBUFS, and has gone on with
 * its removal.
 * -EBADMSG: a malformed message was dropped. Call again.
 *
 * After any other error, such as -ENOMEM or -EIO, nothing can be received for now. Call again after
 * a moment: the descriptor does not become readable for that. */
int tcmu_netlink_receive(struct tcmu_netlink *netlink, struct tcmu_event *event);

/* Replies to an event of this kind and device_id. status: 0, or a negative errno that the kernel
 * returns to the process that changes the device.
 *
 * Returns 0 or a negative errno:
 * -ENODEV: no command waits for this reply.
 * -ENOMEM: there is not enough memory. */
int tcmu_netlink_reply(
	struct tcmu_netlink *netlink, enum tcmu_event_kind kind, uint32_t device_id, int status);

#ifdef __cplusplus
}
#endif
