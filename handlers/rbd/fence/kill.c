/* SPDX-License-Identifier: Apache-2.0 */
/* See kill.h. */
#include "kill.h"

#include <assert.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define EPOLL_LINK "anon_inode:[eventpoll]"
#define EPOLLS_MAX 4096
#define BEGIN_MS   1000   /* a name server may be slow */
#define WATCHED    "tfd:" /* a line of fdinfo */

struct epoll_list {
	int fds[EPOLLS_MAX];
	unsigned cnt;
};

/* One client instance at a time begins to connect. */
static pthread_mutex_t connect_lock = PTHREAD_MUTEX_INITIALIZER;

struct connecting {
	rados_t rados;
	int result;
	atomic_bool ended;
};

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

/* ------- what an epoll descriptor watches ------- */

/* Calls visit() with each. Returns for how many it was true. */
static unsigned walk_watched(int epoll, bool (*visit)(int fd))
{
	char path[64], line[256];
	unsigned cnt = 0;
	FILE *file;

	(void) snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, WATCHED, strlen(WATCHED)) == 0 &&
		    visit((int) strtol(line + strlen(WATCHED), NULL, 10)))
			cnt++;
	if (file)
		(void) fclose(file);
	return cnt;
}

static bool is_pipe(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 && S_ISFIFO(stat.st_mode);
}

static bool is_tcp(int fd)
{
	int type = 0, domain = 0;
	socklen_t length = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
		return false;
	length = sizeof(domain);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) >= 0 &&
		(domain == AF_INET || domain == AF_INET6);
}

/* A TCP socket that is connected to no address sends a reset and drops its buffers. */
static bool reset_tcp(int fd)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};

	return is_tcp(fd) && connect(fd, &none, sizeof(none)) == 0;
}

/* ------- connect ------- */

/* Those of a messenger watch the pipe that wakes its thread. One of another client instance that
 * was made meanwhile is taken too. That does no harm: a socket that is reset is connected again,
 * and nothing is lost. */
static void note_epolls(const struct epoll_list *before, struct kill_handle *handle)
{
	struct epoll_list *now = malloc(sizeof(*now));

	handle->cnt = 0;
	if (now)
		list_epolls(now);
	for (unsigned i = 0; now && i < now->cnt && handle->cnt < KILL_EPOLLS; i++)
		if (!list_has(before, now->fds[i]) && walk_watched(now->fds[i], is_pipe))
			handle->epolls[handle->cnt++] = now->fds[i];
	free(now);
}

/* Whether one of them has a connection. */
static bool has_connection(const struct kill_handle *handle)
{
	for (unsigned i = 0; i < handle->cnt; i++)
		if (walk_watched(handle->epolls[i], is_tcp))
			return true;
	return false;
}

static void *connect_main(void *arg)
{
	struct connecting *connecting = arg;

	connecting->result = rados_connect(connecting->rados);
	atomic_store(&connecting->ended, true);
	return NULL;
}

/* librados makes one for each thread of its messenger. */
static unsigned count_messenger_threads(rados_t rados)
{
	char text[24] = "";
	unsigned long cnt = 0;

	if (rados_conf_get(rados, "ms_async_op_threads", text, sizeof(text)) >= 0)
		cnt = strtoul(text, NULL, 10);
	return cnt >= 1 && cnt <= KILL_EPOLLS ? (unsigned) cnt : 1;
}

/* librados makes the epoll descriptors first, before it waits for the cluster. So the lock is held
 * for a moment only, and images open at the same time. */
int kill_connect(rados_t rados, struct kill_handle *handle)
{
	struct connecting connecting = {.rados = rados};
	struct epoll_list *before = calloc(1, sizeof(*before));
	unsigned expected = count_messenger_threads(rados);
	pthread_t thread;
	bool runs;

	handle->cnt = 0;
	pthread_mutex_lock(&connect_lock);
	if (before)
		list_epolls(before);
	runs = pthread_create(&thread, NULL, connect_main, &connecting) == 0;
	for (unsigned i = 0; runs && before && i < BEGIN_MS && handle->cnt < expected &&
	     !atomic_load(&connecting.ended);
	     i++) {
		(void) poll(NULL, 0, 1);
		note_epolls(before, handle);
	}
	pthread_mutex_unlock(&connect_lock);
	if (runs)
		(void) pthread_join(thread, NULL);
	else
		(void) connect_main(&connecting);
	if (before && connecting.result >= 0 && (handle->cnt < expected || !has_connection(handle)))
		note_epolls(before, handle);
	free(before);
	assert(handle->cnt <= KILL_EPOLLS);
	return connecting.result;
}

/* ------- kill ------- */

void kill_client(rados_t rados, const struct kill_handle *handle)
{
	assert(rados && handle->cnt <= KILL_EPOLLS);
	(void) rados_conf_set(rados, "ms_inject_socket_failures", "1");
	for (unsigned i = 0; i < handle->cnt; i++)
		(void) walk_watched(handle->epolls[i], reset_tcp);
}
