/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of the kernel's generic netlink family TCM-USER and the answers to them.
 *
 * One thread uses a socket. Nothing blocks. Decoding is a function over bytes
 * (tcmu_netlink_decode), the socket only carries them.
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

enum tcmu_reconfig_kind {
	TCMU_RECONFIG_CONFIG = 1,
	TCMU_RECONFIG_SIZE,
	TCMU_RECONFIG_WRITE_CACHE,
};

struct tcmu_event {
	enum tcmu_event_kind kind;
	unsigned minor;
	uint32_t device_id;
	struct tcmu_name name;
	enum tcmu_reconfig_kind reconfig;
	char config[TCMU_NAME_MAX]; /* without a final newline */
	uint64_t size;              /* bytes */
	bool write_cache;
};

/* One generic netlink message (from struct nlmsghdr on) as a typed value. -EBADMSG: malformed or an
 * attribute is missing; -ENOMSG: a well-formed message that is none of the three. */
int tcmu_netlink_decode(const void *message, size_t length, struct tcmu_event *event);

struct tcmu_netlink;

/* Joins the group "config", with a receive buffer of 4 MiB where allowed. -ENOENT: the module is
 * not loaded. -EPERM. */
int tcmu_netlink_open(struct tcmu_netlink **netlink);
void tcmu_netlink_close(struct tcmu_netlink *netlink);
int tcmu_netlink_fd(const struct tcmu_netlink *netlink);

/* Tells the kernel whether it is to wait for answers (SET_FEATURES). */
int tcmu_netlink_set_replies(struct tcmu_netlink *netlink, bool on);

/* 1: one event. 0: no more for now. -ENOBUFS: messages were lost: rescan, then go on. -EBADMSG: a
 * message was malformed and dropped, go on. Another -errno: the socket is unusable. */
int tcmu_netlink_receive(struct tcmu_netlink *netlink, struct tcmu_event *event);

/* Answers an event of this kind; status 0 or -errno. -ENODEV: nobody waited for it. Does not
 * wait for the kernel's acknowledgement. */
int tcmu_netlink_reply(
	struct tcmu_netlink *netlink, enum tcmu_event_kind kind, uint32_t device_id, int status);

#ifdef __cplusplus
}
#endif
