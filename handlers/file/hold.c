/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exclusive opening (O_EXCL) of the block devices that this process writes to: it makes mount,
 * mkfs and drivers such as md and dm fail with EBUSY meanwhile.
 *
 * The kernel knows openings, not processes: a device that is created while its predecessor is still
 * being closed would be kept off as well. So a block device is held once in the process and the
 * hold is counted.
 *
 * `lock` guards the list and the counts; no system call is made under it, because that one may be
 * stuck for ever.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct file_hold {
	struct file_hold *next;
	dev_t dev;
	int fd;
	unsigned count; /* 0: being closed */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closed = PTHREAD_COND_INITIALIZER;
static struct file_hold *holds;

static struct file_hold *find(dev_t dev)
{
	struct file_hold *hold = holds;

	while (hold && hold->dev != dev)
		hold = hold->next;
	return hold;
}

/* NULL: nobody here holds it. */
static struct file_hold *share(dev_t dev)
{
	struct file_hold *hold;

	pthread_mutex_lock(&lock);
	while ((hold = find(dev)) && hold->count == 0)
		pthread_cond_wait(&closed, &lock);
	if (hold)
		hold->count++;
	pthread_mutex_unlock(&lock);
	return hold;
}

static int open_exclusive(const struct file_target *target, struct file_hold *hold)
{
	hold->fd = open(target->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (hold->fd < 0)
		return -errno;
	hold->dev = target->dev;
	hold->count = 1;
	pthread_mutex_lock(&lock);
	hold->next = holds;
	holds = hold;
	pthread_mutex_unlock(&lock);
	return 0;
}

int file_hold_get(const struct file_target *target, struct file_hold **ret)
{
	struct file_hold *hold = share(target->dev);
	int r;

	if (!hold) {
		hold = calloc(1, sizeof(*hold));
		if (!hold)
			return -ENOMEM;
		r = open_exclusive(target, hold);
		if (r < 0)
			free(hold);
		/* Another opening of ours may have come first. */
		if (r == -EBUSY && (hold = share(target->dev)))
			r = 0;
		if (r < 0)
			return r;
	}
	*ret = hold;
	return 0;
}

static void forget(struct file_hold *hold)
{
	struct file_hold **link = &holds;

	while (*link != hold)
		link = &(*link)->next;
	*link = hold->next;
}

void file_hold_put(struct file_hold *hold)
{
	bool last;

	if (!hold)
		return;
	pthread_mutex_lock(&lock);
	last = --hold->count == 0;
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	close(hold->fd);
	pthread_mutex_lock(&lock);
	forget(hold);
	pthread_cond_broadcast(&closed);
	pthread_mutex_unlock(&lock);
	free(hold);
}
