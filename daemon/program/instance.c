/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock belongs to the open file (F_OFD_SETLK), not to the process: a lock of the process would
 * be gone as soon as any part of it, such as the check of a config string, opened and closed the
 * same file. Both kinds exclude each other, so tcmu-runner's lock is respected, and respects this
 * one.
 *
 * The kernel reports the pid of tcmu-runner's lock; tcmud writes its pid to the file. No connection
 * to the socket is ever accepted.
 */
#include "program/instance.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "program/instance-name.h"

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

int instance_acquire(
	struct instance *instance, const char *path, const char *socket_name, pid_t *other)
{
	int r;

	assert(instance->lock < 0 && instance->socket < 0);
	*other = 0;
	r = lock_file(path, &instance->lock, other);
	if (r >= 0)
		r = instance_name_take(socket_name, &instance->socket, other);
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
