/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs and the event loop's mailbox: each post arrives once, in order, on the event loop; a hanging
 * job delays no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/jobs.h"

static atomic_bool refuse_threads;

int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	if (atomic_load(&refuse_threads))
		return EAGAIN;
	return __real_pthread_create(thread, attr, start, arg);
}

static sd_event *event;
static struct mailbox *mailbox;
static pthread_t main_thread;

static int setup(void **state)
{
	(void) state;
	atomic_store(&refuse_threads, false);
	main_thread = pthread_self();
	return sd_event_new(&event) < 0 || mailbox_new(event, 0, &mailbox) < 0;
}

static int teardown(void **state)
{
	(void) state;
	mailbox_free(mailbox);
	mailbox = NULL;
	event = sd_event_unref(event);
	return 0;
}

static void run_once(void)
{
	assert_true(sd_event_run(event, UINT64_MAX) > 0);
}

/* ------- posts ------- */

struct letter {
	struct post post;
	unsigned number;
	struct letter *again;
};

static unsigned received;
static unsigned last_number;
static bool in_order;

static void on_post(struct post *post)
{
	struct letter *letter = (struct letter *) post;

	assert_true(pthread_equal(pthread_self(), main_thread));
	in_order &= received == 0 || letter->number == last_number + 1;
	last_number = letter->number;
	received++;
}

static void expect_letters(void)
{
	received = 0;
	in_order = true;
}

static void posts_arrive_in_the_order_of_sending(void **state)
{
	struct letter letters[100];

	(void) state;
	expect_letters();
	for (unsigned i = 0; i < 100; i++) {
		letters[i] = (struct letter){.post.run = on_post, .number = i};
		mailbox_post(mailbox, &letters[i].post);
		if (i == 50)
			run_once();
	}
	while (received < 100)
		run_once();
	assert_true(in_order);
	/* No further post comes. */
	while (sd_event_run(event, 0) > 0)
		;
	assert_int_equal(received, 100);
}

static void post_again(struct post *post)
{
	struct letter *letter = (struct letter *) post;

	if (++received < 1000)
		mailbox_post(mailbox, &letter->post);
}

static int other_source(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void) source;
	(void) fd;
	(void) revents;
	*(unsigned *) userdata = received;
	return 0;
}

static void a_post_that_posts_itself_again_does_not_starve_others(void **state)
{
	struct letter letter = {.post.run = post_again};
	sd_event_source *source = NULL;
	unsigned received_when_other_ran = 0;
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	(void) state;
	expect_letters();
	assert_true(
		sd_event_add_io(
			event, &source, fd, EPOLLIN, other_source, &received_when_other_ran) >= 0);
	assert_true(sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) >= 0);
	mailbox_post(mailbox, &letter.post);
	while (received < 1000)
		run_once();
	assert_in_range(received_when_other_ran, 0, 100);
	sd_event_source_disable_unref(source);
	close(fd);
}

static void a_flood_of_posts_does_not_starve_sources_of_higher_priority(void **state)
{
	struct letter *letters = calloc(1000, sizeof(*letters));
	sd_event_source *source = NULL;
	unsigned received_when_other_ran = 0;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t one = 1;

	(void) state;
	assert_non_null(letters);
	expect_letters();
	assert_true(
		sd_event_add_io(
			event, &source, fd, EPOLLIN, other_source, &received_when_other_ran) >= 0);
	assert_true(sd_event_source_set_priority(source, -1) >= 0);
	assert_true(sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) >= 0);
	for (unsigned i = 0; i < 1000; i++) {
		letters[i] = (struct letter){.post.run = on_post, .number = i};
		mailbox_post(mailbox, &letters[i].post);
	}
	run_once();
	assert_in_range(received, 1, 999);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	run_once();
	assert_int_equal(received_when_other_ran, received);
	while (received < 1000)
		run_once();
	assert_true(in_order);
	sd_event_source_disable_unref(source);
	close(fd);
	free(letters);
}

static void receive_and_free(struct post *post)
{
	received++;
	free(post);
}

static void a_post_may_free_itself(void **state)
{
	(void) state;
	expect_letters();
	for (unsigned i = 0; i < 10; i++) {
		struct letter *letter = calloc(1, sizeof(*letter));

		assert_non_null(letter);
		letter->post.run = receive_and_free;
		mailbox_post(mailbox, &letter->post);
	}
	while (received < 10)
		run_once();
}

static void freeing_the_mailbox_drops_pending_posts_untouched(void **state)
{
	struct letter letter = {.post.run = on_post};

	(void) state;
	expect_letters();
	mailbox_post(mailbox, &letter.post);
	mailbox_free(mailbox);
	mailbox = NULL;
	assert_int_equal(sd_event_run(event, 0), 0);
	assert_int_equal(received, 0);
	mailbox_free(NULL);
}

/* ------- many senders ------- */

#define SENDERS 4u
#define EACH    5000u

struct sender {
	struct letter letters[EACH];
	unsigned next; /* the next expected number */
};

