/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of workers: how many tasks run at once, in which order, and when threads start and end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "aio/workers.h"

#define LIMIT 4u

static atomic_bool refuse_threads;
static atomic_bool hold_threads; /* those that are made wait for a post */
static atomic_uint threads_made;
static sem_t released;

int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

struct held_thread {
	void *(*start)(void *);
	void *arg;
};

static void *held_thread_main(void *arg)
{
	struct held_thread held = *(struct held_thread *) arg;

	free(arg);
	sem_wait(&released);
	return held.start(held.arg);
}

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	struct held_thread *held;

	if (atomic_load(&refuse_threads))
		return EAGAIN;
	atomic_fetch_add(&threads_made, 1);
	if (!atomic_load(&hold_threads))
		return __real_pthread_create(thread, attr, start, arg);
	held = malloc(sizeof(*held));
	assert_non_null(held);
	*held = (struct held_thread){.start = start, .arg = arg};
	return __real_pthread_create(thread, attr, held_thread_main, held);
}

/* A task that reports its start and its end, and may be held. */
struct task {
	struct work work;
	sem_t begun;
	sem_t hold;
	sem_t ended;
	bool held;
	unsigned position;
	char name[16];
	sigset_t blocked;
	int io_flusher;
};

static atomic_uint order_counter;
static atomic_uint threads_seen;
static sem_t thread_gone;
static pthread_key_t per_thread;

static void on_thread_end(void *value)
{
	(void) value;
	sem_post(&thread_gone);
}

static void run_task(struct work *work)
{
	struct task *task = (struct task *) work;

	if (!pthread_getspecific(per_thread)) {
		pthread_setspecific(per_thread, task);
		atomic_fetch_add(&threads_seen, 1);
	}
	task->position = atomic_fetch_add(&order_counter, 1);
	prctl(PR_GET_NAME, task->name, 0, 0, 0);
	pthread_sigmask(SIG_BLOCK, NULL, &task->blocked);
	task->io_flusher = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);
	sem_post(&task->begun);
	if (task->held)
		sem_wait(&task->hold);
	sem_post(&task->ended);
}

static void init_task(struct task *task, bool held)
{
	memset(task, 0, sizeof(*task));
	task->work.run = run_task;
	task->held = held;
	sem_init(&task->begun, 0, 0);
	sem_init(&task->hold, 0, 0);
	sem_init(&task->ended, 0, 0);
}

static int workers_setup(void **state)
{
	(void) state;
	atomic_store(&order_counter, 0);
	atomic_store(&threads_seen, 0);
	atomic_store(&refuse_threads, false);
	atomic_store(&hold_threads, false);
	atomic_store(&threads_made, 0);
	sem_init(&released, 0, 0);
	sem_init(&thread_gone, 0, 0);
	return pthread_key_create(&per_thread, on_thread_end);
}

static int workers_teardown(void **state)
{
	(void) state;
	return pthread_key_delete(per_thread);
}

static struct workers *new_pool(unsigned limit)
{
	struct workers *workers = NULL;

	assert_int_equal(workers_new(limit, "a-name-longer-than-15", &workers), 0);
	return workers;
}

/* Starts LIMIT tasks that run at once, so that there are LIMIT threads. */
static void occupy_threads(struct workers *workers, struct task tasks[LIMIT])
{
	for (unsigned i = 0; i < LIMIT; i++) {
		init_task(&tasks[i], true);
		workers_queue(workers, &tasks[i].work);
	}
	for (unsigned i = 0; i < LIMIT; i++)
		sem_wait(&tasks[i].begun);
}

static void release_tasks(struct task *tasks, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		sem_post(&tasks[i].hold);
	for (unsigned i = 0; i < cnt; i++)
		sem_wait(&tasks[i].ended);
}

static void a_worker_has_the_pools_name_and_takes_no_signal(void **state)
{
	struct workers *workers = new_pool(1);
	struct task task;

	(void) state;
	init_task(&task, false);
	workers_queue(workers, &task.work);
	sem_wait(&task.ended);
	assert_string_equal(task.name, "a-name-longer-t");
	assert_int_equal(sigismember(&task.blocked, SIGTERM), 1);
	assert_int_equal(sigismember(&task.blocked, SIGCHLD), 1);
	assert_int_equal(sigismember(&task.blocked, SIGRTMIN), 1);
	workers_free(workers);
}

static void a_worker_is_an_io_flusher_if_permitted(void **state)
{
	bool permitted = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
	struct workers *workers;
	struct task task;

	(void) state;
	/* Threads inherit the flag: it must not come from this thread. */
	if (permitted)
		assert_int_equal(prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0), 0);
	workers = new_pool(1);
	init_task(&task, false);
	workers_queue(workers, &task.work);
	sem_wait(&task.ended);
	assert_int_equal(task.io_flusher, permitted ? 1 : -1);
	workers_free(workers);
}

