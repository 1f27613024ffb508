/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as the kernel's family TCM-USER sends them.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <tcmu/netlink.h>

#include "kernel-abi.h"

#define FAKE_FAMILY 0x1d

static inline struct nl_msg *empty_message(uint8_t command)
{
	struct nl_msg *message = nlmsg_alloc();

	if (!message || !genlmsg_put(message, 0, 0, FAKE_FAMILY, 0, 0, command, 2))
		abort();
	return message;
}

static inline struct nl_msg *event_message(
	uint8_t command, const char *name, uint32_t minor, uint32_t id)
{
	struct nl_msg *message = empty_message(command);

	if (nla_put_string(message, TCMU_ATTR_DEVICE, name) < 0 ||
	    nla_put_u32(message, TCMU_ATTR_MINOR, minor) < 0 ||
	    nla_put_u32(message, TCMU_ATTR_DEVICE_ID, id) < 0)
		abort();
	return message;
}

/* Decodes a copy that is exactly as long as the message, so that ASan sees a read behind it. */
static inline int decode_message(struct nl_msg *message, struct tcmu_event *event)
{
	size_t length = nlmsg_hdr(message)->nlmsg_len;
	void *copy = malloc(length);
	int r;

	if (!copy)
		abort();
	memcpy(copy, nlmsg_hdr(message), length);
	r = tcmu_netlink_decode(copy, length, event);
	free(copy);
	return r;
}
