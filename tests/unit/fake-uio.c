/* SPDX-License-Identifier: Apache-2.0 */
/* See fake-uio.h. */
#include "fake-uio.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <tcmu/configfs.h>
#include <tcmu/uio.h>

#define FAKES_MAX 64

struct fake_uio {
	pthread_mutex_t lock;
	struct fake_uio_options options;
	struct fake_ring *ring;
	unsigned minor;
	bool open;
	bool blocked;
	bool hold_actions;
	unsigned held_actions;
	pthread_cond_t changed;
	struct fake_uio_counts counts;
	int wake;  /* the pipe's writing end */
	int drain; /* its reading end, opened a second time: keeps the pipe from filling up */
	atomic_bool gone;
	atomic_bool poll_tells;
	/* under table_lock: what epoll was told of the descriptor */
	int fd;
	int epoll_fd;
	uint64_t epoll_data;
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_uio *table[FAKES_MAX];
static atomic_ulong epoll_waits;
static atomic_uint sleepers;

/* ------- the kernel's side ------- */

struct fake_uio *fake_uio_new(const struct fake_uio_options *options)
{
	struct fake_uio *uio = calloc(1, sizeof(*uio));

	if (!uio)
		return NULL;
	uio->options = *options;
	uio->wake = uio->drain = uio->fd = uio->epoll_fd = -1;
	uio->ring = fake_ring_new(&options->ring);
	uio->minor = FAKES_MAX;
	pthread_mutex_init(&uio->lock, NULL);
	pthread_cond_init(&uio->changed, NULL);
	uio->hold_actions = options->hold_actions;
	pthread_mutex_lock(&table_lock);
	for (unsigned i = FAKES_MAX; i-- > 0;)
		if (!table[i])
			uio->minor = i;
	if (uio->ring && uio->minor < FAKES_MAX)
		table[uio->minor] = uio;
	pthread_mutex_unlock(&table_lock);
	if (!uio->ring || uio->minor == FAKES_MAX) {
		fake_uio_free(uio);
		return NULL;
	}
	return uio;
}

void fake_uio_free(struct fake_uio *uio)
{
	if (!uio)
		return;
	pthread_mutex_lock(&table_lock);
	if (uio->minor < FAKES_MAX)
		table[uio->minor] = NULL;
	pthread_mutex_unlock(&table_lock);
	if (uio->wake >= 0)
		close(uio->wake);
	if (uio->drain >= 0)
		close(uio->drain);
	fake_ring_free(uio->ring);
	pthread_cond_destroy(&uio->changed);
	pthread_mutex_destroy(&uio->lock);
	free(uio);
}

unsigned fake_uio_minor(const struct fake_uio *uio)
{
	return uio->minor;
}

struct fake_ring *fake_uio_lock(struct fake_uio *uio)
{
	pthread_mutex_lock(&uio->lock);
	return uio->ring;
}

void fake_uio_unlock(struct fake_uio *uio)
{
	pthread_mutex_unlock(&uio->lock);
}

int fake_uio_push(struct fake_uio *uio, const struct fake_command *command)
{
	int r;

	pthread_mutex_lock(&uio->lock);
	r = uio->gone || uio->blocked ? -ENODEV : fake_ring_push(uio->ring, command);
	pthread_mutex_unlock(&uio->lock);
	return r;
}

/* The pipe is emptied first: each notification finds it empty, and is an edge. */
static void wake(struct fake_uio *uio)
{
	char byte;

	if (uio->wake < 0 || uio->drain < 0)
		return;
	while (read(uio->drain, &byte, 1) > 0)
		;
	if (write(uio->wake, "!", 1) != 1)
		abort();
	uio->counts.notifications++;
}

void fake_uio_notify(struct fake_uio *uio)
{
	pthread_mutex_lock(&uio->lock);
	if (fake_ring_publish(uio->ring))
		wake(uio);
	pthread_mutex_unlock(&uio->lock);
}

bool fake_uio_wait_action(struct fake_uio *uio)
{
	struct timespec until;
	bool held;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&uio->lock);
	while (!uio->held_actions && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&uio->changed, &uio->lock, &until);
	held = uio->held_actions;
	pthread_mutex_unlock(&uio->lock);
	return held;
}

void fake_uio_release_actions(struct fake_uio *uio)
{
	pthread_mutex_lock(&uio->lock);
	uio->hold_actions = false;
	pthread_cond_broadcast(&uio->changed);
	pthread_mutex_unlock(&uio->lock);
}

void fake_uio_unregister(struct fake_uio *uio, bool silent)
{
	pthread_mutex_lock(&uio->lock);
	atomic_store(&uio->gone, true);
	atomic_store(&uio->poll_tells, !silent);
	if (!silent)
		wake(uio);
	pthread_mutex_unlock(&uio->lock);
}

struct fake_uio_counts fake_uio_counts(struct fake_uio *uio)
{
	struct fake_uio_counts counts;

