/* SPDX-License-Identifier: Apache-2.0 */
/* See fds.h. */
#include "fds.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "event-loop.h"
#include "sim.h"
#include "threads.h"

#define FDS_FIRST   (1 << 20)
#define FDS_MAX     512
#define WATCHES_MAX 4

enum fd_kind {
	FD_CLOSED,
	FD_EVENT,
	FD_EPOLL,
	FD_KERNEL,
};

struct fd_watch {
	int fd; /* 0: none */
	bool edge;
	struct epoll_event event;
};

struct fd {
	enum fd_kind kind;
	uint64_t count;
	const struct fd_operations *operations;
	void *userdata;
	struct fd_watch watches[WATCHES_MAX];
};

struct fds {
	struct fd fds[FDS_MAX];
};

void fds_reset(void)
{
	if (!sim->fds)
		sim->fds = calloc(1, sizeof(*sim->fds));
	memset(sim->fds, 0, sizeof(*sim->fds));
}

unsigned fds_count(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < FDS_MAX; i++)
		cnt += sim->fds->fds[i].kind != FD_CLOSED;
	return cnt;
}

static struct fd *fds_at(int number)
{
	if (number < FDS_FIRST || number >= FDS_FIRST + FDS_MAX ||
	    sim->fds->fds[number - FDS_FIRST].kind == FD_CLOSED)
		sim_fail("descriptor %d is used and not open", number);
	return &sim->fds->fds[number - FDS_FIRST];
}

static bool fds_is_ours(int number)
{
	return number >= FDS_FIRST;
}

static int fds_take(enum fd_kind kind)
{
	for (int i = 0; i < FDS_MAX; i++) {
		if (sim->fds->fds[i].kind != FD_CLOSED)
			continue;
		sim->fds->fds[i] = (struct fd){.kind = kind};
		return FDS_FIRST + i;
	}
	sim_fail("too many descriptors are open");
}

int fds_open(const struct fd_operations *operations, void *userdata)
{
	int number = fds_take(FD_KERNEL);

	fds_at(number)->operations = operations;
	fds_at(number)->userdata = userdata;
	return number;
}

void fds_close(int number)
{
	struct fd *fd = fds_at(number);

	if (fd->kind == FD_KERNEL)
		fd->operations->closed(fd->userdata);
	fd->kind = FD_CLOSED;
	for (unsigned i = 0; i < FDS_MAX; i++)
		for (unsigned j = 0; j < WATCHES_MAX; j++)
			if (sim->fds->fds[i].watches[j].fd == number)
				sim->fds->fds[i].watches[j].fd = 0;
}

uint32_t fds_poll(int number)
{
	const struct fd *fd = fds_at(number);

	if (fd->kind == FD_EVENT)
		return fd->count ? EPOLLIN : 0;
	return fd->kind == FD_KERNEL ? fd->operations->poll(fd->userdata) : 0;
}

void fds_edge(int number)
{
	for (unsigned i = 0; i < FDS_MAX; i++) {
		struct fd *fd = &sim->fds->fds[i];

		for (unsigned j = 0; fd->kind == FD_EPOLL && j < WATCHES_MAX; j++) {
			if (fd->watches[j].fd != number)
				continue;
			fd->watches[j].edge = true;
			sim_wake(fd);
		}
	}
	sim_wake(fds_at(number));
	event_loop_wake();
}

/* ------- functions of the C library, replaced ------- */

int __real_close(int fd);
ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __real_write(int fd, const void *data, size_t size);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int epoll, int op, int number, struct epoll_event *event);
int __wrap_epoll_wait(int number, struct epoll_event *events, int max, int timeout);
int __wrap_ppoll(
	struct pollfd *fds, nfds_t cnt, const struct timespec *timeout, const sigset_t *mask);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

int __wrap_eventfd(unsigned count, int flags)
{
	int number = fds_take(FD_EVENT);

	(void) flags;
	fds_at(number)->count = count;
	return number;
}

int __wrap_epoll_create1(int flags)
{
	(void) flags;
	return fds_take(FD_EPOLL);
}

int __wrap_epoll_ctl(int epoll, int op, int number, struct epoll_event *event)
{
	struct fd *fd = fds_at(epoll);

	for (unsigned i = 0; i < WATCHES_MAX; i++) {
		struct fd_watch *watch = &fd->watches[i];

		if (watch->fd != (op == EPOLL_CTL_ADD ? 0 : number))
			continue;
		*watch = (struct fd_watch){.fd = op == EPOLL_CTL_DEL ? 0 : number};
		if (op != EPOLL_CTL_DEL) {
			watch->event = *event;
			watch->edge = fds_poll(number) != 0;
		}
		return 0;
	}
	sim_fail("epoll watches too many descriptors");
}

static int fds_collect(struct fd *fd, struct epoll_event *events, int max)
{
	int n = 0;

	for (unsigned i = 0; i < WATCHES_MAX && n < max; i++) {
		struct fd_watch *watch = &fd->watches[i];
		uint32_t mask;

		if (!watch->fd || !watch->edge)
			continue;
		watch->edge = false;
		mask = fds_poll(watch->fd) & (watch->event.events | EPOLLERR | EPOLLHUP);
		if (!mask)
			continue;
		events[n] = watch->event;
		events[n++].events = mask;
	}
	return n;
}

int __wrap_epoll_wait(int number, struct epoll_event *events, int max, int timeout)
{
	struct fd *fd = fds_at(number);
	uint64_t until = timeout < 0 ? 0 : sim_now() + (uint64_t) timeout * SIM_NS_PER_MS;
	int n;

	sim_preempt();
	while (!(n = fds_collect(fd, events, max))) {
		if (timeout == 0 || (until && sim_now() >= until))
			return 0;
		(void) sim_block(fd, until);
	}
	return n;
}

int __wrap_ppoll(
	struct pollfd *fds, nfds_t cnt, const struct timespec *timeout, const sigset_t *mask)
{
	uint64_t until = sim_now() + (uint64_t) timeout->tv_sec * SIM_NS_PER_S +
		(uint64_t) timeout->tv_nsec;

	(void) cnt, (void) mask;
	sim_preempt();
	while (!(fds->revents = (short) (fds_poll(fds->fd) & POLLIN))) {
		if (sim_now() >= until)
			return 0;
		(void) sim_block(fds_at(fds->fd), until);
	}
	return 1;
}

int __wrap_close(int fd)
{
	if (!fds_is_ours(fd))
		return __real_close(fd);
	fds_close(fd);
	sim_preempt();
	return 0;
}

ssize_t __wrap_read(int number, void *data, size_t size)
{
	struct fd *fd;

	if (!fds_is_ours(number))
		return __real_read(number, data, size);
	fd = fds_at(number);
	sim_preempt();
	if (!fd->count) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(data, &fd->count, size);
	fd->count = 0;
	return (ssize_t) size;
}

ssize_t __wrap_write(int number, const void *data, size_t size)
{
	uint64_t count;

	if (!fds_is_ours(number))
		return __real_write(number, data, size);
	sim_preempt();
	memcpy(&count, data, sizeof(count));
	fds_at(number)->count += count;
	fds_edge(number);
	sim_preempt();
	return (ssize_t) size;
}
