/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of tcmuctl for which no daemon is needed, from the handlers of the build and from the
 * plugins of the tests, most of which are not usable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "offline.h"

static json_t *ask_for(const char *directory, const char *method, const char *config)
{
	json_t *request = json_pack("{ss ss*}", "method", method, "config", config);
	json_t *answer = offline_answer_from(directory, request);

	json_decref(request);
	return answer;
}

/* The handler of this subtype in an answer. */
static const json_t *handler_of(const json_t *answer, const char *subtype)
{
	const json_t *handlers = json_object_get(answer, "handlers");

	for (size_t i = 0; i < json_array_size(handlers); i++) {
		const json_t *one = json_array_get(handlers, i);

		if (strcmp(json_string_value(json_object_get(one, "handler")), subtype) == 0)
			return one;
	}
	return NULL;
}

static void installed_handlers_are_listed(void **state)
{
	json_t *answer = ask_for(HANDLERS, "handlers", NULL);
	static const char *const subtypes[] = {"file", "null", "qcow", "ram"};

	(void) state;
	for (size_t i = 0; i < sizeof(subtypes) / sizeof(subtypes[0]); i++) {
		const json_t *handler = handler_of(answer, subtypes[i]);

		assert_non_null(handler);
		assert_true(json_is_null(json_object_get(handler, "problem")));
		assert_int_equal(json_integer_value(json_object_get(handler, "devices")), 0);
		assert_non_null(
			strstr(json_string_value(json_object_get(handler, "file")), subtypes[i]));
	}
	json_decref(answer);
}

static void a_plugin_that_is_not_usable_has_its_problem(void **state)
{
	json_t *answer = ask_for(PLUGINS, "handlers", NULL);
	const char *problem;

	(void) state;
	problem = json_string_value(json_object_get(handler_of(answer, "noentry"), "problem"));
	assert_non_null(problem);
	assert_non_null(strstr(problem, "it has no function tcmu_handler_entry"));
	problem = json_string_value(json_object_get(handler_of(answer, "otherabi"), "problem"));
	assert_non_null(problem);
	assert_non_null(strstr(problem, "rebuild it"));
	assert_non_null(handler_of(answer, "good"));
	assert_true(json_is_null(json_object_get(handler_of(answer, "good"), "problem")));
	json_decref(answer);
}

static void check_is(const char *config, bool fine, const char *message)
{
	json_t *answer = ask_for(HANDLERS, "check", config);

	assert_int_equal(json_is_true(json_object_get(answer, "fine")), fine);
	assert_string_equal(json_string_value(json_object_get(answer, "config")), config);
	assert_non_null(strstr(json_string_value(json_object_get(answer, "message")), message));
	json_decref(answer);
}

static void a_config_string_is_checked_by_its_handler(void **state)
{
	(void) state;
	check_is("null/x", true, "success");
	check_is("file/relative", false, "the path");
	check_is("null/x;reads=some", false, "zero|untouched");
	check_is("nosuch/x", false, "No such file");
	check_is("noslash", false, "does not begin with a handler's name");
	check_is("/x", false, "does not begin with a handler's name");
	check_is("../x", false, "does not begin with a handler's name");
}

static void other_requests_need_a_daemon(void **state)
{
	(void) state;
	assert_null(ask_for(HANDLERS, "list", NULL));
	assert_null(ask_for(HANDLERS, "dump", NULL));
	assert_null(ask_for(HANDLERS, "check", NULL));
}

static json_t *answer_from_here(const json_t *request)
{
	return offline_answer_from(HANDLERS, request);
}

/* Where no daemon listens. */
static void a_request_is_answered_without_a_daemon(void **state)
{
	struct ask ask = ASK_INIT("/nonexistent/control");
	json_t *answer;
	int status;

	(void) state;
	assert_null(ask_daemon(&ask, ask_request("handlers", NULL), &status));
	assert_int_equal(status, CTL_EXIT_DOWN);
	ask.offline = answer_from_here;
	answer = ask_daemon(&ask, ask_request("handlers", NULL), &status);
	assert_non_null(answer);
	assert_int_equal(status, 0);
	assert_non_null(handler_of(answer, "file"));
	json_decref(answer);
	assert_null(ask_daemon(&ask, ask_request("list", NULL), &status));
	assert_int_equal(status, CTL_EXIT_DOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(installed_handlers_are_listed),
		cmocka_unit_test(a_plugin_that_is_not_usable_has_its_problem),
		cmocka_unit_test(a_config_string_is_checked_by_its_handler),
		cmocka_unit_test(other_requests_need_a_daemon),
		cmocka_unit_test(a_request_is_answered_without_a_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
