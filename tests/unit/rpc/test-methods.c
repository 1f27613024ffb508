/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for the operator: everything that is known about devices and handlers, under stable
 * names, and a sentence for each refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "methods-fixture.h"

static int setup(void **state)
{
	(void) state;
	methods_fixture_start();
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	methods_fixture_end();
	return 0;
}

/* The value at a path of names and numbers: "result.devices.0.device". */
static json_t *value_at(json_t *value, const char *path)
{
	char copy[128], *save = NULL;

	(void) snprintf(copy, sizeof(copy), "%s", path);
	for (const char *word = strtok_r(copy, ".", &save); word; word = strtok_r(NULL, ".", &save))
		value = json_is_array(value) ? json_array_get(value, strtoul(word, NULL, 10))
					     : json_object_get(value, word);
	return value;
}

static const char *text_at(json_t *value, const char *path)
{
	const char *text = json_string_value(value_at(value, path));

	return text ? text : "(none)";
}

/* Exactly these members, separated by blanks, in any order. */
static void has_exactly(json_t *object, const char *names)
{
	char padded[512], name[64];
	unsigned cnt = 1;

	(void) snprintf(padded, sizeof(padded), " %s ", names);
	for (const char *c = names; *c; c++)
		cnt += *c == ' ';
	for (void *at_member = json_object_iter(object); at_member;
	     at_member = json_object_iter_next(object, at_member)) {
		const char *key = json_object_iter_key(at_member);

		(void) snprintf(name, sizeof(name), " %s ", key);
		if (!strstr(padded, name))
			fail_msg("%s is not among %s", key, names);
	}
	assert_int_equal(json_object_size(object), cnt);
}

static void assert_refused(const char *request, const char *code)
{
	json_t *answer = methods_ask(request);

	assert_string_equal(text_at(answer, "error.code"), code);
	assert_true(strlen(text_at(answer, "error.message")) > 10);
	assert_null(value_at(answer, "result"));
	json_decref(answer);
}

static void all_devices_are_listed(void **state)
{
	json_t *answer = methods_ask("{\"method\": \"list\"}");

	(void) state;
	assert_int_equal(json_array_size(value_at(answer, "result.devices")), 2);
	has_exactly(
		value_at(answer, "result.devices.0"),
		"device name hba uio handler config state state_seconds problem shared fenced size "
		"block_size "
		"write_cache limits "
		"serial "
		"in_flight in_backend lock lock_group takeovers takeovers_damped health");
	assert_string_equal(text_at(answer, "result.devices.0.device"), "user_0/disk");
	assert_true(json_is_null(value_at(answer, "result.devices.0.problem")));
	assert_true(json_is_null(value_at(answer, "result.devices.0.serial")));
	assert_int_equal(json_integer_value(value_at(answer, "result.devices.1.uio")), 1);
	assert_string_equal(text_at(answer, "result.devices.1.problem"), "Input/output error");
	json_decref(answer);
}

static void unserved_devices_are_listed_as_such(void **state)
{
	json_t *answer;

	(void) state;
	fixture_others = 1;
	answer = methods_ask("{\"method\": \"list\"}");
	assert_int_equal(json_array_size(value_at(answer, "result.others")), 1);
	has_exactly(value_at(answer, "result.others.0"), "device uio config problem");
	assert_string_equal(text_at(answer, "result.others.0.device"), "user_7/theirs");
	assert_string_equal(text_at(answer, "result.others.0.config"), "other/thing");
	assert_non_null(strstr(text_at(answer, "result.others.0.problem"), "no such handler"));
	json_decref(answer);
}

static void counters_are_in_the_stats(void **state)
{
	struct stats *stats = &fixture_devices[0].stats;
	json_t *answer;

	(void) state;
	atomic_store(&stats->fetched, 12);
	atomic_store(&stats->ended, 10);
	atomic_store(&stats->classes[SCSI_CLASS_READ].commands, 9);
	atomic_store(&stats->classes[SCSI_CLASS_READ].bytes, 4096);
	atomic_store(&stats->classes[SCSI_CLASS_READ].latency[1], 8);
	atomic_store(&stats->classes[SCSI_CLASS_READ].latency[STATS_BUCKETS - 1], 1);
	atomic_store(&stats->sense[3], 1);
	atomic_store(&stats->ends[STATS_END_BUSY], 2);
	atomic_store(&stats->last_sense, 0x28031100);
	atomic_store(&stats->last_sense_at, clock_now_ns());
	answer = methods_ask("{\"method\": \"status\", \"device\": \"disk\"}");
	assert_int_equal(json_integer_value(value_at(answer, "result.in_flight")), 2);
	has_exactly(
		value_at(answer, "result.stats"),
		"device handler time_ns in_flight commands cpu_ns limited_ns expired_writes "
		"classes sense_keys other_ends "
		"last_sense counters");
	has_exactly(value_at(answer, "result.stats.classes"), "read write flush unmap other");
	has_exactly(
		value_at(answer, "result.stats.classes.read"),
		"commands failed bytes total_ns latency_ns");
	assert_int_equal(
		json_integer_value(value_at(answer, "result.stats.classes.read.bytes")), 4096);
	assert_int_equal(
		json_array_size(value_at(answer, "result.stats.classes.read.latency_ns")), 2);
	assert_int_equal(
		json_integer_value(value_at(answer, "result.stats.classes.read.latency_ns.0.0")),
		1024);
	assert_int_equal(
		json_integer_value(value_at(answer, "result.stats.classes.read.latency_ns.0.1")),
		1088);
	assert_int_equal(
		json_integer_value(value_at(answer, "result.stats.classes.read.latency_ns.0.2")),
		8);
	assert_true(json_is_null(value_at(answer, "result.stats.classes.read.latency_ns.1.1")));
	assert_int_equal(
		json_integer_value(value_at(answer, "result.stats.sense_keys.medium_error")), 1);
	assert_int_equal(json_integer_value(value_at(answer, "result.stats.other_ends.busy")), 2);
	assert_string_equal(text_at(answer, "result.stats.last_sense.operation"), "READ(10)");
	assert_string_equal(text_at(answer, "result.stats.last_sense.sense"), "03/11/00");
	json_decref(answer);
}