	pthread_mutex_lock(&uio->lock);
	counts = uio->counts;
	pthread_mutex_unlock(&uio->lock);
	return counts;
}

unsigned long fake_uio_epoll_waits(void)
{
	return atomic_load(&epoll_waits);
}

unsigned fake_uio_sleepers(void)
{
	return atomic_load(&sleepers);
}

unsigned fake_uio_mappings(struct fake_uio *uio)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned found = 0;
	struct stat st;
	char line[512];

	if (!maps || fstat(fake_ring_fd(uio->ring), &st) < 0)
		abort();
	while (fgets(line, sizeof(line), maps)) {
		unsigned long inode;
		void *start;

		if (sscanf(line, "%p-%*s %*s %*s %*s %lu", &start, &inode) == 2 &&
		    inode == st.st_ino && strstr(line, "memfd:") &&
		    start != fake_ring_base(uio->ring))
			found++;
	}
	fclose(maps);
	return found;
}

/* A pipe without any reader left tells its writer so. */
bool fake_uio_is_open(struct fake_uio *uio)
{
	struct pollfd fd = {.fd = uio->wake};

	pthread_mutex_lock(&uio->lock);
	if (uio->drain >= 0)
		close(uio->drain);
	uio->drain = -1;
	pthread_mutex_unlock(&uio->lock);
	return uio->wake >= 0 && poll(&fd, 1, 0) >= 0 && !(fd.revents & POLLERR);
}

/* ------- instead of libtcmu ------- */

static struct fake_uio *by_minor(unsigned minor)
{
	struct fake_uio *uio = NULL;

	pthread_mutex_lock(&table_lock);
	if (minor < FAKES_MAX)
		uio = table[minor];
	pthread_mutex_unlock(&table_lock);
	return uio;
}

/* Of a device that was opened. */
static struct fake_uio *of_device(const struct tcmu_uio *uio)
{
	struct fake_uio *fake = by_minor(uio->minor);

	if (!fake)
		abort();
	return fake;
}

/* Under the lock. */
static int make_pipe(struct fake_uio *uio)
{
	char path[32];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (uio->wake >= 0)
		close(uio->wake);
	if (uio->drain >= 0)
		close(uio->drain);
	(void) snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	uio->wake = ends[1];
	uio->drain = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (uio->drain < 0)
		abort();
	return ends[0];
}

int tcmu_uio_open(struct tcmu_uio *uio, unsigned minor)
{
	struct fake_uio *fake = by_minor(minor);
	int r;

	*uio = (struct tcmu_uio) TCMU_UIO_INIT;
	if (!fake)
		return -ENODEV;
	pthread_mutex_lock(&fake->lock);
	fake->counts.opens++;
	fake->counts.wrong += fake->open;
	r = fake->gone ? -ENODEV : fake->open ? -EBUSY : fake->options.open_error;
	if (r == 0)
		r = make_pipe(fake);
	if (r >= 0) {
		uio->fd = r;
		uio->minor = minor;
		fake->open = true;
		pthread_mutex_lock(&table_lock);
		fake->fd = r;
		pthread_mutex_unlock(&table_lock);
	}
	pthread_mutex_unlock(&fake->lock);
	return r < 0 ? r : 0;
}

int tcmu_uio_map(struct tcmu_uio *uio)
{
	struct fake_uio *fake = of_device(uio);
	size_t length = fake_ring_length(fake->ring);
	int r = 0;
	void *base;

	pthread_mutex_lock(&fake->lock);
	fake->counts.maps++;
	r = fake->gone ? -ENODEV : fake->options.map_error;
	pthread_mutex_unlock(&fake->lock);
	if (r < 0)
		return r;
	base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fake_ring_fd(fake->ring), 0);
	if (base == MAP_FAILED)
		return -errno;
	(void) madvise(base, length, MADV_DONTFORK);
	uio->base = base;
	uio->length = length;
	return 0;
}

int tcmu_uio_doorbell(struct tcmu_uio *uio)
{
	struct fake_uio *fake = of_device(uio);
	int r = 0;

	pthread_mutex_lock(&fake->lock);
	fake->counts.doorbells++;
	if (fake->gone)
		r = -ENODEV;
	else if (fake_ring_consume(fake->ring, fake->options.done, fake->options.userdata) < 0)
		fake->counts.broken++;
	pthread_mutex_unlock(&fake->lock);
	return r;
}

void tcmu_uio_unmap(struct tcmu_uio *uio)
{
	struct fake_uio *fake;

	if (!uio->base)
		return;
	fake = of_device(uio);
	munmap(uio->base, uio->length);
	uio->base = NULL;
	uio->length = 0;
	pthread_mutex_lock(&fake->lock);
	fake->counts.unmaps++;
	pthread_mutex_unlock(&fake->lock);
}

