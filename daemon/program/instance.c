/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock belongs to the open file (F_OFD_SETLK), not to the process: a lock of the process would
 * be gone as soon as any part of it, such as the check of a config string, opened and closed the
 * same file. Both kinds exclude each other, so tcmu-runner's lock is respected, and respects this
 * one.
 *
 * The kernel reports the pid of tcmu-runner's lock; tcmud writes its pid to the file. The pid of
 * the socket's holder is in its credentials (SO_PEERCRED). The socket listens so that it has
 * credentials; no connection is ever accepted.
 */
#include "program/instance.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG       64
#define PID_MAX_CHARS 16

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
	*fd = -1;
}

/* For the log only: a holder in another pid namespace has another pid here. */
static pid_t read_pid(int fd)
{
	char text[PID_MAX_CHARS] = "", *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, &end, 10) : 0;

	return pid > 0 && pid <= INT_MAX && *end == '\n' ? (pid_t) pid : 0;
}

/* A failure costs the next daemon a pid in its message, nothing else. */
static void write_pid(int fd)
{
	assert(fd >= 0);
	if (ftruncate(fd, 0) == 0)
		(void) dprintf(fd, "%d\n", (int) getpid());
}

static int lock_file(const char *path, int *ret, pid_t *other)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		r = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	else
		write_pid(fd);
	if (r == -EBUSY && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		*other = lock.l_pid > 0 ? lock.l_pid : read_pid(fd);
	if (r < 0)
		close_fd(&fd);
	*ret = fd;
	return r;
}

static socklen_t make_address(const char *name, struct sockaddr_un *address)
{
	size_t len = strnlen(name, sizeof(address->sun_path) - 1);

	assert(len > 0);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path + 1, name, len);
	return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

/* Whether the holder of the name is a daemon: a process of root or of our user. */
static bool is_daemon(const struct sockaddr_un *address, socklen_t len, pid_t *other)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred holder = {0};
	socklen_t size = sizeof(holder);
	bool r = false;

	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *) address, len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &size) == 0)
		r = holder.uid == 0 || holder.uid == geteuid();
	if (r)
		*other = holder.pid;
	close_fd(&fd);
	return r;
}

static int take_name(const char *name, int *ret, pid_t *other)
{
	struct sockaddr_un address;
	socklen_t len = make_address(name, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*ret = -1;
	if (fd < 0)
		return 0;
	if (bind(fd, (const struct sockaddr *) &address, len) == 0 && listen(fd, BACKLOG) == 0) {
		*ret = fd;
		return 0;
	}
	close_fd(&fd);
	return is_daemon(&address, len, other) ? -EBUSY : 0;
}

int instance_acquire(
	struct instance *instance, const char *path, const char *socket_name, pid_t *other)
{
	int r;

	assert(instance->lock < 0 && instance->socket < 0);
	*other = 0;
	r = lock_file(path, &instance->lock, other);
	if (r >= 0)
		r = take_name(socket_name, &instance->socket, other);
	assert(r < 0 || instance->lock >= 0);
	if (r < 0)
		instance_release(instance);
	return r;
}

void instance_release(struct instance *instance)
{
	assert(instance->lock >= -1 && instance->socket >= -1);
	close_fd(&instance->lock);
	close_fd(&instance->socket);
}
