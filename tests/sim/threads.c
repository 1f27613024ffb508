/* SPDX-License-Identifier: Apache-2.0 */
/* See threads.h. */
#include "threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/thread.h"
#include "io/core.h"
#include "sim.h"

#define THREADS_MAX 512
#define STACK_SIZE  ((size_t) 256 * 1024)
#define STEPS_MAX   UINT64_C(20000000)
#define BEGIN_NS    (1000 * SIM_NS_PER_S)

enum thread_state {
	THREAD_READY,
	THREAD_BLOCKED,
	THREAD_ENDED,
};

struct sim_thread {
	ucontext_t context;
	void *stack;
	enum thread_state state;
	const void *key;
	uint64_t until;   /* BLOCKED: wakes then; 0: never */
	uint64_t stalled; /* READY: not before */
	bool timed_out;
	bool detached;
	void *(*main)(void *arg);
	void *arg;
	struct core *core; /* its core_current */
};

struct world_event {
	struct world_event *next;
	uint64_t time;
	void (*act)(void *arg);
	void *arg;
};

struct threads {
	uint64_t random;
	uint64_t now;
	uint64_t steps;
	ucontext_t scheduler;
	struct sim_thread *self;
	struct sim_thread *threads[THREADS_MAX];
	unsigned cnt;
	void *stacks[THREADS_MAX];
	unsigned stack_cnt;
	struct world_event *events; /* the earliest first */
};

struct sim *sim;

/* ------- chance ------- */

static uint64_t threads_random(void)
{
	uint64_t z = sim->threads->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned sim_choose(unsigned n)
{
	return (unsigned) (threads_random() % n);
}

bool sim_chance(unsigned n)
{
	return sim_choose(n) == 0;
}

uint64_t sim_now(void)
{
	return sim->threads->now;
}

uint64_t sim_steps(void)
{
	return sim->threads->steps;
}

/* ------- the verdict ------- */

void sim_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void) vsnprintf(sim->report->failure, sizeof(sim->report->failure), fmt, args);
	va_end(args);
	sim_trace("FAILED: %s", sim->report->failure);
	(void) fflush(stdout);
	_exit(2);
}

bool sim_tracing(void)
{
	return sim->tracing;
}

void sim_trace(const char *fmt, ...)
{
	va_list args;

	if (!sim->tracing)
		return;
	printf("%12.6f  ", (double) (sim_now() - BEGIN_NS) / 1e9);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

/* ------- threads ------- */

static void *threads_take_stack(void)
{
	struct threads *threads = sim->threads;
	void *stack;

	if (threads->stack_cnt)
		return threads->stacks[--threads->stack_cnt];
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED || mprotect(stack, 4096, PROT_NONE) < 0)
		abort();
	return stack;
}

static void threads_forget(struct sim_thread *thread)
{
	struct threads *threads = sim->threads;
	unsigned i = 0;

	while (threads->threads[i] != thread)
		i++;
	threads->threads[i] = threads->threads[--threads->cnt];
	threads->stacks[threads->stack_cnt++] = thread->stack;
	free(thread);
}

static void threads_switch_to_scheduler(void)
{
	struct sim_thread *thread = sim->threads->self;

	thread->core = core_current;
	swapcontext(&thread->context, &sim->threads->scheduler);
	core_current = thread->core;
}

static void threads_entry(void)
{
	struct sim_thread *thread = sim->threads->self;

	core_current = NULL;
	thread->main(thread->arg);
	thread->state = THREAD_ENDED;
	sim_wake(thread);
	threads_switch_to_scheduler();
	abort();
}

struct sim_thread *threads_spawn(void *(*main)(void *arg), void *arg, bool detached)
{
	struct threads *threads = sim->threads;
	struct sim_thread *thread = calloc(1, sizeof(*thread));

	if (!thread || threads->cnt == THREADS_MAX)
		abort();
	thread->main = main;
	thread->arg = arg;
	thread->detached = detached;
	thread->stack = threads_take_stack();
	getcontext(&thread->context);
	thread->context.uc_stack.ss_sp = thread->stack;
	thread->context.uc_stack.ss_size = STACK_SIZE;
	thread->context.uc_link = NULL;
	makecontext(&thread->context, threads_entry, 0);
	threads->threads[threads->cnt++] = thread;
	return thread;
}

