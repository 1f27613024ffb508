/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel before 5.3 does not list the users of sockets, and one without unix_diag lists nothing.
 * There the listener is asked for its credentials (SO_PEERCRED), and a full backlog is an error.
 */
#include "program/instance-name.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include "base/trust.h"

#define BACKLOG        64
#define TRIES          3
#define STATE_LISTEN   10 /* as for TCP */
#define LIST_TIMEOUT_S 5
#define SUFFIX         16 /* digits */
#define NAME_MAX_BYTES (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1)

#ifndef UDIAG_SHOW_UID
#define UDIAG_SHOW_UID 0x40
#define UNIX_DIAG_UID  7
#endif

/* ------- addresses ------- */

static socklen_t make_address(const char *name, struct sockaddr_un *address)
{
	size_t len = strnlen(name, NAME_MAX_BYTES);

	assert(len > 0);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path + 1, name, len);
	return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

/* A listening socket with the name, or -errno. */
static int listen_as(const char *name)
{
	struct sockaddr_un address;
	socklen_t len = make_address(name, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *) &address, len) < 0 || listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		(void) close(fd);
	return r < 0 ? r : fd;
}

/* The credentials of the listener with the name, or -errno. */
static int ask_listener(const char *name, struct ucred *holder)
{
	struct sockaddr_un address;
	socklen_t len = make_address(name, &address), size = sizeof(*holder);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *) &address, len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, holder, &size) < 0)
		r = -errno;
	(void) close(fd);
	return r;
}

/* ------- the kernel's list of sockets ------- */

struct search {
	const char *name;
	ino_t own; /* the inode of our socket; 0: none */
	bool found;
	char found_name[NAME_MAX_BYTES + 1];
};

/* Whether it is the name, or the name with a suffix of listen_with_suffix(). */
static bool is_instance_name(const struct search *search, const char *found)
{
	size_t len = strlen(search->name);

	if (strncmp(found, search->name, len) != 0)
		return false;
	return !found[len] ||
		(found[len] == '-' && strspn(found + len + 1, "0123456789abcdef") == SUFFIX &&
		 !found[len + 1 + SUFFIX]);
}

/* 0, or -EOPNOTSUPP: the kernel does not say whose the socket is. */
static int search_socket(struct search *search, const struct nlmsghdr *message)
{
	const struct unix_diag_msg *socket = NLMSG_DATA(message);
	int left = (int) (message->nlmsg_len - NLMSG_LENGTH(sizeof(*socket)));
	char name[NAME_MAX_BYTES + 1] = "";
	uint32_t uid = 0;
	bool has_uid = false;

	for (const struct rtattr *at = (const void *) (socket + 1); RTA_OK(at, left);
	     at = RTA_NEXT(at, left)) {
		size_t len = RTA_PAYLOAD(at);

		/* An abstract name begins with a zero. */
		if (at->rta_type == UNIX_DIAG_NAME && len > 1 && len <= sizeof(name) &&
		    !*(const char *) RTA_DATA(at))
			memcpy(name, (const char *) RTA_DATA(at) + 1, len - 1);
		if (at->rta_type == UNIX_DIAG_UID && len >= sizeof(uid)) {
			memcpy(&uid, RTA_DATA(at), sizeof(uid));
			has_uid = true;
		}
	}
	if (!is_instance_name(search, name) || socket->udiag_ino == search->own)
		return 0;
	if (!has_uid)
		return -EOPNOTSUPP;
	if (!trust_user(uid))
		return 0;
	search->found = true;
	memcpy(search->found_name, name, sizeof(name));
	return 0;
}