static void stats_are_of_one_device_or_of_all(void **state)
{
	json_t *all = methods_ask("{\"method\": \"stats\"}");
	json_t *one = methods_ask("{\"method\": \"stats\", \"device\": \"failed\"}");

	(void) state;
	assert_int_equal(json_array_size(value_at(all, "result.devices")), 2);
	assert_int_equal(json_array_size(value_at(one, "result.devices")), 1);
	assert_string_equal(text_at(one, "result.devices.0.device"), "user_1/failed");
	json_decref(all);
	json_decref(one);
}

static void commands_in_flight_are_listed_oldest_first(void **state)
{
	struct fixture_device *device = &fixture_devices[0];
	uint64_t now = clock_now_ns();
	json_t *answer;

	(void) state;
	device->requests[0] = (struct stats_request){
		.begun = now - 1000000, .cdb = {0x12, 0, 0, 0, 0x60}, .data_length = 96};
	device->requests[1] = (struct stats_request){
		.begun = now - 2000000000,
		.cdb = {0x2a, 0, 0, 0, 1, 0, 0, 0, 8},
		.data_length = 4096};
	device->request_cnt = 2;
	answer = methods_ask("{\"method\": \"inflight\", \"device\": \"disk\"}");
	has_exactly(
		value_at(answer, "result.requests.0"),
		"operation cdb lba blocks bytes age_seconds");
	assert_string_equal(text_at(answer, "result.requests.0.operation"), "WRITE(10)");
	assert_string_equal(
		text_at(answer, "result.requests.0.cdb"), "2a 00 00 00 01 00 00 00 08 00");
	assert_int_equal(json_integer_value(value_at(answer, "result.requests.0.lba")), 256);
	assert_int_equal(json_integer_value(value_at(answer, "result.requests.0.blocks")), 8);
	assert_int_equal(json_integer_value(value_at(answer, "result.requests.0.bytes")), 4096);
	assert_true(json_real_value(value_at(answer, "result.requests.0.age_seconds")) >= 2);
	assert_string_equal(text_at(answer, "result.requests.1.operation"), "INQUIRY");
	assert_true(json_is_null(value_at(answer, "result.requests.1.lba")));
	json_decref(answer);
}

static void handlers_are_listed_with_their_devices(void **state)
{
	json_t *answer = methods_ask("{\"method\": \"handlers\"}");

	(void) state;
	has_exactly(value_at(answer, "result.handlers.0"), "handler file version problem devices");
	assert_string_equal(text_at(answer, "result.handlers.0.handler"), "file");
	assert_int_equal(json_integer_value(value_at(answer, "result.handlers.0.devices")), 2);
	json_decref(answer);
}

static void checks_are_the_same_as_on_the_bus(void **state)
{
	json_t *good = methods_ask("{\"method\": \"check\", \"config\": \"file/good\"}");
	json_t *bad = methods_ask("{\"method\": \"check\", \"config\": \"file/a,b\"}");
	json_t *hang = methods_ask("{\"method\": \"check\", \"config\": \"file/hang\"}");

	(void) state;
	assert_true(json_is_true(value_at(good, "result.fine")));
	assert_string_equal(text_at(good, "result.config"), "file/good");
	assert_true(json_is_false(value_at(bad, "result.fine")));
	assert_non_null(strstr(text_at(bad, "result.message"), "comma"));
	assert_true(json_is_false(value_at(hang, "result.fine")));
	assert_non_null(strstr(text_at(hang, "result.message"), "has not answered"));
	methods_fixture_release();
	json_decref(good);
	json_decref(bad);
	json_decref(hang);
	assert_refused("{\"method\": \"check\"}", "bad-request");
	assert_refused("{\"method\": \"check\", \"config\": 7}", "bad-request");
}

