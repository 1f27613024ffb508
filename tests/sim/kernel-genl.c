/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See kernel.h: the sockets of generic netlink. libtcmu's own code sends and receives here: the
 * dynamic linker finds these functions before those of libnl and libc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "fds.h"
#include "kernel-abi.h"
#include "kernel-private.h"
#include "sim.h"
#include "threads.h"

#define NOTIFY_GROUP 16 /* of the controller */

/* ------- the kernel's side ------- */

struct ksocket *genl_listener(void)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		if (sim->kernel->sockets[i].nl && sim->kernel->sockets[i].config)
			return &sim->kernel->sockets[i];
	return NULL;
}

static struct ksocket *genl_notified(void)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		if (sim->kernel->sockets[i].nl && sim->kernel->sockets[i].notify)
			return &sim->kernel->sockets[i];
	return NULL;
}

static void genl_queue(struct ksocket *to, struct kdev *kdev, struct nl_msg *message)
{
	struct kernel *kernel = sim->kernel;
	struct kmessage *queued = &kernel->messages[kernel->message_cnt];
	const struct nlmsghdr *header = nlmsg_hdr(message);

	if (kernel->message_cnt == MESSAGES_MAX || header->nlmsg_len > sizeof(queued->bytes))
		abort();
	queued->kdev = kdev;
	queued->length = header->nlmsg_len;
	memcpy(queued->bytes, header, header->nlmsg_len);
	kernel->message_cnt++;
	fds_edge(to->fd);
}

/* False: it is lost. The daemon's socket has NETLINK_BROADCAST_ERROR: the sender learns that. */
static bool genl_multicast(struct ksocket *to, struct kdev *kdev, struct nl_msg *message)
{
	struct kernel *kernel = sim->kernel;
	bool lost = kernel->to_lose || kernel->message_cnt == MESSAGES_MAX;

	if (lost) {
		sim_trace("an event is lost");
		kernel->to_lose -= kernel->to_lose > 0;
		kernel->overrun = true;
		kernel->disturbed = true;
		fds_edge(to->fd);
		return false;
	}
	genl_queue(to, kdev, message);
	if (kdev && kernel->to_double && kernel->message_cnt < MESSAGES_MAX) {
		kernel->to_double--;
		genl_queue(to, kdev, message);
		sim_trace("an event comes twice");
	}
	return true;
}

static struct nl_msg *genl_message(int family, uint8_t command)
{
	struct nl_msg *message = nlmsg_alloc();

	if (!message || !genlmsg_put(message, 0, 0, family, 0, 0, command, TCMU_FAMILY_VERSION))
		abort();
	return message;
}

bool genl_send_event(struct kdev *kdev, enum tcmu_event_kind kind, enum tcmu_reconfig_kind reconfig)
{
	static const uint8_t commands[] = {
		[TCMU_EVENT_ADDED] = TCMU_CMD_ADDED_DEVICE,
		[TCMU_EVENT_REMOVED] = TCMU_CMD_REMOVED_DEVICE,
		[TCMU_EVENT_RECONFIG] = TCMU_CMD_RECONFIG_DEVICE,
	};
	struct nl_msg *message = genl_message(sim->kernel->family, commands[kind]);
	char name[64];
	int r;
	bool queued;

	(void) snprintf(name, sizeof(name), "tcm-user/0/%s/%s", kdev->name, kdev->config);
	r = nla_put_string(message, TCMU_ATTR_DEVICE, name);
	r |= nla_put_u32(message, TCMU_ATTR_MINOR, kdev->minor);
	r |= nla_put_u32(message, TCMU_ATTR_DEVICE_ID, kdev->id);
	if (reconfig == TCMU_RECONFIG_SIZE)
		r |= nla_put_u64(message, TCMU_ATTR_DEV_SIZE, kdev->netlink.size);
	else if (reconfig == TCMU_RECONFIG_WRITE_CACHE)
		r |= nla_put_u8(message, TCMU_ATTR_WRITECACHE, kdev->netlink.write_cache);
	if (r < 0)
		abort();
	queued = genl_multicast(genl_listener(), kdev, message);
	nlmsg_free(message);
	return queued;
}