void tcmu_uio_close(struct tcmu_uio *uio)
{
	struct fake_uio *fake;

	if (uio->fd < 0)
		return;
	fake = of_device(uio);
	pthread_mutex_lock(&fake->lock);
	fake->counts.closes++;
	fake->counts.wrong += fake_uio_mappings(fake) != 0;
	fake->open = false;
	pthread_mutex_lock(&table_lock);
	fake->fd = fake->epoll_fd = -1;
	pthread_mutex_unlock(&table_lock);
	pthread_mutex_unlock(&fake->lock);
	close(uio->fd);
	uio->fd = -1;
}

static bool replace_fails(const struct tcmu_uio *uio)
{
	struct fake_uio *fake = of_device(uio);
	bool fails;

	pthread_mutex_lock(&fake->lock);
	fails = fake->options.replace_failures > 0;
	fake->options.replace_failures -= fails;
	pthread_mutex_unlock(&fake->lock);
	return fails;
}

int tcmu_uio_replace_inaccessible(struct tcmu_uio *uio)
{
	static int (*next)(struct tcmu_uio *);

	if (!next)
		next = (int (*)(struct tcmu_uio *)) dlsym(
			RTLD_NEXT, "tcmu_uio_replace_inaccessible");
	return replace_fails(uio) ? -ENOMEM : next(uio);
}

int tcmu_uio_replace_private(struct tcmu_uio *uio, const struct iovec *keep, size_t keep_cnt)
{
	static int (*next)(struct tcmu_uio *, const struct iovec *, size_t);

	if (!next)
		next = (int (*)(struct tcmu_uio *, const struct iovec *, size_t)) dlsym(
			RTLD_NEXT, "tcmu_uio_replace_private");
	return replace_fails(uio) ? -ENOMEM : next(uio, keep, keep_cnt);
}

static int act(struct fake_uio *fake, const char *action, unsigned value)
{
	bool block = strcmp(action, "block_dev") == 0;
	int r = !block  ? fake->options.reset_error
		: value ? fake->options.block_error
			: fake->options.unblock_error;

	if (r < 0)
		return r;
	if (block) {
		fake->blocked = value != 0;
		fake->counts.blocks += value != 0;
		fake->counts.unblocks += value == 0;
	} else if (!fake->blocked || fake->open) {
		fake->counts.wrong++;
	} else {
		fake_ring_reset(fake->ring);
		fake->counts.resets++;
	}
	return 0;
}

/* The name in configfs is the minor. */
int tcmu_configfs_action(const struct tcmu_name *name, const char *action, unsigned value)
{
	struct fake_uio *fake = by_minor((unsigned) strtoul(name->name, NULL, 10));
	int r;

	if (!fake)
		return -ENODEV;
	pthread_mutex_lock(&fake->lock);
	fake->held_actions++;
	pthread_cond_broadcast(&fake->changed);
	while (fake->hold_actions)
		pthread_cond_wait(&fake->changed, &fake->lock);
	fake->held_actions--;
	r = act(fake, action, value);
	pthread_mutex_unlock(&fake->lock);
	return r;
}

/* ------- before the C library ------- */

int epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	static int (*next)(int, int, int, struct epoll_event *);

	if (!next)
		next = (int (*)(int, int, int, struct epoll_event *)) dlsym(RTLD_NEXT, "epoll_ctl");
	pthread_mutex_lock(&table_lock);
	for (unsigned i = 0; i < FAKES_MAX && op == EPOLL_CTL_ADD; i++) {
		if (!table[i] || table[i]->fd != fd)
			continue;
		table[i]->epoll_fd = epoll_fd;
		table[i]->epoll_data = event->data.u64;
	}
	pthread_mutex_unlock(&table_lock);
	return next(epoll_fd, op, fd, event);
}

static void add_mask(int epoll_fd, struct epoll_event *event)
{
	pthread_mutex_lock(&table_lock);
	for (unsigned i = 0; i < FAKES_MAX; i++) {
		struct fake_uio *uio = table[i];

		if (!uio || uio->epoll_fd != epoll_fd || uio->epoll_data != event->data.u64 ||
		    !uio->poll_tells)
			continue;
		event->events = uio->options.kernel == FAKE_KERNEL_7_2
			? EPOLLERR
			: EPOLLIN | EPOLLERR | EPOLLHUP;
	}
	pthread_mutex_unlock(&table_lock);
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout)
{
	static int (*_Atomic next)(int, struct epoll_event *, int, int);
	int n;

	if (!next)
		next = (int (*)(int, struct epoll_event *, int, int)) dlsym(
			RTLD_NEXT, "epoll_wait");
	atomic_fetch_add(&epoll_waits, 1);
	atomic_fetch_add(&sleepers, 1);
	n = next(epoll_fd, events, max, timeout);
	atomic_fetch_sub(&sleepers, 1);
	for (int i = 0; i < n; i++)
		add_mask(epoll_fd, &events[i]);
	return n;
}