static struct sender *senders;

static void receive_from_sender(struct post *post)
{
	struct letter *letter = (struct letter *) post;
	struct sender *sender = &senders[letter->number / EACH];

	in_order &= letter->number % EACH == sender->next;
	sender->next++;
	received++;
}

static void *send_all(void *arg)
{
	struct sender *sender = arg;

	for (unsigned i = 0; i < EACH; i++) {
		struct letter *letter = &sender->letters[i];

		letter->post.run = receive_from_sender;
		letter->number = (unsigned) (sender - senders) * EACH + i;
		mailbox_post(mailbox, &letter->post);
	}
	return NULL;
}

/* Each run waits without a limit: after a lost wake-up the test would never end. */
static void no_wake_up_is_lost_between_many_senders(void **state)
{
	pthread_t threads[SENDERS];

	(void) state;
	senders = calloc(SENDERS, sizeof(*senders));
	assert_non_null(senders);
	expect_letters();
	for (unsigned i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	while (received < SENDERS * EACH)
		run_once();
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(in_order);
	free(senders);
}

/* ------- jobs ------- */

struct task {
	struct job job;
	sem_t hold;
	sem_t worked;
	bool held;
	bool done;
	pthread_t thread;
	char name[16];
	sigset_t blocked;
};

static void job_work(struct job *job)
{
	struct task *task = (struct task *) job;

	task->thread = pthread_self();
	prctl(PR_GET_NAME, task->name, 0, 0, 0);
	pthread_sigmask(SIG_BLOCK, NULL, &task->blocked);
	if (task->held)
		sem_wait(&task->hold);
	sem_post(&task->worked);
}

static void work_done(struct job *job)
{
	struct task *task = (struct task *) job;

	assert_true(pthread_equal(pthread_self(), main_thread));
	task->done = true;
}

static void init_task(struct task *task, bool held)
{
	memset(task, 0, sizeof(*task));
	task->job.work = job_work;
	task->job.done = work_done;
	task->held = held;
	sem_init(&task->hold, 0, 0);
	sem_init(&task->worked, 0, 0);
}

static void a_job_works_on_its_own_thread_and_ends_on_the_event_loop(void **state)
{
	struct task task;

	(void) state;
	init_task(&task, false);
	assert_int_equal(job_start(mailbox, &task.job, "a-name-longer-than-15"), 0);
	run_once();
	assert_true(task.done);
	assert_false(pthread_equal(task.thread, main_thread));
	assert_string_equal(task.name, "a-name-longer-t");
	assert_int_equal(sigismember(&task.blocked, SIGTERM), 1);
	assert_int_equal(sigismember(&task.blocked, SIGCHLD), 1);
}

static void a_job_that_hangs_delays_no_other(void **state)
{
	struct task hanging, other;

	(void) state;
	init_task(&hanging, true);
	init_task(&other, false);
	assert_int_equal(job_start(mailbox, &hanging.job, "hanging"), 0);
	assert_int_equal(job_start(mailbox, &other.job, "other"), 0);
	run_once();
	assert_true(other.done);
	assert_false(hanging.done);
	sem_post(&hanging.hold);
	run_once();
	assert_true(hanging.done);
}

static void a_job_may_be_started_again_when_it_is_done(void **state)
{
	struct task task;

	(void) state;
	init_task(&task, false);
	for (unsigned i = 0; i < 20; i++) {
		task.done = false;
		assert_int_equal(job_start(mailbox, &task.job, "again"), 0);
		while (!task.done)
			run_once();
	}
}

static void a_job_may_outlive_the_mailbox(void **state)
{
	static struct task task; /* its thread posts it when this function has returned */

	(void) state;
	init_task(&task, true);
	assert_int_equal(job_start(mailbox, &task.job, "late"), 0);
	mailbox_free(mailbox);
	mailbox = NULL;
	sem_post(&task.hold);
	sem_wait(&task.worked);
	assert_false(task.done);
}

static void a_job_without_a_thread_is_refused(void **state)
{
	struct task task;

	(void) state;
	init_task(&task, false);
	atomic_store(&refuse_threads, true);
	assert_int_equal(job_start(mailbox, &task.job, "none"), -EAGAIN);
	assert_int_equal(sd_event_run(event, 0), 0);
	assert_false(task.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			posts_arrive_in_the_order_of_sending, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_post_that_posts_itself_again_does_not_starve_others, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_flood_of_posts_does_not_starve_sources_of_higher_priority, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_post_may_free_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(
			freeing_the_mailbox_drops_pending_posts_untouched, setup, teardown),
		cmocka_unit_test_setup_teardown(
			no_wake_up_is_lost_between_many_senders, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_job_works_on_its_own_thread_and_ends_on_the_event_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(a_job_that_hangs_delays_no_other, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_job_may_be_started_again_when_it_is_done, setup, teardown),
		cmocka_unit_test_setup_teardown(a_job_may_outlive_the_mailbox, setup, teardown),
		cmocka_unit_test_setup_teardown(a_job_without_a_thread_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