void genl_announce(bool there)
{
	struct nl_msg *message;
	struct ksocket *to = genl_notified();

	if (!to)
		return;
	message = genl_message(GENL_ID_CTRL, there ? CTRL_CMD_NEWFAMILY : CTRL_CMD_DELFAMILY);
	if (nla_put_string(message, CTRL_ATTR_FAMILY_NAME, TCMU_FAMILY) < 0)
		abort();
	(void) genl_multicast(to, NULL, message);
	nlmsg_free(message);
}

void genl_daemon_killed(void)
{
	struct kernel *kernel = sim->kernel;

	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		kernel->sockets[i] = (struct ksocket){0};
	kernel->message_cnt = 0;
	kernel->overrun = false;
}

/* ------- sockets ------- */

static struct ksocket *genl_socket(const struct nl_sock *nl)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		if (sim->kernel->sockets[i].nl == nl)
			return &sim->kernel->sockets[i];
	sim_fail("a netlink socket is used that is not open");
}

/* NULL: it is not one of netlink. */
static struct ksocket *genl_socket_of(int fd)
{
	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		if (sim->kernel->sockets[i].nl && sim->kernel->sockets[i].fd == fd)
			return &sim->kernel->sockets[i];
	return NULL;
}

static uint32_t genl_poll(void *userdata)
{
	const struct ksocket *sock = userdata;
	const struct kernel *kernel = sim->kernel;

	return sock->notify && (kernel->message_cnt || kernel->overrun) ? EPOLLIN : 0;
}

static void genl_closed(void *userdata)
{
	struct ksocket *sock = userdata;

	if (sock->notify) {
		sim->kernel->message_cnt = 0;
		sim->kernel->overrun = false;
	}
	*sock = (struct ksocket){0};
}

static const struct fd_operations genl_operations = {.poll = genl_poll, .closed = genl_closed};

/* Memory or descriptors are short, now and then, once the module comes and goes. */
static bool genl_is_short(void)
{
	return sim->kernel->loads > 1 && sim_chance(4);
}

static void *genl_next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

/* The kernel's answer to a request. */
static int genl_take_request(struct nlmsghdr *header)
{
	static const enum tcmu_event_kind kinds[] = {
		[TCMU_CMD_ADDED_DEVICE_DONE] = TCMU_EVENT_ADDED,
		[TCMU_CMD_REMOVED_DEVICE_DONE] = TCMU_EVENT_REMOVED,
		[TCMU_CMD_RECONFIG_DEVICE_DONE] = TCMU_EVENT_RECONFIG,
	};
	struct nlattr *attrs[TCMU_ATTR_MAX + 1];
	uint8_t command = genlmsg_hdr(header)->cmd;

	if (!sim->kernel->loaded || header->nlmsg_type != sim->kernel->family)
		return -ENOENT;
	if (genlmsg_parse(header, 0, attrs, TCMU_ATTR_MAX, NULL) < 0)
		sim_fail("a malformed netlink message was sent");
	if (command == TCMU_CMD_SET_FEATURES) {
		sim->kernel->replies = nla_get_u8(attrs[TCMU_ATTR_SUPP_KERN_CMD_REPLY]);
		return 0;
	}
	if (command < TCMU_CMD_ADDED_DEVICE_DONE || command > TCMU_CMD_RECONFIG_DEVICE_DONE)
		sim_fail("the kernel does not know the netlink command %u", command);
	return kernel_take_reply(
		kinds[command], nla_get_u32(attrs[TCMU_ATTR_DEVICE_ID]),
		(int) nla_get_u32(attrs[TCMU_ATTR_CMD_STATUS]));
}

/* ------- functions of libnl and libc, replaced ------- */

#pragma GCC visibility push(default)

struct nl_sock *nl_socket_alloc(void)
{
	struct nl_sock *(*next)(void) = genl_next("nl_socket_alloc");

	return genl_is_short() ? NULL : next();
}

int genl_connect(struct nl_sock *nl)
{
	struct ksocket *sock = genl_socket(NULL);

	*sock = (struct ksocket){.nl = nl, .fd = fds_open(&genl_operations, sock)};
	return 0;
}

