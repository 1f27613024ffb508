/* SPDX-License-Identifier: Apache-2.0 */
/* A thread can be pinned to one CPU and released; threads that it starts are not pinned. */
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

static unsigned allowed_cpus(pid_t tid)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(tid, sizeof(set), &set), 0);
	return (unsigned) CPU_COUNT(&set);
}

static void *count_allowed(void *count)
{
	*(unsigned *) count = allowed_cpus(0);
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

/* On a separate thread: the main thread is never pinned. */
static void *pin_to_each_cpu(void *ignored)
{
	unsigned cpus = thread_cpus();

	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		thread_set_cpu(0, (int) cpu);
		assert_int_equal(allowed_cpus(0), 1);
		assert_int_equal(allowed_in_a_new_thread(), cpus);
	}
	/* It was released before it started the other thread. */
	assert_int_equal(allowed_cpus(0), cpus);
	/* A CPU that does not exist. */
	thread_set_cpu(0, (int) cpus);
	assert_int_equal(allowed_cpus(0), cpus);
	return ignored;
}

static void a_thread_is_pinned_to_a_cpu(void **state)
{
	pthread_t thread;

	(void) state;
	assert_int_equal(thread_cpus(), allowed_cpus(0));
	assert_int_equal(thread_start(&thread, pin_to_each_cpu, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

struct pinned {
	pthread_barrier_t begin, end;
	pid_t tid;
	unsigned allowed;
};

static void *pin_to_the_first_cpu(void *arg)
{
	struct pinned *pinned = arg;

	pinned->tid = gettid();
	thread_set_cpu(0, 0);
	pthread_barrier_wait(&pinned->begin);
	pthread_barrier_wait(&pinned->end);
	pinned->allowed = allowed_cpus(0);
	return NULL;
}

static void another_thread_can_release_it(void **state)
{
	struct pinned pinned = {0};
	pthread_t thread;

	(void) state;
	pthread_barrier_init(&pinned.begin, NULL, 2);
	pthread_barrier_init(&pinned.end, NULL, 2);
	assert_int_equal(thread_start(&thread, pin_to_the_first_cpu, &pinned), 0);
	pthread_barrier_wait(&pinned.begin);
	assert_int_equal(allowed_cpus(pinned.tid), 1);
	thread_set_cpu(pinned.tid, -1);
	pthread_barrier_wait(&pinned.end);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pinned.allowed, thread_cpus());
	pthread_barrier_destroy(&pinned.begin);
	pthread_barrier_destroy(&pinned.end);
}

/* In a separate process: a seccomp filter cannot be removed. */
static unsigned cpus_where_pinning_is_forbidden(void)
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

static void a_sandbox_that_forbids_affinity_has_no_cpus(void **state)
{
	pid_t child = fork();
	int status;

	(void) state;
	if (child == 0)
		_exit((int) cpus_where_pinning_is_forbidden());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_is_pinned_to_a_cpu),
		cmocka_unit_test(another_thread_can_release_it),
		cmocka_unit_test(a_sandbox_that_forbids_affinity_has_no_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