struct sim_thread *threads_self(void)
{
	return sim->threads->self;
}

void threads_kill_all(void)
{
	struct threads *threads = sim->threads;

	if (threads->self)
		abort();
	while (threads->cnt)
		threads_forget(threads->threads[0]);
	core_current = NULL;
}

unsigned threads_count(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < sim->threads->cnt; i++)
		cnt += sim->threads->threads[i]->state != THREAD_ENDED;
	return cnt;
}

/* Sometimes the thread gets no CPU for a while. */
static void threads_stall(struct sim_thread *thread)
{
	uint64_t ns = 0;

	if (sim_chance(100))
		ns = sim_choose(200) * SIM_NS_PER_US;
	else if (sim_chance(1500))
		ns = sim_choose(30) * SIM_NS_PER_MS;
	if (ns)
		thread->stalled = sim_now() + ns;
}

void sim_yield(void)
{
	if (!sim->threads->self)
		return;
	threads_stall(sim->threads->self);
	threads_switch_to_scheduler();
}

void sim_preempt(void)
{
	if (sim->threads->self && sim_chance(6))
		sim_yield();
}

bool sim_block(const void *key, uint64_t until)
{
	struct sim_thread *thread = sim->threads->self;

	if (!thread)
		abort();
	thread->state = THREAD_BLOCKED;
	thread->key = key;
	thread->until = until;
	thread->timed_out = false;
	threads_switch_to_scheduler();
	return !thread->timed_out;
}

void sim_wake(const void *key)
{
	for (unsigned i = 0; i < sim->threads->cnt; i++) {
		struct sim_thread *thread = sim->threads->threads[i];

		if (thread->state == THREAD_BLOCKED && thread->key == key) {
			thread->state = THREAD_READY;
			threads_stall(thread);
		}
	}
}

void sim_sleep(uint64_t ns)
{
	uint64_t until = sim_now() + ns;

	while (sim_block(NULL, until))
		;
}

/* ------- the scheduler ------- */

void sim_at(uint64_t time, void (*act)(void *arg), void *arg)
{
	struct world_event *event = calloc(1, sizeof(*event));
	struct world_event **at = &sim->threads->events;

	if (!event)
		abort();
	*event = (struct world_event){.time = time, .act = act, .arg = arg};
	while (*at && (*at)->time <= time)
		at = &(*at)->next;
	event->next = *at;
	*at = event;
}

static void threads_run_event(void)
{
	struct world_event *event = sim->threads->events;

	sim->threads->events = event->next;
	event->act(event->arg);
	free(event);
}

static void threads_run_one(struct sim_thread *thread)
{
	struct threads *threads = sim->threads;

	threads->self = thread;
	swapcontext(&threads->scheduler, &thread->context);
	threads->self = NULL;
	core_current = NULL;
	if (thread->state == THREAD_ENDED && thread->detached)
		threads_forget(thread);
}

/* When something can happen next, if nothing can now. */
static uint64_t threads_next_time(void)
{
	const struct threads *threads = sim->threads;
	uint64_t next = threads->events ? threads->events->time : UINT64_MAX;

	for (unsigned i = 0; i < threads->cnt; i++) {
		const struct sim_thread *thread = threads->threads[i];
		uint64_t time = thread->state == THREAD_READY              ? thread->stalled
			: thread->state == THREAD_BLOCKED && thread->until ? thread->until
									   : UINT64_MAX;

		if (time < next)
			next = time;
	}
	return next;
}

/* Ends waits whose time has come. Returns the number of threads that can run, which are in ready.
 */
static unsigned threads_collect(struct sim_thread **ready)
{
	struct threads *threads = sim->threads;
	unsigned cnt = 0;

	for (unsigned i = 0; i < threads->cnt; i++) {
		struct sim_thread *thread = threads->threads[i];

		if (thread->state == THREAD_BLOCKED && thread->until &&
		    thread->until <= threads->now) {
			thread->state = THREAD_READY;
			thread->timed_out = true;
		}
		if (thread->state == THREAD_READY && thread->stalled <= threads->now)
			ready[cnt++] = thread;
	}
	return cnt;
}

