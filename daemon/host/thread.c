/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread announces its sleep before it checks for work a last time, and others check for a
 * sleeper after they have left work. So no work waits for a sleeper.
 */
#include "host/thread.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "base/thread.h"
#include "host/faults.h"
#include "host/request.h"
#include "host/wake.h"

#define DEPTH            256u
#define WORKERS_PARALLEL 16u
#define MS_MAX           10000u

/* Returns how much was done. */
static unsigned host_thread_iterate(struct tcmu_disk *disk)
{
	struct mpsc_node *node = mpsc_take_all(&disk->inbox);
	unsigned cnt = 0;

	assert(host_thread_is_current(disk));
	for (; node; cnt++) {
		struct host_message *message = container_of(node, struct host_message, node);

		node = node->next;
		message->run(message);
	}
	cnt += host_faults_run(disk);
	if (disk->engine) {
		aio_flush(disk->engine);
		cnt += aio_reap(disk->engine);
	}
	return cnt + host_request_run_completed(disk);
}

static int host_thread_patience(const struct tcmu_disk *disk)
{
	uint64_t due = host_faults_due(disk), now;

	if (!due)
		return -1;
	now = clock_now_ns();
	if (due <= now)
		return 0;
	due = (due - now) / CLOCK_NS_PER_MS + 1;
	return (int) (due < MS_MAX ? due : MS_MAX);
}

static bool host_thread_has_work(const struct tcmu_disk *disk)
{
	return !mpsc_is_empty(&disk->inbox) || !mpsc_is_empty(&disk->completed) ||
		!list_is_empty(&disk->ended) || atomic_load(&disk->stop) ||
		(disk->engine && aio_ready(disk->engine));
}

static void host_thread_sleep(struct tcmu_disk *disk)
{
	struct pollfd fds[2] = {
		{.fd = disk->wake_fd, .events = POLLIN},
		{.fd = disk->engine ? aio_engine_fd(disk->engine) : -1, .events = POLLIN}};
	eventfd_t value;

	assert(host_thread_is_current(disk));
	atomic_store(&disk->asleep, true);
	if (!host_thread_has_work(disk))
		(void) poll(fds, 2, host_thread_patience(disk));
	if (!atomic_exchange(&disk->asleep, false))
		(void) eventfd_read(disk->wake_fd, &value);
}

static void *host_thread_main(void *arg)
{
	struct tcmu_disk *disk = arg;
	char name[16];

	host_wake_begin(disk);
	(void) snprintf(name, sizeof(name), "io-%.12s", disk->handler->subtype);
	thread_set_name(name);
	while (!atomic_load(&disk->stop))
		if (host_thread_iterate(disk) == 0)
			host_thread_sleep(disk);
	assert(mpsc_is_empty(&disk->inbox) && mpsc_is_empty(&disk->completed));
	return NULL;
}

int host_thread_start(struct tcmu_disk *disk)
{
	const struct tcmu_handler *handler = disk->handler;
	unsigned limit = handler->workers ? handler->workers : WORKERS_PARALLEL;
	int r;

	assert(!disk->thread && handler->threading <= TCMU_HANDLER_PARALLEL);
	disk->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (disk->wake_fd < 0)
		return -errno;
	if (handler->threading == TCMU_HANDLER_ASYNC)
		r = aio_engine_new(
			disk->setup.threads_only ? AIO_THREADS : AIO_AUTO, DEPTH, handler->subtype,
			&disk->engine);
	else
		r = workers_new(
			handler->threading == TCMU_HANDLER_SERIAL ? 1 : limit, handler->subtype,
			&disk->workers);
	return r < 0 ? r : thread_start(&disk->thread, host_thread_main, disk);
}

void host_thread_end(struct tcmu_disk *disk)
{
	if (disk->thread) {
		atomic_store(&disk->stop, true);
		host_thread_wake(disk);
		pthread_join(disk->thread, NULL);
		disk->thread = 0;
	}
	aio_engine_free(disk->engine);
	disk->engine = NULL;
	workers_free(disk->workers);
	disk->workers = NULL;
	if (disk->wake_fd >= 0)
		(void) close(disk->wake_fd);
	disk->wake_fd = -1;
}
