/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The netlink sockets, with the kernel's family played by this program: the functions below stand
 * in for the ones of libnl and of libc that libtcmu calls, because the dynamic linker finds them
 * here first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/genl/ctrl.h>

#include "netlink-message.h"

#define NAME "tcm-user/2/disk/file//srv/disk"

struct datagram {
	int error;       /* instead of a message */
	uint32_t sender; /* 0: the kernel */
	bool cut;
	size_t length;
	uint8_t bytes[2048];
};

static struct {
	bool module_there;
	int resolved; /* how often the family was asked for */
	int joined;   /* how often a group was joined */
	struct datagram events[8];
	int event_count, event_next;
	int answer;      /* the kernel's acknowledgement of requests */
	bool no_answer;  /* none is queued */
	int send_result; /* of nl_send_auto; 0: as usual */
	uint8_t sent[512];
	size_t sent_length;
	int sent_count;
	int fail_after; /* calls of libnl that still work, if failing */
	bool failing;
} kernel;

/* Whether this call of libnl is the one that fails. */
static bool call_fails(void)
{
	return kernel.failing && kernel.fail_after-- == 0;
}

/* libnl's own function of this name. */
static void *real_function(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	assert_non_null(function);
	return function;
}

#pragma GCC visibility push(default)

struct nl_sock *nl_socket_alloc(void)
{
	struct nl_sock *(*next)(void) = real_function("nl_socket_alloc");

	return call_fails() ? NULL : next();
}

int genl_connect(struct nl_sock *sock)
{
	int (*next)(struct nl_sock *) = real_function("genl_connect");

	return call_fails() ? -NLE_NOACCESS : next(sock);
}

int nl_socket_set_nonblocking(const struct nl_sock *sock)
{
	int (*next)(const struct nl_sock *) = real_function("nl_socket_set_nonblocking");

	return call_fails() ? -NLE_BAD_SOCK : next(sock);
}

struct nl_msg *nlmsg_alloc(void)
{
	struct nl_msg *(*next)(void) = real_function("nlmsg_alloc");

	return call_fails() ? NULL : next();
}

void *genlmsg_put(
	struct nl_msg *message, uint32_t port, uint32_t seq, int family, int length, int flags,
	uint8_t command, uint8_t version)
{
	void *(*next)(
		struct nl_msg *, uint32_t, uint32_t, int, int, int, uint8_t,
		uint8_t) = real_function("genlmsg_put");

	return call_fails() ? NULL
			    : next(message, port, seq, family, length, flags, command, version);
}

int nla_put_u8(struct nl_msg *message, int type, uint8_t value)
{
	int (*next)(struct nl_msg *, int, uint8_t) = real_function("nla_put_u8");

	return call_fails() ? -NLE_NOMEM : next(message, type, value);
}

int nla_put_u32(struct nl_msg *message, int type, uint32_t value)
{
	int (*next)(struct nl_msg *, int, uint32_t) = real_function("nla_put_u32");

	return call_fails() ? -NLE_NOMEM : next(message, type, value);
}

int nla_put_s32(struct nl_msg *message, int type, int32_t value)
{
	int (*next)(struct nl_msg *, int, int32_t) = real_function("nla_put_s32");

	return call_fails() ? -NLE_NOMEM : next(message, type, value);
}

int genl_ctrl_resolve(struct nl_sock *sock, const char *name)
{
	(void) sock;
	if (call_fails())
		return -NLE_NOMEM;
	if (strcmp(name, "nlctrl") == 0)
		return GENL_ID_CTRL;
	kernel.resolved++;
	return kernel.module_there && strcmp(name, "TCM-USER") == 0 ? FAKE_FAMILY
								    : -NLE_OBJ_NOTFOUND;
}

int genl_ctrl_resolve_grp(struct nl_sock *sock, const char *family, const char *group)
{
	(void) sock;
	if (call_fails())
		return -NLE_OBJ_NOTFOUND;
	return strcmp(family, "nlctrl") == 0   ? 16
		: strcmp(group, "config") == 0 ? 17
					       : -NLE_OBJ_NOTFOUND;
}

