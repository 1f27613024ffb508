/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exclusive open (O_EXCL) of the block devices that this process writes to: mount, mkfs and
 * drivers such as md and dm then fail with EBUSY.
 *
 * The kernel counts opens, not processes. A new device could not open a block device exclusively
 * while its predecessor on the same block device is still closing it. So the process opens a block
 * device exclusively once and counts the uses.
 *
 * `opens_lock` guards the list and the counts. No system call is made under it, because the call
 * may be stuck forever.
 */
#include "exclusive-open.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct file_exclusive {
	struct file_exclusive *next;
	dev_t dev;
	int fd;
	unsigned count; /* uses; 0: being closed */
};

static pthread_mutex_t opens_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t open_closed = PTHREAD_COND_INITIALIZER;
static struct file_exclusive *all_opens;

static struct file_exclusive *find_open(dev_t dev)
{
	struct file_exclusive *exclusive = all_opens;

	while (exclusive && exclusive->dev != dev)
		exclusive = exclusive->next;
	return exclusive;
}

/* Adds a use to an exclusive open of this process; waits while that is being closed. NULL: there is
 * none. */
static struct file_exclusive *share_open(dev_t dev)
{
	struct file_exclusive *exclusive;

	pthread_mutex_lock(&opens_lock);
	while ((exclusive = find_open(dev)) && exclusive->count == 0)
		pthread_cond_wait(&open_closed, &opens_lock);
	if (exclusive)
		exclusive->count++;
	pthread_mutex_unlock(&opens_lock);
	return exclusive;
}

static int open_exclusive(const char *path, dev_t dev, struct file_exclusive *exclusive)
{
	exclusive->fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (exclusive->fd < 0)
		return -errno;
	exclusive->dev = dev;
	exclusive->count = 1;
	pthread_mutex_lock(&opens_lock);
	exclusive->next = all_opens;
	all_opens = exclusive;
	pthread_mutex_unlock(&opens_lock);
	return 0;
}

int file_exclusive_get(const char *path, dev_t dev, struct file_exclusive **ret)
{
	struct file_exclusive *exclusive = share_open(dev);
	int r;

	if (!exclusive) {
		exclusive = calloc(1, sizeof(*exclusive));
		if (!exclusive)
			return -ENOMEM;
		r = open_exclusive(path, dev, exclusive);
		if (r < 0)
			free(exclusive);
		/* Another thread of this process may have opened it meanwhile. */
		if (r == -EBUSY && (exclusive = share_open(dev)))
			r = 0;
		if (r < 0)
			return r;
	}
	*ret = exclusive;
	return 0;
}

static void forget_open(struct file_exclusive *exclusive)
{
	struct file_exclusive **link = &all_opens;

	while (*link != exclusive) {
		assert(*link);
		link = &(*link)->next;
	}
	*link = exclusive->next;
}

void file_exclusive_put(struct file_exclusive *exclusive)
{
	bool last;

	if (!exclusive)
		return;
	pthread_mutex_lock(&opens_lock);
	assert(exclusive->count > 0);
	last = --exclusive->count == 0;
	pthread_mutex_unlock(&opens_lock);
	if (!last)
		return;
	close(exclusive->fd);
	pthread_mutex_lock(&opens_lock);
	forget_open(exclusive);
	pthread_cond_broadcast(&open_closed);
	pthread_mutex_unlock(&opens_lock);
	free(exclusive);
}
