/* SPDX-License-Identifier: Apache-2.0 */
/* A thread can be pinned to one CPU and released, and its priority raised and lowered; threads that
 * it starts are neither pinned nor raised. */
#include "base/thread.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

/* In a separate process, because nothing of it can be undone. Returns what the function returns. */
static int in_a_process(int (*function)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(function());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool forbid_call(unsigned number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int cpus_where_pinning_is_forbidden(void)
{
	return forbid_call(SYS_sched_setaffinity) ? (int) thread_cpus() : 99;
}

static void a_sandbox_that_forbids_affinity_has_no_cpus(void **state)
{
	(void) state;
	assert_int_equal(in_a_process(cpus_where_pinning_is_forbidden), 0);
}

/* ------- priorities ------- */

static int nice_of(pid_t tid)
{
	return getpriority(PRIO_PROCESS, (id_t) tid);
}

static void *read_nice(void *nice)
{
	*(int *) nice = nice_of(gettid());
	return NULL;
}

/* On a separate thread: the main thread is never raised. *result: of thread_raise(). */
static void *raise_and_lower(void *result)
{
	int *r = result;
	int usual = nice_of(getpid()), started = 99;
	pthread_t thread;

	*r = thread_raise(0, true);
	if (*r < 0)
		return NULL;
	assert_int_equal(nice_of(gettid()), -20);
	assert_int_equal(nice_of(getpid()), usual);
	assert_int_equal(thread_start(&thread, read_nice, &started), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(started, 0); /* the kernel does not know the usual one */
	assert_int_equal(thread_raise(gettid(), false), 0);
	assert_int_equal(nice_of(gettid()), usual);
	return NULL;
}

/* errno; 0: it could be raised. */
static int raise_in_a_thread(void)
{
	int r = -99;
	pthread_t thread;

	assert_int_equal(thread_start(&thread, raise_and_lower, &r), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return -r;
}

static int raise_in_a_sandbox(void)
{
	return forbid_call(SYS_sched_setattr) ? raise_in_a_thread() : 99;
}

/* As another user, who has no capability. limit: as LimitNICE= of the service sets it. */
static int raise_as_nobody(rlim_t limit)
{
	const struct rlimit both = {limit, limit};

	return setrlimit(RLIMIT_NICE, &both) == 0 && setuid(65534) == 0 ? raise_in_a_thread() : 99;
}

static int raise_without_permission(void)
{
	return raise_as_nobody(0);
}

static int raise_with_a_limit(void)
{
	return raise_as_nobody(40);
}

static int raise_with_another_policy(void)
{
	const struct sched_param none = {0};

	return sched_setscheduler(0, SCHED_BATCH, &none) == 0 ? raise_in_a_thread() : 99;
}

static int raise_what_is_raised(void)
{
	return setpriority(PRIO_PROCESS, 0, -20) == 0 ? raise_in_a_thread() : 99;
}

/* Whether the process has a capability, by its number. */
static bool is_capable(unsigned capability)
{
	unsigned long long capabilities = 0;
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		(void) sscanf(line, "CapEff: %llx", &capabilities);
	(void) fclose(file);
	return capabilities >> capability & 1;
}

static void a_thread_is_raised_where_that_is_permitted(void **state)
{
	(void) state;
	assert_int_equal(in_a_process(raise_in_a_sandbox), EPERM);
	assert_int_equal(in_a_process(raise_with_another_policy), ENOTSUP);
	if (is_capable(CAP_SETUID))
		assert_int_equal(in_a_process(raise_without_permission), EPERM);
	if (is_capable(CAP_SETUID) && is_capable(CAP_SYS_RESOURCE))
		assert_int_equal(in_a_process(raise_with_a_limit), 0);
	if (is_capable(CAP_SYS_NICE)) {
		assert_int_equal(in_a_process(raise_in_a_thread), 0);
		assert_int_equal(in_a_process(raise_what_is_raised), EALREADY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_is_pinned_to_a_cpu),
		cmocka_unit_test(another_thread_can_release_it),
		cmocka_unit_test(a_sandbox_that_forbids_affinity_has_no_cpus),
		cmocka_unit_test(a_thread_is_raised_where_that_is_permitted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