void nl_socket_free(struct nl_sock *nl)
{
	void (*next)(struct nl_sock *) = genl_next("nl_socket_free");

	if (!nl)
		return;
	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		if (sim->kernel->sockets[i].nl == nl)
			fds_close(sim->kernel->sockets[i].fd);
	next(nl);
}

int nl_socket_set_nonblocking(const struct nl_sock *nl)
{
	(void) genl_socket(nl);
	return 0;
}

int nl_socket_get_fd(const struct nl_sock *nl)
{
	return genl_socket(nl)->fd;
}

int genl_ctrl_resolve(struct nl_sock *nl, const char *name)
{
	(void) genl_socket(nl);
	if (strcmp(name, TCMU_FAMILY) != 0)
		return GENL_ID_CTRL;
	/* The module may come or go meanwhile. */
	if (sim->kernel->loads > 1 && threads_self())
		sim_sleep(sim_choose(100) * SIM_NS_PER_US);
	return sim->kernel->loaded ? sim->kernel->family : -NLE_OBJ_NOTFOUND;
}

int genl_ctrl_resolve_grp(struct nl_sock *nl, const char *family, const char *group)
{
	(void) genl_socket(nl), (void) group;
	if (strcmp(family, TCMU_FAMILY) != 0)
		return NOTIFY_GROUP;
	return sim->kernel->loaded ? sim->kernel->group : -NLE_OBJ_NOTFOUND;
}

int nl_socket_add_membership(struct nl_sock *nl, int group)
{
	struct ksocket *sock = genl_socket(nl);

	if (group == NOTIFY_GROUP) {
		sock->notify = true;
		return 0;
	}
	sim_preempt();
	if (!sim->kernel->loaded || group != sim->kernel->group)
		return -NLE_OBJ_NOTFOUND;
	sock->config = true;
	return 0;
}

int nl_send_auto(struct nl_sock *nl, struct nl_msg *message)
{
	struct ksocket *sock = genl_socket(nl);
	struct nlmsghdr *header = nlmsg_hdr(message);

	sim_preempt();
	header->nlmsg_seq = ++sock->sequence;
	sock->acknowledges = true;
	sock->error = genl_take_request(header);
	return (int) header->nlmsg_len;
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	ssize_t (*next)(int, void *, size_t, int) = genl_next("recv");
	struct ksocket *sock = genl_socket_of(fd);
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = {.header = {.nlmsg_len = sizeof(answer), .nlmsg_type = NLMSG_ERROR}};

	if (!sock)
		return next(fd, data, size, flags);
	if (!sock->acknowledges) {
		errno = EAGAIN;
		return -1;
	}
	sock->acknowledges = false;
	answer.header.nlmsg_seq = sock->sequence;
	answer.error.error = sock->error;
	memcpy(data, &answer, sizeof(answer));
	return sizeof(answer);
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
	ssize_t (*next)(int, struct msghdr *, int) = genl_next("recvmsg");
	struct kernel *kernel = sim->kernel;
	const struct kmessage *message = kernel->messages;
	size_t length = message->length;

	if (!genl_socket_of(fd))
		return next(fd, header, flags);
	sim_preempt();
	errno = kernel->overrun ? ENOBUFS : EAGAIN;
	if (kernel->overrun || !kernel->message_cnt) {
		kernel->overrun = false;
		return -1;
	}
	length = message->length;
	((struct sockaddr_nl *) header->msg_name)->nl_pid = 0;
	header->msg_flags = 0;
	memcpy(header->msg_iov->iov_base, message->bytes, length);
	if (message->kdev)
		kernel_event_received(message->kdev, message->bytes);
	memmove(kernel->messages, kernel->messages + 1,
		--kernel->message_cnt * sizeof(kernel->messages[0]));
	return (ssize_t) length;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	int (*next)(int, int, int, const void *, socklen_t) = genl_next("setsockopt");

	return genl_socket_of(fd) ? 0 : next(fd, level, name, value, length);
}

#pragma GCC visibility pop
