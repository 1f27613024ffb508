/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking config strings: an exact answer to each, in time, whatever the handler does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/check.h"
#include "fake-handler.h"
#include "log-fixture.h"

#define LONG_MS  60000
#define HUNG_MAX 64

static sd_event *event;
static struct mailbox *mailbox;
static struct handlers *handlers;
static struct checks *checks;
static sem_t release; /* lets one hung handler return */
static unsigned hung;

struct answer {
	unsigned times;
	bool fine;
	char message[256];
};

static void on_done(void *userdata, bool fine, const char *message)
{
	struct answer *answer = userdata;

	answer->times++;
	answer->fine = fine;
	(void) snprintf(answer->message, sizeof(answer->message), "%s", message);
}

/* ------- handlers ------- */

static int check_by_target(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	if (strcmp(config->target, "good") == 0)
		return 0;
	if (strcmp(config->target, "silent") == 0)
		return -EACCES;
	(void) snprintf(reason->text, sizeof(reason->text), "%s does not exist", config->target);
	return -ENOENT;
}

static int check_hangs(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	(void) config;
	(void) reason;
	while (sem_wait(&release) < 0)
		;
	return 0;
}

static int setup(void **state)
{
	(void) state;
	hung = 0;
	assert_int_equal(sem_init(&release, 0, 0), 0);
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(mailbox_new(event, 0, &mailbox), 0);
	handlers = handlers_new();
	fake_handler_add(handlers, "file", NULL, check_by_target);
	fake_handler_add(handlers, "hang", NULL, check_hangs);
	fake_handler_add(handlers, "easy", NULL, NULL);
	checks = checks_new(event, mailbox, handlers);
	return 0;
}

/* Lets the hung handlers return, and waits for it. */
static void release_hung(void)
{
	for (; hung; hung--)
		assert_int_equal(sem_post(&release), 0);
	while (checks_running(checks))
		assert_true(sd_event_run(event, UINT64_MAX) > 0);
}

static int teardown(void **state)
{
	(void) state;
	release_hung();
	checks_free(checks);
	handlers_free(handlers);
	mailbox_free(mailbox);
	event = sd_event_unref(event);
	(void) sem_destroy(&release);
	return 0;
}

static void start_check(
	const char *subtype, const char *text, unsigned timeout_ms, struct answer *answer)
{
	*answer = (struct answer){0};
	check_start(checks, subtype, text, timeout_ms, on_done, answer);
}

static void start_hung(unsigned timeout_ms, struct answer *answer)
{
	hung++;
	start_check("hang", "hang/x", timeout_ms, answer);
	assert_int_equal(answer->times, 0);
}

static void await_answer(const struct answer *answer)
{
	while (!answer->times)
		assert_true(sd_event_run(event, UINT64_MAX) > 0);
	assert_int_equal(answer->times, 1);
}

static void assert_answer(const char *subtype, const char *text, bool fine, const char *message)
{
	struct answer answer;

	start_check(subtype, text, LONG_MS, &answer);
	await_answer(&answer);
	assert_string_equal(answer.message, message);
	assert_int_equal(answer.fine, fine);
}

/* ------- tests ------- */

static void the_handlers_answer_is_forwarded(void **state)
{
	(void) state;
	assert_answer("file", "file/good", true, "success");
	assert_answer("file", "file/disk", false, "disk does not exist");
	assert_answer(
		"file", "file/silent", false, "the file handler refuses it: Permission denied");
}

static void a_handler_without_a_check_accepts_every_target(void **state)
{
	(void) state;
	assert_answer("easy", "easy/x", true, "success");
	assert_answer("easy", "easy/x;ro=2", false, "the option \"ro\" is \"2\": expected yes|no");
}

static void a_string_that_no_handler_accepts_does_not_reach_the_handler(void **state)
{
	(void) state;
	assert_answer(
		"file", "file/a,b", false,
		"the config string must not have a comma: the kernel would cut it there; "
		"write %2C, and the option escaped");
	assert_answer(
		"file", "file/good;x=1", false,
		"the file handler has no option \"x\"; its options are: ro share vendor product "
		"revision sanitize designator "
		"iops bps burst tcmur_cmd_time_out escaped filter");
	assert_answer(
		"file", "good", false,
		"the config string does not begin with a handler's name and a '/'");
	assert_answer(
		"file", "", false,
		"the config string does not begin with a handler's name and a '/'");
}

static void a_string_for_another_handler_is_refused(void **state)
{
	(void) state;
	assert_answer(
		"file", "easy/x", false, "the string is for the handler \"easy\", not \"file\"");
	assert_answer(
		"easy", "easyx/x", false, "the string is for the handler \"easyx\", not \"easy\"");
	assert_answer(NULL, "easy/x", true, "success");
}

static void a_missing_handler_is_named(void **state)
{
	(void) state;
	assert_answer(
		"rbd", "rbd/p/i", false, "the rbd handler is not installed (package tcmud-rbd)");
	assert_answer(NULL, "nobody/x", false, "there is no such handler");
}

static void a_check_that_hangs_is_answered_in_time(void **state)
{
	struct answer answer;

	(void) state;
	start_hung(120, &answer);
	await_answer(&answer);
	assert_false(answer.fine);
	assert_string_equal(answer.message, "the hang handler has not answered within 0.1 s");
	assert_int_equal(checks_running(checks), 1);
	release_hung();
	assert_int_equal(answer.times, 1);
}

static void a_hanging_check_delays_no_other(void **state)
{
	struct answer answer;

	(void) state;
	start_hung(LONG_MS, &answer);
	assert_answer("file", "file/good", true, "success");
	assert_answer("file", "file/bad", false, "bad does not exist");
	assert_int_equal(answer.times, 0);
	release_hung();
	await_answer(&answer);
	assert_true(answer.fine);
}

static void the_number_of_hanging_checks_is_limited(void **state)
{
	static struct answer answers[HUNG_MAX];

	(void) state;
	for (int i = 0; i < HUNG_MAX; i++)
		start_hung(LONG_MS, &answers[i]);
	assert_answer(
		"file", "file/good", false, "the check was not made: too many checks hang already");
	release_hung();
	assert_answer("file", "file/good", true, "success");
}

static void checks_free_answers_the_checks_in_flight(void **state)
{
	struct answer answer;

	(void) state;
	start_hung(LONG_MS, &answer);
	checks_free(checks);
	assert_int_equal(answer.times, 1);
	assert_false(answer.fine);
	assert_string_equal(answer.message, "the daemon stops");
	checks = checks_new(event, mailbox, handlers);
	assert_int_equal(sem_post(&release), 0);
	hung = 0;
	assert_true(sd_event_run(event, UINT64_MAX) > 0);
	assert_int_equal(answer.times, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_handlers_answer_is_forwarded),
		TEST(a_handler_without_a_check_accepts_every_target),
		TEST(a_string_that_no_handler_accepts_does_not_reach_the_handler),
		TEST(a_string_for_another_handler_is_refused),
		TEST(a_missing_handler_is_named),
		TEST(a_check_that_hangs_is_answered_in_time),
		TEST(a_hanging_check_delays_no_other),
		TEST(the_number_of_hanging_checks_is_limited),
		TEST(checks_free_answers_the_checks_in_flight),
	};

	log_set_level(TCMU_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
