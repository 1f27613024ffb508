/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel reports the pid of the record lock's holder. No connection to the socket is ever
 * accepted.
 */
#include "program/instance.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "program/instance-name.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
	*fd = -1;
}

static int lock_file(const char *path, int *ret, pid_t *other)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &lock) < 0)
		r = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	if (r == -EBUSY && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK &&
	    lock.l_pid > 0)
		*other = lock.l_pid;
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
