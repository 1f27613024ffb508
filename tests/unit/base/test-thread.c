/* SPDX-License-Identifier: Apache-2.0 */
/* A thread can be put on one processor and let go; those that it starts are not put there. */
#include "base/thread.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned allowed(pid_t tid)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(tid, sizeof(set), &set), 0);
	return (unsigned) CPU_COUNT(&set);
}

static void *count_allowed(void *count)
{
	*(unsigned *) count = allowed(0);
	return NULL;
}

static unsigned allowed_in_a_new_thread(void)
{
	unsigned count = 0;
	pthread_t thread;

	assert_int_equal(thread_start(&thread, count_allowed, &count), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return count;
}

/* What is put anywhere is never the main thread. */
static void *be_put_everywhere(void *ignored)
{
	unsigned places = thread_cpus();

	for (unsigned place = 0; place < places; place++) {
		thread_set_cpu(0, (int) place);
		assert_int_equal(allowed(0), 1);
		assert_int_equal(allowed_in_a_new_thread(), places);
	}
	/* It had to leave before it could start one. */
	assert_int_equal(allowed(0), places);
	/* One that has gone away. */
	thread_set_cpu(0, (int) places);
	assert_int_equal(allowed(0), places);
	return ignored;
}

static void a_thread_is_put_on_a_processor(void **state)
{
	pthread_t thread;

	(void) state;
	assert_int_equal(thread_cpus(), allowed(0));
	assert_int_equal(thread_start(&thread, be_put_everywhere, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

struct placed {
	pthread_barrier_t begin, end;
	pid_t tid;
	unsigned allowed;
};

static void *be_put_on_the_first(void *arg)
{
	struct placed *placed = arg;

	placed->tid = gettid();
	thread_set_cpu(0, 0);
	pthread_barrier_wait(&placed->begin);
	pthread_barrier_wait(&placed->end);
	placed->allowed = allowed(0);
	return NULL;
}

static void another_takes_it_from_there(void **state)
{
	struct placed placed = {0};
	pthread_t thread;

	(void) state;
	pthread_barrier_init(&placed.begin, NULL, 2);
	pthread_barrier_init(&placed.end, NULL, 2);
	assert_int_equal(thread_start(&thread, be_put_on_the_first, &placed), 0);
	pthread_barrier_wait(&placed.begin);
	assert_int_equal(allowed(placed.tid), 1);
	thread_set_cpu(placed.tid, -1);
	pthread_barrier_wait(&placed.end);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(placed.allowed, thread_cpus());
	pthread_barrier_destroy(&placed.begin);
	pthread_barrier_destroy(&placed.end);
}

/* In a process of its own: a filter cannot be taken away. */
static unsigned places_where_it_is_forbidden(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return 99;
	return thread_cpus();
}

static void where_it_is_forbidden_there_is_no_place(void **state)
{
	pid_t child = fork();
	int status;

	(void) state;
	if (child == 0)
		_exit((int) places_where_it_is_forbidden());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_is_put_on_a_processor),
		cmocka_unit_test(another_takes_it_from_there),
		cmocka_unit_test(where_it_is_forbidden_there_is_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