static void no_more_tasks_than_the_limit_run_at_once(void **state)
{
	struct workers *workers = new_pool(LIMIT);
	struct task tasks[LIMIT], one_more;

	(void) state;
	occupy_threads(workers, tasks);
	init_task(&one_more, false);
	workers_queue(workers, &one_more.work);
	assert_int_equal(sem_trywait(&one_more.begun), -1);
	release_tasks(tasks, 1);
	sem_wait(&one_more.ended);
	assert_int_equal(one_more.position, LIMIT);
	release_tasks(tasks + 1, LIMIT - 1);
	assert_int_equal(atomic_load(&threads_seen), LIMIT);
	workers_free(workers);
}

static void one_thread_keeps_the_order(void **state)
{
	struct workers *workers = new_pool(1);
	struct task tasks[50];

	(void) state;
	for (unsigned i = 0; i < 50; i++) {
		init_task(&tasks[i], i == 0);
		workers_queue(workers, &tasks[i].work);
	}
	sem_post(&tasks[0].hold);
	for (unsigned i = 0; i < 50; i++) {
		sem_wait(&tasks[i].ended);
		assert_int_equal(tasks[i].position, i);
	}
	workers_free(workers);
}

static void stuck_work_delays_no_other(void **state)
{
	struct workers *workers = new_pool(2);
	struct task stuck, other;

	(void) state;
	init_task(&stuck, true);
	workers_queue(workers, &stuck.work);
	sem_wait(&stuck.begun);
	for (unsigned i = 0; i < 10; i++) {
		init_task(&other, false);
		workers_queue(workers, &other.work);
		sem_wait(&other.ended);
		assert_int_equal(other.position, i + 1);
	}
	assert_int_equal(sem_trywait(&stuck.ended), -1);
	release_tasks(&stuck, 1);
	workers_free(workers);
}

/* A thread that comes takes more than one task, if they do not block. So a burst wakes one thread,
 * and that one wakes the next if the burst goes on. */
static void a_burst_wakes_one_thread_after_the_other(void **state)
{
	struct task tasks[LIMIT];
	struct workers *workers;

	(void) state;
	atomic_store(&hold_threads, true);
	workers = new_pool(LIMIT);
	for (unsigned i = 0; i < LIMIT; i++) {
		init_task(&tasks[i], true);
		workers_queue(workers, &tasks[i].work);
	}
	assert_int_equal(atomic_load(&threads_made), 1);
	for (unsigned i = 0; i < LIMIT; i++) {
		assert_int_equal(atomic_load(&threads_made), i + 1);
		sem_post(&released);
		sem_wait(&tasks[i].begun);
		/* The next thread was made before this task began. */
	}
	assert_int_equal(atomic_load(&threads_made), LIMIT);
	release_tasks(tasks, LIMIT);
	workers_free(workers);
}

static void cancelled_work_does_not_run(void **state)
{
	struct workers *workers = new_pool(1);
	struct task running, first, second, third;

	(void) state;
	init_task(&running, true);
	init_task(&first, false);
	init_task(&second, false);
	init_task(&third, false);
	workers_queue(workers, &running.work);
	sem_wait(&running.begun);
	workers_queue(workers, &first.work);
	workers_queue(workers, &second.work);
	assert_int_equal(workers_cancel(workers, &running.work), -EBUSY);
	assert_int_equal(workers_cancel(workers, &second.work), 0);
	assert_int_equal(workers_cancel(workers, &second.work), -EBUSY);
	/* The queue's end is intact after a cancellation. */
	workers_queue(workers, &third.work);
	release_tasks(&running, 1);
	sem_wait(&first.ended);
	sem_wait(&third.ended);
	assert_int_equal(workers_cancel(workers, &third.work), -EBUSY);
	assert_int_equal(sem_trywait(&second.begun), -1);
	workers_free(workers);
}

static void all_idle_threads_but_one_end(void **state)
{
	struct workers *workers = new_pool(LIMIT);
	struct task tasks[LIMIT], task;

	(void) state;
	workers_set_idle_time(workers, 1);
	for (unsigned round = 0; round < 3; round++) {
		unsigned before = atomic_load(&threads_seen);

		occupy_threads(workers, tasks);
		assert_int_equal(atomic_load(&threads_seen), before + LIMIT - (round > 0));
		release_tasks(tasks, LIMIT);
		for (unsigned i = 0; i < LIMIT - 1; i++)
			sem_wait(&thread_gone);
	}
	/* The last thread exists and works. */
	atomic_store(&refuse_threads, true);
	init_task(&task, false);
	workers_queue(workers, &task.work);
	sem_wait(&task.ended);
	workers_free(workers);
}