int nl_socket_add_membership(struct nl_sock *sock, int group)
{
	(void) sock;
	if (call_fails())
		return -NLE_PERM;
	kernel.joined += group == 17;
	return 0;
}

int nl_send_auto(struct nl_sock *sock, struct nl_msg *message)
{
	if (kernel.send_result < 0)
		return kernel.send_result;
	nl_complete_msg(sock, message);
	kernel.sent_length = nlmsg_hdr(message)->nlmsg_len;
	memcpy(kernel.sent, nlmsg_hdr(message), kernel.sent_length);
	kernel.sent_count++;
	return (int) kernel.sent_length;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	static int round;
	struct nlmsghdr *header = buffer;
	struct nlmsgerr *error = NLMSG_DATA(header);

	(void) fd;
	assert_int_equal(flags, MSG_DONTWAIT);
	if (kernel.no_answer) {
		errno = EAGAIN;
		return -1;
	}
	assert_true(size >= NLMSG_LENGTH(sizeof(*error)));
	*header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_LENGTH(sizeof(*error)), .nlmsg_type = NLMSG_ERROR};
	switch (round++ % 3) {
	case 0:
		errno = EINTR;
		return -1;
	case 1: /* of an earlier request */
		header->nlmsg_seq = ((struct nlmsghdr *) kernel.sent)->nlmsg_seq - 1;
		error->error = -EBUSY;
		break;
	default:
		header->nlmsg_seq = ((struct nlmsghdr *) kernel.sent)->nlmsg_seq;
		error->error = kernel.answer;
	}
	return header->nlmsg_len;
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags)
{
	const struct datagram *datagram = &kernel.events[kernel.event_next];

	(void) fd;
	assert_int_equal(flags, MSG_DONTWAIT);
	if (kernel.event_next == kernel.event_count) {
		errno = EAGAIN;
		return -1;
	}
	kernel.event_next++;
	if (datagram->error) {
		errno = datagram->error;
		return -1;
	}
	((struct sockaddr_nl *) header->msg_name)->nl_pid = datagram->sender;
	memcpy(header->msg_iov->iov_base, datagram->bytes, datagram->length);
	header->msg_flags = datagram->cut ? MSG_TRUNC : 0;
	return (ssize_t) datagram->length;
}

#pragma GCC visibility pop

static struct datagram *queue_error(int error)
{
	struct datagram *datagram = &kernel.events[kernel.event_count++];

	*datagram = (struct datagram){.error = error};
	return datagram;
}

/* Appends the message, which is freed, to the datagram. */
static struct datagram *append_message(struct datagram *datagram, struct nl_msg *message)
{
	size_t length = nlmsg_hdr(message)->nlmsg_len;

	memcpy(datagram->bytes + datagram->length, nlmsg_hdr(message), length);
	datagram->length += NLMSG_ALIGN(length);
	nlmsg_free(message);
	return datagram;
}

static struct datagram *queue_message(struct nl_msg *message)
{
	return append_message(queue_error(0), message);
}

static struct nl_msg *make_announcement(const char *family)
{
	struct nl_msg *message = nlmsg_alloc();

	assert_non_null(genlmsg_put(message, 0, 0, GENL_ID_CTRL, 0, 0, CTRL_CMD_NEWFAMILY, 2));
	assert_int_equal(nla_put_string(message, CTRL_ATTR_FAMILY_NAME, family), 0);
	return message;
}

static int netlink_socket_setup(void **state)
{
	struct tcmu_netlink *netlink;

	memset(&kernel, 0, sizeof(kernel));
	kernel.module_there = true;
	assert_int_equal(tcmu_netlink_open(&netlink), 0);
	*state = netlink;
	return 0;
}

static int netlink_socket_teardown(void **state)
{
	tcmu_netlink_close(*state);
	return 0;
}

static unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void without_the_module_nothing_is_left_open(void **state)
{
	unsigned before = count_descriptors();
	struct tcmu_netlink *netlink;

	(void) state;
	memset(&kernel, 0, sizeof(kernel));
	assert_int_equal(tcmu_netlink_open(&netlink), -ENOENT);
	assert_null(netlink);
	assert_int_equal(count_descriptors(), before);
	tcmu_netlink_close(NULL);
}

static void a_failed_open_leaves_nothing_open(void **state)
{
	unsigned before = count_descriptors();
	struct tcmu_netlink *netlink;
	int failures, r;

	(void) state;
	for (failures = 0;; failures++) {
		memset(&kernel, 0, sizeof(kernel));
		kernel.module_there = kernel.failing = true;
		kernel.fail_after = failures;
		r = tcmu_netlink_open(&netlink);
		if (r == 0)
			break;
		assert_true(r == -ENOMEM || r == -EPERM || r == -ENOENT || r == -EIO);
		assert_null(netlink);
		assert_int_equal(count_descriptors(), before);
	}
	tcmu_netlink_close(netlink);
	assert_int_equal(failures, 16); /* each of the calls once */
}

static void without_memory_nothing_is_sent(void **state)
{
	int failures, r;

	for (failures = 0;; failures++) {
		kernel.failing = true;
		kernel.fail_after = failures;
		r = tcmu_netlink_reply(*state, TCMU_EVENT_ADDED, 1, 0);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(kernel.sent_count, 0);
	}
	assert_int_equal(failures, 4);
	kernel.fail_after = 0;
	assert_int_equal(tcmu_netlink_set_replies(*state, true), -ENOMEM);
	kernel.fail_after = 2;
	assert_int_equal(tcmu_netlink_set_replies(*state, true), -ENOMEM);
	assert_int_equal(kernel.sent_count, 1);
}

static void the_receive_buffer_is_large_and_losses_are_reported(void **state)
{
	int fd = tcmu_netlink_fd(*state), value = 0;
	socklen_t length = sizeof(value);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &length), 0);
	assert_true(value >= 200000); /* 8 MiB where allowed, twice net.core.rmem_max elsewhere */
	assert_int_equal(getsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &value, &length), 0);
	assert_int_equal(value, 0);
	assert_int_equal(getsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &value, &length), 0);
	assert_int_equal(value, 1); /* to the kernel, too */
	assert_int_equal(kernel.joined, 1);
}

static void events_come_one_by_one(void **state)
{
	struct datagram *both = queue_message(event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 11));
	struct tcmu_event event;

	append_message(both, event_message(TCMU_CMD_ADDED_DEVICE, NAME, 2, 12));
	queue_error(EINTR);
	queue_message(event_message(TCMU_CMD_REMOVED_DEVICE, NAME, 1, 13));
	for (uint32_t id = 11; id <= 13; id++) {
		assert_int_equal(tcmu_netlink_receive(*state, &event), 1);
		assert_int_equal(event.device_id, id);
	}
	assert_int_equal(tcmu_netlink_receive(*state, &event), 0);
}

static void a_loss_is_reported_once(void **state)
{
	struct tcmu_event event;

	queue_error(ENOBUFS);
	queue_message(event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 11));
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOBUFS);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 1);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 0);
}

static void other_messages_are_skipped(void **state)
{
	struct nl_msg *other = event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 1);
	struct nl_msg *error = nlmsg_alloc_simple(NLMSG_ERROR, 0);
	struct tcmu_event event;

	nlmsg_hdr(other)->nlmsg_type = FAKE_FAMILY + 1;
	assert_int_equal(
		nlmsg_append(
			error, &(struct nlmsgerr){.error = -ENODEV}, sizeof(struct nlmsgerr), 0),
		0);
	append_message(append_message(queue_message(error), other), make_announcement("nl80211"));
	queue_message(empty_message(TCMU_CMD_SET_FEATURES));
	queue_message(event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 666))->sender =
		4711; /* any process can send */
	queue_message(event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 11));
	assert_int_equal(tcmu_netlink_receive(*state, &event), 1);
	assert_int_equal(event.device_id, 11);
	assert_int_equal(kernel.resolved, 1);
}

