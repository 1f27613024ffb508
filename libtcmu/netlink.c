/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic netlink family TCM-USER: events in, replies out. One thread at a time uses a
 * tcmu_netlink; nothing blocks.
 *
 * There are two sockets. One only listens, to the group "config" and to the controller's
 * announcements, so that its buffer holds only events. The other one sends: the kernel handles a
 * request and queues its acknowledgement before the send returns, so the acknowledgement can be
 * read at once.
 *
 * When the module is unloaded, its group and our membership vanish. When it is loaded again, the
 * controller announces the family: we join the group again and report that events were lost,
 * which is true. The announcement may be lost, too, so we join after every loss. A join that fails
 * is repeated by the next call.
 */
#include <tcmu/netlink.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "kernel-abi.h"

#define RECEIVE_BUFFER (4 << 20)

/* More than the longest message: its strings are at most a page. */
#define DATAGRAM_MAX 16384

struct tcmu_netlink {
	struct nl_sock *events;
	struct nl_sock *requests;
	int family;
	bool left;          /* we may not be in the group */
	bool replies_known; /* tcmu_netlink_set_replies() was called, with the next member */
	bool replies;
	size_t unread; /* bytes of the datagram from position on */
	size_t position;
	uint8_t datagram[DATAGRAM_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static struct nla_policy event_policy[TCMU_ATTR_MAX + 1] = {
	[TCMU_ATTR_DEVICE] = {.type = NLA_STRING, .minlen = 1},
	[TCMU_ATTR_MINOR] = {.type = NLA_U32},
	[TCMU_ATTR_DEV_CFG] = {.type = NLA_STRING, .minlen = 1},
	[TCMU_ATTR_DEV_SIZE] = {.type = NLA_U64},
	[TCMU_ATTR_WRITECACHE] = {.type = NLA_U8},
	[TCMU_ATTR_DEVICE_ID] = {.type = NLA_U32},
};

/* Decodes the one attribute that a RECONFIG changes. */
static int decode_reconfig(struct nlattr *attrs[static TCMU_ATTR_MAX + 1], struct tcmu_event *event)
{
	struct nlattr *config = attrs[TCMU_ATTR_DEV_CFG], *size = attrs[TCMU_ATTR_DEV_SIZE];
	struct nlattr *write_cache = attrs[TCMU_ATTR_WRITECACHE];
	size_t length;

	if (!!config + !!size + !!write_cache != 1)
		return -EBADMSG;
	if (size) {
		event->reconfig = TCMU_RECONFIG_SIZE;
		event->size = nla_get_u64(size);
		return 0;
	}
	if (write_cache) {
		event->reconfig = TCMU_RECONFIG_WRITE_CACHE;
		event->write_cache = nla_get_u8(write_cache) != 0;
		return 0;
	}
	event->reconfig = TCMU_RECONFIG_CONFIG;
	assert(config);
	length = strlen(nla_get_string(config));
	if (length > 0 &&
	    nla_get_string(config)[length - 1] == '\n') /* the kernel passes the newline of echo */
		length--;
	if (length >= sizeof(event->config))
		return -EBADMSG;
	memcpy(event->config, nla_get_string(config), length); /* zeroed by the caller */
	return 0;
}

static int decode_attributes(struct nlmsghdr *header, struct tcmu_event *event)
{
	struct nlattr *attrs[TCMU_ATTR_MAX + 1];

	if (genlmsg_parse(header, 0, attrs, TCMU_ATTR_MAX, event_policy) < 0)
		return -EBADMSG;
	if (!attrs[TCMU_ATTR_DEVICE] || !attrs[TCMU_ATTR_MINOR] || !attrs[TCMU_ATTR_DEVICE_ID])
		return -EBADMSG;
	event->minor = nla_get_u32(attrs[TCMU_ATTR_MINOR]);
	event->device_id = nla_get_u32(attrs[TCMU_ATTR_DEVICE_ID]);
	if (tcmu_name_parse(nla_get_string(attrs[TCMU_ATTR_DEVICE]), &event->name) < 0)
		return -EBADMSG;
	return event->kind == TCMU_EVENT_RECONFIG ? decode_reconfig(attrs, event) : 0;
}

int tcmu_netlink_decode(const void *message, size_t length, struct tcmu_event *event)
{
	struct nlmsghdr *header = (struct nlmsghdr *) message; /* libnl only reads it */

	memset(event, 0, sizeof(*event));
	if (length > INT32_MAX || !nlmsg_ok(header, (int) length))
		return -EBADMSG;
	if (header->nlmsg_type < NLMSG_MIN_TYPE)
		return -ENOMSG;
	if (!genlmsg_valid_hdr(header, 0))
		return -EBADMSG;
	switch (genlmsg_hdr(header)->cmd) {
	case TCMU_CMD_ADDED_DEVICE:
		event->kind = TCMU_EVENT_ADDED;
		break;
	case TCMU_CMD_REMOVED_DEVICE:
		event->kind = TCMU_EVENT_REMOVED;
		break;
	case TCMU_CMD_RECONFIG_DEVICE:
		event->kind = TCMU_EVENT_RECONFIG;
		break;
	default:
		return -ENOMSG;
	}
	return decode_attributes(header, event);
}

/* Converts the errors of libnl that can occur here to errno. */
static int nl_errno(int error)
{
	switch (-error) {
	case 0:
		return 0;
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_AF_NOSUPPORT:
	case NLE_PROTO_MISMATCH:
		return -EAFNOSUPPORT;
	default:
		return -EIO;
	}
}

/* Asks the controller, on a separate socket, for the numbers of a family and of one group. */
static int resolve_group(const char *family_name, const char *group_name, int *family, int *group)
{
	struct nl_sock *sock = nl_socket_alloc();
	int r;

	if (!sock)
		return -ENOMEM;
	r = genl_connect(sock);
	if (r == 0) {
		r = *family = genl_ctrl_resolve(sock, family_name);
		if (r >= 0)
			r = *group = genl_ctrl_resolve_grp(sock, family_name, group_name);
	}
	nl_socket_free(sock);
	return r < 0 ? nl_errno(r) : 0;
}

static int join_group(struct tcmu_netlink *netlink)
{
	int group = 0, r;

	r = resolve_group(TCMU_FAMILY, TCMU_GROUP, &netlink->family, &group);
	return r < 0 ? r : nl_errno(nl_socket_add_membership(netlink->events, group));
}

static int connect_socket(struct nl_sock **sock)
{
	int r;

	*sock = nl_socket_alloc();
	if (!*sock)
		return -ENOMEM;
	r = genl_connect(*sock);
	return r < 0 ? nl_errno(r) : nl_errno(nl_socket_set_nonblocking(*sock));
}

static int open_sockets(struct tcmu_netlink *netlink)
{
	const int size = RECEIVE_BUFFER, on = 1;
	int family, group = 0, fd, r;

	assert(!netlink->requests && !netlink->events);
	r = connect_socket(&netlink->requests);
	if (r == 0)
		r = connect_socket(&netlink->events);
	if (r < 0)
		return r;
	fd = nl_socket_get_fd(netlink->events);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return -errno;
	/* The kernel learns of an event that does not fit in the buffer: the command fails with
	 * ENOBUFS, and nobody waits for an answer to an event that was not received. */
	if (setsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &on, sizeof(on)) < 0)
		return -errno;
	/* The controller first: if the family appears in between, one of the two joins sees it. */
	r = resolve_group("nlctrl", "notify", &family, &group);
	if (r == 0)
		r = nl_errno(nl_socket_add_membership(netlink->events, group));
	return r < 0 ? r : join_group(netlink);
}

int tcmu_netlink_open(struct tcmu_netlink **netlink)
{
	struct tcmu_netlink *fresh;
	int r;

	*netlink = NULL;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	r = open_sockets(fresh);
	if (r < 0) {
		tcmu_netlink_close(fresh);
		return r;
	}
	*netlink = fresh;
	return 0;
}

void tcmu_netlink_close(struct tcmu_netlink *netlink)
{
	if (!netlink)
		return;
	nl_socket_free(netlink->events);
	nl_socket_free(netlink->requests);
	free(netlink);
}

int tcmu_netlink_fd(const struct tcmu_netlink *netlink)
{
	assert(netlink->events);
	return nl_socket_get_fd(netlink->events);
}

/* Reads the kernel's acknowledgement of the request with this number, which is queued already.
 * Returns 0 if there is none: no error is known. */
static int read_acknowledgement(struct nl_sock *sock, uint32_t number)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		uint8_t more[256];
	} answer;

	for (;;) {
		ssize_t n = recv(nl_socket_get_fd(sock), &answer, sizeof(answer), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if ((size_t) n >= sizeof(answer.header) + sizeof(answer.error) &&
		    answer.header.nlmsg_type == NLMSG_ERROR && answer.header.nlmsg_seq == number)
			return answer.error.error;
	}
}