static void idle_threads_end_while_one_is_stuck(void **state)
{
	struct workers *workers = new_pool(LIMIT);
	struct task tasks[LIMIT], task;

	(void) state;
	workers_set_idle_time(workers, 1);
	occupy_threads(workers, tasks);
	release_tasks(tasks + 1, LIMIT - 1);
	for (unsigned i = 0; i < LIMIT - 2; i++)
		sem_wait(&thread_gone);
	atomic_store(&refuse_threads, true);
	init_task(&task, false);
	workers_queue(workers, &task.work);
	sem_wait(&task.ended);
	assert_int_equal(task.position, LIMIT);
	release_tasks(tasks, 1);
	workers_free(workers);
}

static void freeing_waits_for_every_thread(void **state)
{
	struct workers *workers = new_pool(LIMIT);
	struct task tasks[LIMIT];

	(void) state;
	occupy_threads(workers, tasks);
	release_tasks(tasks, LIMIT);
	workers_free(workers);
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(sem_trywait(&thread_gone), 0);
	workers_free(NULL);
}

static void a_pool_without_threads_is_refused(void **state)
{
	struct workers *workers = NULL;

	(void) state;
	atomic_store(&refuse_threads, true);
	assert_int_equal(workers_new(LIMIT, "pool", &workers), -EAGAIN);
	assert_int_equal(workers_new(0, "pool", &workers), -EINVAL);
	assert_null(workers);
}

static void without_new_threads_work_waits_for_existing_ones(void **state)
{
	struct workers *workers = new_pool(LIMIT);
	struct task stuck, waiting;

	(void) state;
	init_task(&stuck, true);
	init_task(&waiting, false);
	workers_queue(workers, &stuck.work);
	sem_wait(&stuck.begun);
	atomic_store(&refuse_threads, true);
	workers_queue(workers, &waiting.work);
	release_tasks(&stuck, 1);
	sem_wait(&waiting.ended);
	assert_int_equal(waiting.position, 1);
	workers_free(workers);
}

/* ------- many senders ------- */

#define SENDERS 4u
#define EACH    5000u

struct sender {
	struct workers *workers;
	struct work works[EACH];
};

static atomic_uint runs;
static sem_t all_run;

static void count_run(struct work *work)
{
	(void) work;
	if (atomic_fetch_add(&runs, 1) + 1 == SENDERS * EACH)
		sem_post(&all_run);
}

static void *sender_main(void *arg)
{
	struct sender *sender = arg;

	for (unsigned i = 0; i < EACH; i++) {
		sender->works[i].run = count_run;
		workers_queue(sender->workers, &sender->works[i]);
	}
	return NULL;
}

static void concurrently_queued_work_runs_once(void **state)
{
	struct sender *senders = calloc(SENDERS, sizeof(*senders));
	struct workers *workers = new_pool(LIMIT);
	pthread_t threads[SENDERS];

	(void) state;
	assert_non_null(senders);
	workers_set_idle_time(workers, 0);
	atomic_store(&runs, 0);
	sem_init(&all_run, 0, 0);
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i].workers = workers;
		assert_int_equal(pthread_create(&threads[i], NULL, sender_main, &senders[i]), 0);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	sem_wait(&all_run);
	workers_free(workers);
	assert_int_equal(atomic_load(&runs), SENDERS * EACH);
	free(senders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_has_the_pools_name_and_takes_no_signal),
		cmocka_unit_test(a_worker_is_an_io_flusher_if_permitted),
		cmocka_unit_test(no_more_tasks_than_the_limit_run_at_once),
		cmocka_unit_test(one_thread_keeps_the_order),
		cmocka_unit_test(stuck_work_delays_no_other),
		cmocka_unit_test(a_burst_wakes_one_thread_after_the_other),
		cmocka_unit_test(cancelled_work_does_not_run),
		cmocka_unit_test(all_idle_threads_but_one_end),
		cmocka_unit_test(idle_threads_end_while_one_is_stuck),
		cmocka_unit_test(freeing_waits_for_every_thread),
		cmocka_unit_test(a_pool_without_threads_is_refused),
		cmocka_unit_test(without_new_threads_work_waits_for_existing_ones),
		cmocka_unit_test(concurrently_queued_work_runs_once),
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		((struct CMUnitTest *) tests)[i].setup_func = workers_setup;
		((struct CMUnitTest *) tests)[i].teardown_func = workers_teardown;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