static void malformed_messages_are_dropped_one_by_one(void **state)
{
	struct tcmu_event event;
	struct datagram *datagram;

	queue_message(event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 1))->cut = true;
	datagram = queue_message(empty_message(TCMU_CMD_ADDED_DEVICE));
	append_message(datagram, event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 11));
	datagram = queue_message(event_message(TCMU_CMD_ADDED_DEVICE, NAME, 1, 1));
	((struct nlmsghdr *) datagram->bytes)->nlmsg_len = 4;
	assert_int_equal(tcmu_netlink_receive(*state, &event), -EBADMSG);
	assert_int_equal(tcmu_netlink_receive(*state, &event), -EBADMSG);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 1);
	assert_int_equal(event.device_id, 11);
	assert_int_equal(tcmu_netlink_receive(*state, &event), -EBADMSG);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 0);
}

static void an_unusable_socket_is_reported(void **state)
{
	struct tcmu_event event;

	queue_error(ENOTCONN);
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOTCONN);
}

/* The last message, as the kernel's family reads it. */
static void parse_sent(uint8_t *command, struct nlattr *attrs[TCMU_ATTR_MAX + 1])
{
	struct nlmsghdr *header = (struct nlmsghdr *) kernel.sent;

	assert_int_equal(header->nlmsg_type, FAKE_FAMILY);
	assert_true(header->nlmsg_flags & NLM_F_ACK);
	assert_int_equal(genlmsg_hdr(header)->version, 2);
	*command = genlmsg_hdr(header)->cmd;
	assert_int_equal(genlmsg_parse(header, 0, attrs, TCMU_ATTR_MAX, NULL), 0);
}

static void an_answer_carries_status_and_device(void **state)
{
	static const uint8_t done[] = {
		0, TCMU_CMD_ADDED_DEVICE_DONE, TCMU_CMD_REMOVED_DEVICE_DONE,
		TCMU_CMD_RECONFIG_DEVICE_DONE};
	struct nlattr *attrs[TCMU_ATTR_MAX + 1];
	uint8_t command;

	for (enum tcmu_event_kind kind = TCMU_EVENT_ADDED; kind <= TCMU_EVENT_RECONFIG; kind++) {
		assert_int_equal(tcmu_netlink_reply(*state, kind, 300, -ENOENT), 0);
		parse_sent(&command, attrs);
		assert_int_equal(command, done[kind]);
		assert_int_equal(nla_get_u32(attrs[TCMU_ATTR_DEVICE_ID]), 300);
		assert_int_equal(nla_get_s32(attrs[TCMU_ATTR_CMD_STATUS]), -ENOENT);
	}
}

static void a_reply_that_no_command_waits_for_fails(void **state)
{
	kernel.answer = -ENODEV;
	assert_int_equal(tcmu_netlink_reply(*state, TCMU_EVENT_ADDED, 1, 0), -ENODEV);
	kernel.no_answer = true;
	assert_int_equal(tcmu_netlink_reply(*state, TCMU_EVENT_ADDED, 1, 0), 0);
	kernel.send_result = -NLE_PERM;
	assert_int_equal(tcmu_netlink_reply(*state, TCMU_EVENT_ADDED, 1, 0), -EPERM);
	kernel.send_result = -NLE_NOMEM;
	assert_int_equal(tcmu_netlink_reply(*state, TCMU_EVENT_ADDED, 1, 0), -ENOMEM);
	kernel.send_result = -NLE_AF_NOSUPPORT;
	assert_int_equal(tcmu_netlink_reply(*state, TCMU_EVENT_ADDED, 1, 0), -EAFNOSUPPORT);
	kernel.send_result = -NLE_FAILURE;
	assert_int_equal(tcmu_netlink_reply(*state, TCMU_EVENT_ADDED, 1, 0), -EIO);
}