/* Sends the message and frees it. complete: all attributes fit; else nothing is sent. */
static int send_request(struct tcmu_netlink *netlink, struct nl_msg *message, bool complete)
{
	int r;

	if (!complete) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	assert(message && netlink->requests);
	nlmsg_hdr(message)->nlmsg_flags |= NLM_F_ACK;
	r = nl_send_auto(netlink->requests, message);
	if (r >= 0)
		r = read_acknowledgement(netlink->requests, nlmsg_hdr(message)->nlmsg_seq);
	else
		r = nl_errno(r);
	nlmsg_free(message);
	return r;
}

/* An empty request of the family, or NULL. */
static struct nl_msg *new_request(struct tcmu_netlink *netlink, enum tcmu_genl_cmd command)
{
	struct nl_msg *message = nlmsg_alloc();

	if (message &&
	    !genlmsg_put(
		    message, NL_AUTO_PORT, NL_AUTO_SEQ, netlink->family, 0, 0, (uint8_t) command,
		    TCMU_FAMILY_VERSION)) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

int tcmu_netlink_set_replies(struct tcmu_netlink *netlink, bool on)
{
	struct nl_msg *message = new_request(netlink, TCMU_CMD_SET_FEATURES);

	if (!message)
		return -ENOMEM;
	netlink->replies_known = true;
	netlink->replies = on;
	return send_request(
		netlink, message, nla_put_u8(message, TCMU_ATTR_SUPP_KERN_CMD_REPLY, on) == 0);
}

int tcmu_netlink_reply(
	struct tcmu_netlink *netlink, enum tcmu_event_kind kind, uint32_t device_id, int status)
{
	static const enum tcmu_genl_cmd done[] = {
		[TCMU_EVENT_ADDED] = TCMU_CMD_ADDED_DEVICE_DONE,
		[TCMU_EVENT_REMOVED] = TCMU_CMD_REMOVED_DEVICE_DONE,
		[TCMU_EVENT_RECONFIG] = TCMU_CMD_RECONFIG_DEVICE_DONE,
	};
	struct nl_msg *message = new_request(netlink, done[kind]);

