/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything is under one mutex that is never held while work runs.
 *
 * Each thread owns a slot from its start until it has been joined. A thread that ends for want of
 * work is joined by the next one that ends, by the next one that takes its slot, or by
 * workers_free(): so at most one that has ended is kept. Once the pool is being freed, slots change
 * no more.
 *
 * One thread at a time is being woken. When it takes work and leaves more in the queue, it wakes
 * the next one before it runs the work. So no work waits behind a call that blocks, and calls that
 * do not block are made by the few threads that are awake: waking one for each call costs more than
 * such a call.
 */
#include "aio/workers.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"

#define IDLE_MS   10000u
#define NAME_SIZE 16

enum worker_state {
	WORKER_NONE,
	WORKER_ALIVE,
	WORKER_ENDED, /* to be joined */
};

struct worker {
	struct workers *pool;
	enum worker_state state;
	pthread_t thread;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned limit;
	unsigned alive;
	unsigned idle;   /* threads that wait, or were woken and have not yet taken work */
	unsigned queued; /* length of the queue */
	unsigned idle_ms;
	bool waking; /* a thread was woken or started and has not yet read the queue */
	bool ending;
	struct list queue;
	char name[NAME_SIZE];
	struct worker workers[];
};

/* Under the lock. NULL: there is no work. */
static struct work *workers_take(struct workers *pool)
{
	struct list_node *node = list_take(&pool->queue);

	if (!node)
		return NULL;
	assert(pool->queued > 0);
	pool->queued--;
	return container_of(node, struct work, node);
}

static void worker_set_deadline(unsigned ms, struct timespec *deadline)
{
	clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += ms / 1000;
	deadline->tv_nsec += (long) (ms % 1000 * CLOCK_NS_PER_MS);
	if (deadline->tv_nsec >= (long) CLOCK_NS_PER_SEC) {
		deadline->tv_sec++;
		deadline->tv_nsec -= (long) CLOCK_NS_PER_SEC;
	}
}

static void workers_wake(struct workers *pool);

/* Waits for work. NULL: the thread shall end. One idle thread always stays, also when all the
 * others are stuck. */
static struct work *worker_wait(struct workers *pool)
{
	struct timespec deadline;
	struct work *work;
	int r = 0;

	worker_set_deadline(pool->idle_ms, &deadline);
	pool->idle++;
	while (list_is_empty(&pool->queue) && !pool->ending &&
	       (r != ETIMEDOUT || pool->idle == 1)) {
		if (pool->idle == 1)
			r = pthread_cond_wait(&pool->wake, &pool->lock);
		else
			r = pthread_cond_timedwait(&pool->wake, &pool->lock, &deadline);
		pool->waking = false;
	}
	assert(pool->idle > 0);
	pool->idle--;
	work = workers_take(pool);
	workers_wake(pool);
	return work;
}

/* Takes the slot of a thread that has ended, for it to be joined outside of the lock. */
static bool worker_take_ended(struct workers *pool, pthread_t *thread)
{
	for (unsigned i = 0; i < pool->limit; i++) {
		if (pool->workers[i].state != WORKER_ENDED)
			continue;
		*thread = pool->workers[i].thread;
		pool->workers[i].state = WORKER_NONE;
		return true;
	}
	return false;
}

static void *worker_main(void *arg)
{
	struct worker *self = arg;
	struct workers *pool = self->pool;
	struct work *work;
	pthread_t ended;
	bool join = false;

	thread_set_name(pool->name);
	thread_set_io_flusher();
	pthread_mutex_lock(&pool->lock);
	pool->waking = false;
	while ((work = worker_wait(pool))) {
		pthread_mutex_unlock(&pool->lock);
		work->run(work);
		pthread_mutex_lock(&pool->lock);
	}
	if (!pool->ending) {
		join = worker_take_ended(pool, &ended);
		assert(self->state == WORKER_ALIVE && pool->alive > 0);
		self->state = WORKER_ENDED;
		pool->alive--;
	}
	pthread_mutex_unlock(&pool->lock);
	if (join)
		pthread_join(ended, NULL);
	return NULL;
}

/* Under the lock. There is a free slot. */
static int worker_start(struct workers *pool)
{
	struct worker *worker = pool->workers;
	int r;

	assert(pool->alive < pool->limit);
	while (worker->state == WORKER_ALIVE)
		worker++;
	if (worker->state == WORKER_ENDED) {
		/* It has given up the lock for good and is about to return. */
		pthread_join(worker->thread, NULL);
		worker->state = WORKER_NONE;
	}
	assert(worker < pool->workers + pool->limit && worker->state == WORKER_NONE);
	worker->pool = pool;
	r = thread_start(&worker->thread, worker_main, worker);
	if (r < 0)
		return r;
	worker->state = WORKER_ALIVE;
	pool->alive++;
	pool->waking = true;
	return 0;
}

/* Under the lock. Sees to it that a thread comes for the queue, if there is one. */
static void workers_wake(struct workers *pool)
{
	if (list_is_empty(&pool->queue) || pool->waking)
		return;
	if (pool->idle > 0) {
		pool->waking = true;
		pthread_cond_signal(&pool->wake);
	} else if (pool->alive < pool->limit) {
		(void) worker_start(pool);
	}
}

static void workers_init_wake(pthread_cond_t *wake)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

int workers_new(unsigned limit, const char *name, struct workers **workers)
{
	struct workers *pool;
	int r;

	if (limit == 0)
		return -EINVAL;
	pool = calloc(1, sizeof(*pool) + limit * sizeof(pool->workers[0]));
	if (!pool)
		return -ENOMEM;
	pool->limit = limit;
	pool->idle_ms = IDLE_MS;
	list_init(&pool->queue);
	(void) snprintf(pool->name, sizeof(pool->name), "%s", name);
	pthread_mutex_init(&pool->lock, NULL);
	workers_init_wake(&pool->wake);

	pthread_mutex_lock(&pool->lock);
	r = worker_start(pool);
	pthread_mutex_unlock(&pool->lock);
	if (r < 0) {
		workers_free(pool);
		return r;
	}
	*workers = pool;
	return 0;
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	pthread_mutex_lock(&workers->lock);
	assert(list_is_empty(&workers->queue) && workers->queued == 0 && !workers->ending);
	workers->ending = true;
	pthread_cond_broadcast(&workers->wake);
	pthread_mutex_unlock(&workers->lock);
	for (unsigned i = 0; i < workers->limit; i++)
		if (workers->workers[i].state != WORKER_NONE)
			pthread_join(workers->workers[i].thread, NULL);
	pthread_cond_destroy(&workers->wake);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
}

void workers_queue(struct workers *workers, struct work *work)
{
	pthread_mutex_lock(&workers->lock);
	assert(work->run && !workers->ending);
	list_append(&workers->queue, &work->node);
	workers->queued++;
	workers_wake(workers);
	pthread_mutex_unlock(&workers->lock);
}

int workers_cancel(struct workers *workers, struct work *work)
{
	int r = -EBUSY;

	pthread_mutex_lock(&workers->lock);
	list_for_each (node, &workers->queue) {
		if (node != &work->node)
			continue;
		assert(workers->queued > 0);
		list_remove(&workers->queue, node);
		workers->queued--;
		r = 0;
		break;
	}
	pthread_mutex_unlock(&workers->lock);
	return r;
}

void workers_set_idle_time(struct workers *workers, unsigned milliseconds)
{
	pthread_mutex_lock(&workers->lock);
	workers->idle_ms = milliseconds;
	pthread_mutex_unlock(&workers->lock);
}