bool sim_run(bool (*done)(void), uint64_t until)
{
	struct threads *threads = sim->threads;
	struct sim_thread *ready[THREADS_MAX];

	while (!done()) {
		unsigned cnt = threads_collect(ready);
		bool due = threads->events && threads->events->time <= threads->now;

		if (threads->now >= until)
			return false;
		if (++threads->steps > STEPS_MAX)
			sim_fail("it never comes to rest: a thread works without end");
		if (due && (!cnt || sim_chance(2))) {
			threads_run_event();
		} else if (cnt) {
			threads_run_one(ready[sim_choose(cnt)]);
			threads->now += 100 + (sim_chance(8) ? sim_choose(10000) : 0);
		} else {
			threads->now = threads_next_time();
			if (threads->now > until)
				threads->now = until;
		}
	}
	return true;
}

void threads_reset(uint64_t seed)
{
	if (!sim->threads)
		sim->threads = calloc(1, sizeof(*sim->threads));
	threads_kill_all();
	while (sim->threads->events) {
		struct world_event *event = sim->threads->events;

		sim->threads->events = event->next;
		free(event);
	}
	sim->threads->random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	sim->threads->now = BEGIN_NS;
	sim->threads->steps = 0;
}

/* ------- functions of the product and of the C library, replaced ------- */

int thread_start(pthread_t *thread, void *(*main)(void *arg), void *arg)
{
	struct sim_thread *self = threads_spawn(main, arg, !thread);

	sim_preempt();
	if (thread)
		*thread = (pthread_t) self;
	return 0;
}

void thread_set_name(const char *name)
{
	(void) name;
}

void thread_set_io_flusher(void)
{
}

unsigned thread_cpus(void)
{
	return 2;
}

void thread_set_cpu(pid_t tid, int cpu)
{
	(void) tid, (void) cpu;
}

int thread_raise(pid_t tid, bool raised)
{
	(void) tid, (void) raised;
	return 0;
}

/* The first word of a mutex says whether it is locked; that of a new one is 0. */
static unsigned *mutex_word(pthread_mutex_t *mutex)
{
	return (unsigned *) (void *) mutex;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(
	pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_pthread_join(pthread_t thread, void **result);
pthread_t __wrap_pthread_self(void);
int __wrap_sched_yield(void);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	sim_preempt();
	while (*mutex_word(mutex))
		sim_block(mutex, 0);
	*mutex_word(mutex) = 1;
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (!*mutex_word(mutex))
		sim_fail("a mutex is unlocked that nobody has locked");
	*mutex_word(mutex) = 0;
	sim_wake(mutex);
	sim_preempt();
	return 0;
}

int __wrap_pthread_cond_timedwait(
	pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	uint64_t time = until ? (uint64_t) until->tv_sec * SIM_NS_PER_S + (uint64_t) until->tv_nsec
			      : 0;
	bool woken;

	*mutex_word(mutex) = 0;
	sim_wake(mutex);
	woken = sim_block(cond, time);
	while (*mutex_word(mutex))
		sim_block(mutex, 0);
	*mutex_word(mutex) = 1;
	return woken ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	return __wrap_pthread_cond_timedwait(cond, mutex, NULL);
}

/* Wakes one; a second one only where the C library may do so, too. */
int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
	const struct threads *threads = sim->threads;
	unsigned first = threads->cnt ? sim_choose(threads->cnt) : 0;

	for (unsigned i = 0; i < threads->cnt; i++) {
		struct sim_thread *thread = threads->threads[(first + i) % threads->cnt];

		if (thread->state == THREAD_BLOCKED && thread->key == cond) {
			thread->state = THREAD_READY;
			break;
		}
	}
	sim_preempt();
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
	sim_wake(cond);
	sim_preempt();
	return 0;
}

int __wrap_pthread_join(pthread_t handle, void **result)
{
	struct sim_thread *thread = (struct sim_thread *) handle;

	(void) result;
	while (thread->state != THREAD_ENDED)
		sim_block(thread, 0);
	threads_forget(thread);
	return 0;
}

pthread_t __wrap_pthread_self(void)
{
	return (pthread_t) sim->threads->self;
}

int __wrap_sched_yield(void)
{
	sim_yield();
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	(void) clock;
	sim_preempt();
	sim->threads->now += 20;
	*time = (struct timespec){
		.tv_sec = (time_t) (sim_now() / SIM_NS_PER_S),
		.tv_nsec = (long) (sim_now() % SIM_NS_PER_S),
	};
	return 0;
}