	assert(kind >= TCMU_EVENT_ADDED && kind <= TCMU_EVENT_RECONFIG);
	if (!message)
		return -ENOMEM;
	return send_request(
		netlink, message,
		nla_put_s32(message, TCMU_ATTR_CMD_STATUS, status) == 0 &&
			nla_put_u32(message, TCMU_ATTR_DEVICE_ID, device_id) == 0);
}

/* Whether the message is the controller's announcement of our family. */
static bool announces_family(struct nlmsghdr *header)
{
	struct nlattr *name;

	if (header->nlmsg_type != GENL_ID_CTRL || !genlmsg_valid_hdr(header, 0) ||
	    genlmsg_hdr(header)->cmd != CTRL_CMD_NEWFAMILY)
		return false;
	name = nlmsg_find_attr(header, GENL_HDRLEN, CTRL_ATTR_FAMILY_NAME);
	return name && nla_strcmp(name, TCMU_FAMILY) == 0;
}

/* The module was perhaps loaded again. Returns -ENOBUFS, also if it is gone already and will be
 * announced, or another negative errno. */
static int rejoin_group(struct tcmu_netlink *netlink)
{
	int r;

	netlink->left = true;
	r = join_group(netlink);
	if (r == 0 && netlink->replies_known)
		r = tcmu_netlink_set_replies(netlink, netlink->replies);
	if (r < 0 && r != -ENOENT)
		return r;
	netlink->left = false;
	return -ENOBUFS;
}

/* 1: a datagram was read. 0: there is none. */
static int read_datagram(struct tcmu_netlink *netlink)
{
	struct sockaddr_nl from = {};
	struct iovec iov = {.iov_base = netlink->datagram, .iov_len = sizeof(netlink->datagram)};
	struct msghdr header = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	assert(netlink->unread == 0);
	do
		n = recvmsg(nl_socket_get_fd(netlink->events), &header, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == ENOBUFS)
		return rejoin_group(netlink);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (header.msg_flags & MSG_TRUNC)
		return -EBADMSG;
	netlink->position = 0;
	netlink->unread = from.nl_pid == 0 ? (size_t) n
					   : 0; /* messages of other processes are ignored */
	return 1;
}

/* Takes the next message out of the datagram. Returns 1: an event; 0: another message; or a
 * negative errno. */
static int take_message(struct tcmu_netlink *netlink, struct tcmu_event *event)
{
	struct nlmsghdr *header = (struct nlmsghdr *) (netlink->datagram + netlink->position);
	size_t length;
	int r;

	assert(netlink->position + netlink->unread <= sizeof(netlink->datagram));
	if (!nlmsg_ok(header, (int) netlink->unread)) {
		netlink->unread = 0;
		return -EBADMSG;
	}
	length = NLMSG_ALIGN(header->nlmsg_len);
	if (length > netlink->unread)
		length = netlink->unread;
	netlink->position += length;
	netlink->unread -= length;
	if (announces_family(header))
		return rejoin_group(netlink);
	if (header->nlmsg_type != netlink->family)
		return 0;
	r = tcmu_netlink_decode(header, header->nlmsg_len, event);
	if (r == -ENOMSG)
		return 0;
	return r < 0 ? r : 1;
}

int tcmu_netlink_receive(struct tcmu_netlink *netlink, struct tcmu_event *event)
{
	int r;

	if (netlink->left)
		return rejoin_group(netlink);
	for (;;) {
		while (netlink->unread > 0) {
			r = take_message(netlink, event);
			if (r != 0)
				return r;
		}
		r = read_datagram(netlink);
		if (r <= 0)
			return r;
	}
}
