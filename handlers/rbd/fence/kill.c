/* SPDX-License-Identifier: Apache-2.0 */
/* See kill.h. */
#include "kill.h"

#include <assert.h>
#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EPOLL_LINK "anon_inode:[eventpoll]"
#define EPOLLS_MAX 4096

struct epoll_list {
	int fds[EPOLLS_MAX];
	unsigned cnt;
};

static pthread_mutex_t connect_lock = PTHREAD_MUTEX_INITIALIZER; /* one connect at a time */

static bool is_epoll(const char *name)
{
	char path[64], target[sizeof(EPOLL_LINK)];
	ssize_t length;

	(void) snprintf(path, sizeof(path), "/proc/self/fd/%.20s", name);
	length = readlink(path, target, sizeof(target));
	return length == (ssize_t) strlen(EPOLL_LINK) &&
		memcmp(target, EPOLL_LINK, strlen(EPOLL_LINK)) == 0;
}

static void list_epolls(struct epoll_list *list)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	list->cnt = 0;
	while (directory && (entry = readdir(directory)))
		if (is_epoll(entry->d_name) && list->cnt < EPOLLS_MAX)
			list->fds[list->cnt++] = (int) strtol(entry->d_name, NULL, 10);
	if (directory)
		(void) closedir(directory);
}

static bool list_has(const struct epoll_list *list, int fd)
{
	for (unsigned i = 0; i < list->cnt; i++)
		if (list->fds[i] == fd)
			return true;
	return false;
}

/* An epoll descriptor that another thread has opened meanwhile is taken too. That does no harm: a
 * socket of another client instance that is reset is connected again, and nothing is lost. */
int kill_connect(rados_t rados, struct kill_handle *handle)
{
	struct epoll_list *before = malloc(sizeof(*before)), *after = malloc(sizeof(*after));
	int r;

	handle->cnt = 0;
	pthread_mutex_lock(&connect_lock);
	if (before)
		list_epolls(before);
	r = rados_connect(rados);
	if (r >= 0 && before && after) {
		list_epolls(after);
		for (unsigned i = 0; i < after->cnt && handle->cnt < KILL_EPOLLS; i++)
			if (!list_has(before, after->fds[i]))
				handle->epolls[handle->cnt++] = after->fds[i];
	}
	pthread_mutex_unlock(&connect_lock);
	free(before);
	free(after);
	assert(handle->cnt <= KILL_EPOLLS);
	return r;
}

/* A TCP socket that is connected to no address sends a reset and drops its buffers; everything else
 * refuses. */
static void reset_socket(int fd)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	int type = 0, domain = 0;
	socklen_t length = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
		return;
	length = sizeof(domain);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
	    (domain != AF_INET && domain != AF_INET6))
		return;
	(void) connect(fd, &none, sizeof(none));
}

static void reset_sockets(int epoll)
{
	char path[64], line[256];
	FILE *file;
	int fd;

	(void) snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "tfd: %d", &fd) == 1)
			reset_socket(fd);
	if (file)
		(void) fclose(file);
}

void kill_client(rados_t rados, const struct kill_handle *handle)
{
	assert(rados && handle->cnt <= KILL_EPOLLS);
	(void) rados_conf_set(rados, "ms_inject_socket_failures", "1");
	for (unsigned i = 0; i < handle->cnt; i++)
		reset_sockets(handle->epolls[i]);
}