static void the_log_level_is_shown_and_set(void **state)
{
	json_t *before = methods_ask("{\"method\": \"log-level\"}");
	json_t *after = methods_ask("{\"method\": \"log-level\", \"level\": 1}");

	(void) state;
	assert_int_equal(json_integer_value(value_at(before, "result.level")), TCMU_LOG_INFO);
	assert_int_equal(json_integer_value(value_at(after, "result.level")), 1);
	assert_string_equal(text_at(after, "result.name"), "ERROR");
	assert_int_equal(log_level(), 1);
	log_set_level(TCMU_LOG_INFO);
	json_decref(before);
	json_decref(after);
	assert_refused("{\"method\": \"log-level\", \"level\": 6}", "bad-request");
	assert_refused("{\"method\": \"log-level\", \"level\": -1}", "bad-request");
	assert_refused("{\"method\": \"log-level\", \"level\": \"3\"}", "bad-request");
	assert_int_equal(log_level(), TCMU_LOG_INFO);
}

static void a_device_is_reopened_or_the_refusal_has_a_reason(void **state)
{
	json_t *answer = methods_ask("{\"method\": \"reopen\", \"device\": \"failed\"}");

	(void) state;
	assert_string_equal(text_at(answer, "result.device"), "user_1/failed");
	assert_int_equal(fixture_devices[1].reopened, 1);
	assert_int_equal(fixture_devices[0].reopened, 0);
	json_decref(answer);
	fixture_devices[1].reopen_error = -EBUSY;
	assert_refused("{\"method\": \"reopen\", \"device\": \"failed\"}", "refused");
}

static void the_dump_has_everything(void **state)
{
	json_t *answer = methods_ask("{\"method\": \"dump\"}");

	(void) state;
	has_exactly(
		value_at(answer, "result"),
		"version log_level checks_running longest_stall_seconds settings process states "
		"handlers devices others");
	has_exactly(
		value_at(answer, "result.process"),
		"start_time_seconds open_fds max_fds threads resident_memory_bytes "
		"log_messages_lost");
	assert_int_equal(json_array_size(value_at(answer, "result.states")), DEVICE_STATE_COUNT);
	has_exactly(value_at(answer, "result.settings"), "check_timeout_ms");
	assert_string_equal(text_at(answer, "result.settings.check_timeout_ms"), "200");
	assert_non_null(value_at(answer, "result.devices.1.stats.classes"));
	assert_true(json_is_array(value_at(answer, "result.devices.1.requests")));
	json_decref(answer);
}

static void invalid_requests_are_refused(void **state)
{
	(void) state;
	assert_refused("", "bad-request");
	assert_refused("7", "bad-request");
	assert_refused("[]", "bad-request");
	assert_refused("{\"method\": 7}", "bad-request");
	assert_refused("{\"method\": \"colour\"}", "bad-request");
	assert_refused("{\"method\": \"list\", \"method\": \"dump\"}", "bad-request");
	assert_refused("{\"method\": \"list\"} and more", "bad-request");
	assert_refused("{\"method\": \"status\"}", "bad-request");
	assert_refused("{\"method\": \"status\", \"device\": 7}", "bad-request");
	assert_refused("{\"method\": \"status\", \"device\": \"nodisk\"}", "no-such-device");
	assert_refused("{\"method\": \"status\", \"device\": \"twice\"}", "no-such-device");
}

static void names_that_are_not_utf8_are_shown_all_the_same(void **state)
{
	json_t *answer;

	(void) state;
	fixture_devices[0].status.label = "user_0/\xff\xc3";
	answer = methods_ask("{\"method\": \"list\"}");
	assert_string_equal(
		text_at(answer, "result.devices.0.device"), "user_0/\xef\xbf\xbd\xef\xbf\xbd");
	json_decref(answer);
}

/* Any bytes get one answer, and it is a line of JSON. */
static void any_bytes_are_answered(void **state)
{
	static const char valid[] = "{\"method\": \"inflight\", \"device\": \"disk\"}";
	unsigned seed = 1;

	(void) state;
	for (int i = 0; i < 20000; i++) {
		char bytes[sizeof(valid)];

		memcpy(bytes, valid, sizeof(valid));
		for (unsigned j = 0; j < 1 + seed % 4; j++) {
			seed = seed * 1103515245 + 12345;
			bytes[(seed >> 16) % (sizeof(valid) - 1)] = (char) (seed >> 8);
		}
		json_decref(methods_ask_bytes(bytes, sizeof(valid) - 1 - seed % 3));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(all_devices_are_listed),
		TEST(unserved_devices_are_listed_as_such),
		TEST(counters_are_in_the_stats),
		TEST(stats_are_of_one_device_or_of_all),
		TEST(commands_in_flight_are_listed_oldest_first),
		TEST(handlers_are_listed_with_their_devices),
		TEST(checks_are_the_same_as_on_the_bus),
		TEST(the_log_level_is_shown_and_set),
		TEST(a_device_is_reopened_or_the_refusal_has_a_reason),
		TEST(the_dump_has_everything),
		TEST(invalid_requests_are_refused),
		TEST(names_that_are_not_utf8_are_shown_all_the_same),
		TEST(any_bytes_are_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