/* 1: the list has ended; 0: more comes; -errno. */
static int search_messages(struct search *search, const void *buffer, size_t size)
{
	unsigned left = (unsigned) size;
	int r = 0;

	for (const struct nlmsghdr *at = buffer; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
		if (at->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR;
		if (at->nlmsg_type == NLMSG_DONE)
			return 1;
		if (at->nlmsg_type == NLMSG_ERROR &&
		    at->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return ((const struct nlmsgerr *) NLMSG_DATA(at))->error ?: -EPROTO;
		if (at->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
		    at->nlmsg_len >= NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
			r = search_socket(search, at);
		if (r < 0)
			return r;
	}
	return 0;
}

static int search_list(struct search *search, int fd)
{
	const struct {
		struct nlmsghdr header;
		struct unix_diag_req body;
	} request = {
		.header =
			{
				.nlmsg_len = sizeof(request),
				.nlmsg_type = SOCK_DIAG_BY_FAMILY,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			},
		.body =
			{
				.sdiag_family = AF_UNIX,
				.udiag_states = 1u << STATE_LISTEN,
				.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_UID,
			},
	};
	union {
		struct nlmsghdr header; /* for the alignment */
		char bytes[32768];
	} buffer;
	int r = 0;

	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = recv(fd, buffer.bytes, sizeof(buffer.bytes), 0);

		r = n < 0 ? -errno : search_messages(search, buffer.bytes, (size_t) n);
	}
	return r < 0 ? r : 0;
}

/* Finds the listener of a daemon in the list. -errno: the kernel does not say. */
static int search_daemon(struct search *search)
{
	const struct timeval patience = {.tv_sec = LIST_TIMEOUT_S};
	int fd, r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR; i++) {
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		if (fd < 0)
			return -errno;
		search->found = false;
		(void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		r = search_list(search, fd);
		(void) close(fd);
	}
	return search->found ? 0 : r;
}

/* ------- taking the name ------- */

/* 0: no daemon but the one with this socket listens; fd: -1: none. -EBUSY, or another -errno: the
 * kernel does not say. */
static int check_list(const char *name, int fd, pid_t *other)
{
	struct search search = {.name = name};
	struct ucred holder = {0};
	struct stat st;
	int r;

	if (fd >= 0 && fstat(fd, &st) < 0)
		return -errno;
	search.own = fd >= 0 ? st.st_ino : 0;
	r = search_daemon(&search);
	if (r < 0 || !search.found)
		return r;
	if (ask_listener(search.found_name, &holder) == 0)
		*other = holder.pid;
	return -EBUSY;
}

/* The same for the holder of the name itself, without the list. */
static int check_listener(const char *name, pid_t *other)
{
	struct ucred holder = {0};
	int r = ask_listener(name, &holder);

	/* A daemon listens at once after it has bound the name. */
	if (r == -ECONNREFUSED)
		return 0;
	if (r < 0)
		return r;
	if (!trust_user(holder.uid))
		return 0;
	*other = holder.pid;
	return -EBUSY;
}

static int listen_with_suffix(const char *name)
{
	char text[NAME_MAX_BYTES + 1];
	uint64_t suffix;
	int r = -EADDRINUSE;

	for (int i = 0; i < TRIES && r == -EADDRINUSE; i++) {
		if (getrandom(&suffix, sizeof(suffix), 0) != sizeof(suffix))
			return -EIO;
		(void) snprintf(
			text, sizeof(text), "%s-%016llx", name, (unsigned long long) suffix);
		r = listen_as(text);
	}
	return r;
}

int instance_name_take(const char *name, int *ret, pid_t *other)
{
	int fd, r;

	assert(strlen(name) + 1 + SUFFIX <= NAME_MAX_BYTES);
	*ret = -1;
	fd = listen_as(name);
	if (fd < 0 && fd != -EADDRINUSE)
		return fd;
	if (fd < 0) {
		r = check_list(name, -1, other);
		if (r < 0 && r != -EBUSY)
			r = check_listener(name, other);
		if (r < 0)
			return r;
		/* Another user has the name. */
		fd = listen_with_suffix(name);
		if (fd < 0)
			return fd;
	}
	if (check_list(name, fd, other) == -EBUSY) {
		(void) close(fd);
		return -EBUSY;
	}
	*ret = fd;
	return 0;
}