static void replies_are_switched(void **state)
{
	struct nlattr *attrs[TCMU_ATTR_MAX + 1];
	uint8_t command;

	for (int on = 0; on < 2; on++) {
		assert_int_equal(tcmu_netlink_set_replies(*state, on), 0);
		parse_sent(&command, attrs);
		assert_int_equal(command, TCMU_CMD_SET_FEATURES);
		assert_int_equal(nla_get_u8(attrs[TCMU_ATTR_SUPP_KERN_CMD_REPLY]), on);
	}
	kernel.answer = -EPERM;
	assert_int_equal(tcmu_netlink_set_replies(*state, true), -EPERM);
}

static void a_module_that_comes_back_is_joined_again(void **state)
{
	struct nlattr *attrs[TCMU_ATTR_MAX + 1];
	struct tcmu_event event;
	uint8_t command;

	assert_int_equal(tcmu_netlink_set_replies(*state, true), 0);
	queue_message(make_announcement("TCM-USER"));
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOBUFS);
	assert_int_equal(kernel.joined, 2);
	assert_int_equal(kernel.sent_count, 2);
	parse_sent(&command, attrs);
	assert_int_equal(command, TCMU_CMD_SET_FEATURES);
	assert_int_equal(nla_get_u8(attrs[TCMU_ATTR_SUPP_KERN_CMD_REPLY]), 1);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 0);
}

static void a_module_that_comes_and_goes_is_waited_for(void **state)
{
	struct tcmu_event event;

	kernel.module_there = false;
	queue_message(make_announcement("TCM-USER"));
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOBUFS);
	assert_int_equal(kernel.joined, 1);
	assert_int_equal(kernel.sent_count, 0);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 0);
}

static void a_group_that_can_not_be_joined_is_tried_again(void **state)
{
	struct tcmu_event event;

	assert_int_equal(tcmu_netlink_set_replies(*state, true), 0);
	queue_message(make_announcement("TCM-USER"));
	kernel.failing = true;
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOMEM);
	kernel.fail_after = 0;
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOMEM);
	assert_int_equal(kernel.joined, 1);
	kernel.failing = false;
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOBUFS);
	assert_int_equal(kernel.joined, 2);
	assert_int_equal(kernel.sent_count, 2);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 0);
}

/* The announcement that the module was loaded again may be among what was lost. */
static void after_a_loss_the_group_is_joined_again(void **state)
{
	struct tcmu_event event;

	queue_error(ENOBUFS);
	assert_int_equal(tcmu_netlink_receive(*state, &event), -ENOBUFS);
	assert_int_equal(kernel.joined, 2);
	assert_int_equal(tcmu_netlink_receive(*state, &event), 0);
}

#define NETLINK_TEST(name) \
	cmocka_unit_test_setup_teardown(name, netlink_socket_setup, netlink_socket_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_module_nothing_is_left_open),
		cmocka_unit_test(a_failed_open_leaves_nothing_open),
		NETLINK_TEST(without_memory_nothing_is_sent),
		NETLINK_TEST(the_receive_buffer_is_large_and_losses_are_reported),
		NETLINK_TEST(events_come_one_by_one),
		NETLINK_TEST(a_loss_is_reported_once),
		NETLINK_TEST(other_messages_are_skipped),
		NETLINK_TEST(malformed_messages_are_dropped_one_by_one),
		NETLINK_TEST(an_unusable_socket_is_reported),
		NETLINK_TEST(an_answer_carries_status_and_device),
		NETLINK_TEST(a_reply_that_no_command_waits_for_fails),
		NETLINK_TEST(replies_are_switched),
		NETLINK_TEST(a_module_that_comes_back_is_joined_again),
		NETLINK_TEST(a_module_that_comes_and_goes_is_waited_for),
		NETLINK_TEST(a_group_that_can_not_be_joined_is_tried_again),
		NETLINK_TEST(after_a_loss_the_group_is_joined_again),
	};

	return cmocka_run_group_tests_name("netlink-socket", tests, NULL, NULL);
}
