/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of this process change with what it does. */
#include "base/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/thread.h"

static struct process_figures figures_now(void)
{
	struct process_figures figures;

	process_get_figures(&figures);
	return figures;
}

static void descriptors_are_counted(void **state)
{
	uint64_t before = figures_now().open_fds;
	struct rlimit limit;
	int fds[3];

	(void) state;
	assert_true(before >= 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
	assert_int_equal(figures_now().open_fds, before + 3);
	for (unsigned i = 0; i < 3; i++)
		(void) close(fds[i]);
	assert_int_equal(figures_now().open_fds, before);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(figures_now().max_fds, limit.rlim_cur);
}

static void *wait_for_end(void *fd)
{
	char byte;

	(void) !read(*(int *) fd, &byte, 1);
	return NULL;
}

static pthread_t start_waiting(int ends[2])
{
	pthread_t thread;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(thread_start(&thread, wait_for_end, &ends[0]), 0);
	return thread;
}

static void end_waiting(pthread_t thread, const int ends[2])
{
	(void) close(ends[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void) close(ends[0]);
}

/* With the first thread, a sanitizer starts one, too. */
static void threads_are_counted(void **state)
{
	int ends[2][2];
	pthread_t first = start_waiting(ends[0]), second;
	uint64_t before = figures_now().threads;

	(void) state;
	second = start_waiting(ends[1]);
	assert_int_equal(figures_now().threads, before + 1);
	end_waiting(second, ends[1]);
	end_waiting(first, ends[0]);
}

static void memory_is_counted_when_it_is_touched(void **state)
{
	size_t size = 64 << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t before = figures_now().resident;

	(void) state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	memset(memory, 1, size);
	assert_true(figures_now().resident >= before + size / 2);
	(void) munmap(memory, size);
}

/* Also with a name that looks like more fields of /proc/self/stat. */
static void the_start_is_in_the_last_minute(void **state)
{
	double start;

	(void) state;
	assert_int_equal(prctl(PR_SET_NAME, "a) b 1 2 (c"), 0);
	start = process_start_time();
	assert_true(start <= (double) time(NULL) + 1);
	assert_true(start >= (double) time(NULL) - 60);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_start_is_in_the_last_minute),
		cmocka_unit_test(descriptors_are_counted),
		cmocka_unit_test(threads_are_counted),
		cmocka_unit_test(memory_is_counted_when_it_is_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
