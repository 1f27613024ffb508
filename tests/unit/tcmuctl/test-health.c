/* SPDX-License-Identifier: Apache-2.0 */
/* The findings of tcmuctl health and their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health.h"
#include "log-fixture.h"
#include "output.h"

static json_t *parse_json(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static enum health_severity severity_of(const char *dump_text, const char *wanted)
{
	json_t *dump = parse_json(dump_text), *health = health_of(dump);
	enum health_severity severity = health_severity(health);
	FILE *out = output_begin();
	char *text;

	health_show(out, health);
	text = output_end(out);
	if (!strstr(text, wanted))
		fail_msg("\"%s\" is not in:\n%s", wanted, text);
	free(text);
	json_decref(health);
	json_decref(dump);
	return severity;
}

#define ONE_DEVICE(members) "{\"devices\": [{\"device\": \"user_0/a\", " members "}]}"

static void health_is_one_line_where_nothing_is_wrong(void **state)
{
	(void) state;
	assert_int_equal(
		severity_of(
			ONE_DEVICE("\"state\": \"LIVE\", \"lock\": \"unlocked\""),
			"nothing is wrong: 1 device\n"),
		HEALTH_FINE);
	assert_int_equal(
		severity_of(
			ONE_DEVICE("\"state\": \"OPENING\", \"state_seconds\": 1"),
			"nothing is wrong"),
		HEALTH_FINE);
	assert_int_equal(severity_of("{}", "nothing is wrong: 0 devices\n"), HEALTH_FINE);
}

static void health_says_what_is_wrong_since_when_and_what_to_do(void **state)
{
	(void) state;
	assert_int_equal(
		severity_of(
			ONE_DEVICE("\"state\": \"FAILED\", \"state_seconds\": 180, "
				   "\"problem\": \"no such file\""),
			"user_0/a is FAILED for 3 min: no such file\n    correct the problem"),
		HEALTH_OUTAGE);
	assert_int_equal(
		severity_of(
			ONE_DEVICE("\"state\": \"LIVE\", \"problem\": \"commands are late\""),
			"commands are late"),
		HEALTH_ATTENTION);
	assert_int_equal(
		severity_of(
			ONE_DEVICE("\"state\": \"OPENING\", \"state_seconds\": 20"),
			"does not return from open"),
		HEALTH_OUTAGE);
	assert_int_equal(
		severity_of(
			ONE_DEVICE("\"state\": \"LIVE\", \"lock\": \"not confirmed\""),
			"does not confirm its lock"),
		HEALTH_OUTAGE);
	assert_int_equal(
		severity_of(ONE_DEVICE("\"state\": \"LIVE\", \"fenced\": true"), "tcmuctl fenced"),
		HEALTH_ATTENTION);
	assert_int_equal(
		severity_of(
			"{\"handlers\": [{\"handler\": \"rbd\", \"problem\": \"no librbd\"}]}",
			"rbd: no librbd"),
		HEALTH_ATTENTION);
	assert_int_equal(
		severity_of(
			"{\"handlers\": [{\"handler\": \"rbd\", \"file\": null, "
			"\"problem\": \"not installed\"}], \"others\": [{\"config\": "
			"\"rbd/p/i\"}]}",
			"rbd: not installed"),
		HEALTH_ATTENTION);
	/* A package that nobody needs. */
	assert_int_equal(
		severity_of(
			"{\"handlers\": [{\"handler\": \"rbd\", \"file\": null, "
			"\"problem\": \"not installed\"}], \"others\": [{\"config\": "
			"\"rbdx/p/i\"}]}",
			"nothing is wrong"),
		HEALTH_FINE);
	assert_int_equal(
		severity_of("{\"process\": {\"open_fds\": 95, \"max_fds\": 100}}", "LimitNOFILE"),
		HEALTH_ATTENTION);
}

static void the_worst_finding_comes_first(void **state)
{
	(void) state;
	assert_int_equal(
		severity_of(
			"{\"devices\": [{\"device\": \"a\", \"state\": \"ORPHANED\", "
			"\"problem\": \"waits\"}, {\"device\": \"b\", \"state\": \"FAULTED\"}, "
			"{\"device\": \"c\", \"state\": \"FAILED\"}]}",
			"failed\n    check its storage; the daemon reopens it from time to time, "
			"'tcmuctl reopen' at once\nc is FAILED"),
		HEALTH_OUTAGE);
}

/* Every state of a device but LIVE and GONE has its health: the states are those of the daemon. */
static void every_state_has_its_health(void **state)
{
	char *source = fixture_read(PROJECT "/daemon/device/fsm.c");
	const char *at;
	unsigned cnt = 0;

	(void) state;
	assert_non_null(source);
	at = strstr(source, "const char *device_state_name(");
	assert_non_null(at);
	for (at = strchr(at, '"'); at && cnt < 12; cnt++) {
		int length = (int) strcspn(at + 1, "\"");
		char dump[256];

		(void) snprintf(
			dump, sizeof(dump),
			ONE_DEVICE("\"state\": \"%.*s\", "
				   "\"state_seconds\": 1000"),
			length, at + 1);
		if (strncmp(at + 1, "LIVE", 4) != 0 && strncmp(at + 1, "GONE", 4) != 0)
			assert_true(severity_of(dump, "user_0/a is ") > HEALTH_FINE);
		at = strchr(at + 1 + length + 1, '"');
	}
	assert_int_equal(cnt, 12);
	free(source);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(health_is_one_line_where_nothing_is_wrong),
		cmocka_unit_test(health_says_what_is_wrong_since_when_and_what_to_do),
		cmocka_unit_test(the_worst_finding_comes_first),
		cmocka_unit_test(every_state_has_its_health),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
