/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of tcmuctl that are more than an answer of the daemon: completion, limits and
 * events. The kinds of events, the states and the fields of the journal are the same in the daemon,
 * in tcmuctl, in the catalog of the journal and in the manual pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "cli.h"
#include "commands/complete.h"
#include "commands/events.h"
#include "commands/limits.h"
#include "device/fsm.h"
#include "log-fixture.h"
#include "output.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ------- completion ------- */

static char asked_socket[64]; /* "": the daemon was not asked */

static json_t *answer_of_daemon(void *userdata, const char *socket, const char *method)
{
	(void) userdata;
	(void) snprintf(asked_socket, sizeof(asked_socket), "%s", socket ? socket : "default");
	if (strcmp(method, "handlers") == 0)
		return json_pack("{s[{ss}{ss}]}", "handlers", "handler", "file", "handler", "rbd");
	assert_string_equal(method, "list");
	return json_pack(
		"{s[{ss ss}{ss ss}]}", "devices", "device", "user_0/disk", "config",
		"file//srv/disk.img", "device", "user_0/other", "config", "null/x");
}

/* The words, without their explanations, in one line; to be freed. */
static char *completed(const char *line)
{
	char copy[128], *words[16], *save = NULL, *text;
	FILE *out = output_begin();
	size_t used = 0;
	int cnt = 0;

	(void) snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		words[cnt++] = word;
	if (!*line || line[strlen(line) - 1] == ' ')
		words[cnt++] = copy + sizeof(copy) - 1;
	copy[sizeof(copy) - 1] = '\0';
	asked_socket[0] = '\0';
	complete_line(out, words, cnt, answer_of_daemon, NULL);
	text = output_end(out);
	for (size_t i = 0; text[i]; i++) {
		if (text[i] == '\t')
			i += strcspn(text + i, "\n");
		text[used++] = text[i] == '\n' ? ' ' : text[i];
	}
	text[used] = '\0';
	return text;
}

static void is_completed(const char *line, const char *wanted)
{
	char *text = completed(line);

	if (strcmp(text, wanted) != 0)
		fail_msg("\"%s\" is completed to \"%s\", not to \"%s\"", line, text, wanted);
	free(text);
}

static void each_kind_of_word_is_completed(void **state)
{
	(void) state;
	is_completed("sta", "stats status ");
	is_completed("colour ", "");
	is_completed("status ", "user_0/disk user_0/other ");
	is_completed("status user_0/d", "user_0/disk ");
	is_completed("status user_0/disk ", "");
	is_completed("events -f ", "user_0/disk user_0/other ");
	is_completed("events --f", "--follow ");
	is_completed("metrics --f", "--format ");
	is_completed("--f", "--format ");
	is_completed("metrics --format ", "openmetrics prometheus ");
	is_completed("metrics --format = pro", "prometheus ");
	is_completed("metrics --format =", "openmetrics prometheus ");
	is_completed("metrics -f o", "openmetrics ");
	is_completed("metrics -o ", ":files ");
	is_completed("stats -i ", "");
	is_completed("log-level ", "0 1 2 3 4 5 ");
	is_completed("check ", "file/ rbd/ ");
	is_completed("limits user_0/disk ", "iops= bps= burst= ");
	is_completed("limits user_0/disk iops=5 b", "bps= burst= ");
	is_completed("-s /tmp/x status user_0/o", "user_0/other ");
	assert_string_equal(asked_socket, "/tmp/x");
}

/* What a user may type, the completion offers. */
static void every_command_and_option_is_completed(void **state)
{
	const struct ctl_option *option;
	char line[64], wanted[64];

	(void) state;
	for (int i = 0; i < CTL_COMMAND_COUNT; i++) {
		char *text = completed("");

		(void) snprintf(wanted, sizeof(wanted), "%s ", ctl_command_name(i));
		if (i != CTL_COMPLETE && !strstr(text, wanted))
			fail_msg("%s is not completed", wanted);
		free(text);
		for (size_t k = 0; (option = ctl_option_at(k)); k++) {
			(void) snprintf(line, sizeof(line), "%s --", ctl_command_name(i));
			text = completed(line);
			(void) snprintf(wanted, sizeof(wanted), "--%s ", option->name);
			assert_int_equal(
				strstr(text, wanted) != NULL, ctl_command_takes(i, option));
			free(text);
		}
	}
}

/* ------- limits ------- */

static void limits_change_their_options_only(void **state)
{
	static const struct {
		const char *config;
		const char *changes; /* with blanks */
		const char *changed; /* NULL: refused */
	} cases[] = {
		{"file//a", "iops=5", "file//a;iops=5"},
		{"file//a;iops=1;direct=1", "iops=5", "file//a;direct=1;iops=5"},
		{"file//a;iops=1;bps=2K", "iops=0", "file//a;bps=2K"},
		{"file//a;iops=1;bps=2K;burst=9", "iops=0 bps=0 burst=0", "file//a"},
		{"file//a;iops_x=1", "iops=5", "file//a;iops_x=1;iops=5"},
		{"file//a", "bps=20M burst=3", "file//a;bps=20M;burst=3"},
		{"file//a", "iops=5 iops=6", "file//a;iops=6"},
		{"file//a;iops=9", "iops=5 iops=0", "file//a"},
		{"file//a", "bps=0K", "file//a"},
		{"file//a", "iops=5K", NULL},
		{"file//a", "iops=", NULL},
		{"file//a", "iops=-1", NULL},
		{"file//a", "bps=M", NULL},
		{"file//a", "bps=1MB", NULL},
		{"file//a", "colour=1", NULL},
		{"file//a", "iops", NULL},
		{"file//a", "iops=1;ro=1", NULL},
		{"file//a", "iops=99999999999999999999", NULL},
	};

	(void) state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char copy[128], changed[300], *changes[8], *save = NULL;
		const char *wrong = NULL;
		int cnt = 0, r;

		(void) snprintf(copy, sizeof(copy), "%s", cases[i].changes);
		for (char *word = strtok_r(copy, " ", &save); word;
		     word = strtok_r(NULL, " ", &save))
			changes[cnt++] = word;
		r = limits_config(cases[i].config, changes, cnt, changed, sizeof(changed), &wrong);
		if (cases[i].changed ? r < 0 || strcmp(changed, cases[i].changed) != 0
				     : r != -EINVAL || !wrong)
			fail_msg(
				"%s with %s: %d, %s", cases[i].config, cases[i].changes, r,
				r < 0 ? wrong : changed);
	}
}

static void a_config_that_gets_too_long_is_refused(void **state)
{
	char config[256] = "file//", changed[1024], change[] = "iops=100000";
	char *changes[] = {change};
	const char *wrong;

	(void) state;
	memset(config + 6, 'x', 240);
	assert_int_equal(
		limits_config(config, changes, 1, changed, sizeof(changed), &wrong), -ENAMETOOLONG);
	assert_int_equal(limits_config(config, changes, 1, changed, 100, &wrong), -ENAMETOOLONG);
	config[200] = '\0';
	assert_int_equal(limits_config(config, changes, 1, changed, sizeof(changed), &wrong), 0);
}

static void limits_are_written_to_the_attribute(void **state)
{
	static const char *const directories[] = {"user_0", "user_0/disk", "user_0/disk/attrib"};
	char core[] = "/tmp/tcmud-test-XXXXXX", path[128];
	char *text;

	(void) state;
	assert_non_null(mkdtemp(core));
	assert_int_equal(limits_write(core, "user_0/disk", "x"), -ENOENT);
	for (size_t i = 0; i < COUNT(directories); i++) {
		(void) snprintf(path, sizeof(path), "%s/%s", core, directories[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	(void) snprintf(path, sizeof(path), "%s/user_0/disk/attrib/dev_config", core);
	fclose(fopen(path, "w"));
	assert_int_equal(limits_write(core, "user_0/disk", "file//a;iops=5"), 0);
	text = fixture_read(path);
	assert_string_equal(text, "file//a;iops=5");
	free(text);
	assert_int_equal(unlink(path), 0);
	for (size_t i = COUNT(directories); i-- > 0;) {
		(void) snprintf(path, sizeof(path), "%s/%s", core, directories[i]);
		assert_int_equal(rmdir(path), 0);
	}
	assert_int_equal(rmdir(core), 0);
}

static void shows_limits(const char *limits, const char *wanted)
{
	json_t *status = json_pack("{ss so}", "device", "d", "limits", json_loads(limits, 0, NULL));
	FILE *out = output_begin();
	char *text;

	limits_show(out, status);
	text = output_end(out);
	assert_string_equal(text, wanted);
	free(text);
	json_decref(status);
}

static void limits_are_shown_in_one_line(void **state)
{
	(void) state;
	shows_limits("{\"iops\": 0, \"bps\": 0, \"burst\": 0}", "d: no limits\n");
	shows_limits("{\"iops\": 5, \"bps\": 0, \"burst\": 0}", "d: 5 commands/s\n");
	shows_limits(
		"{\"iops\": 5, \"bps\": 1048576, \"burst\": 3}",
		"d: 5 commands/s, 1048576 bytes/s (1.00 MiB/s), bursts of 3 s\n");
}

/* ------- events ------- */

static void an_event_is_a_line_or_an_object(void **state)
{
	struct event event = {
		.time_us = 1500000,
		.priority = 3,
		.message_id = event_id_at(3),
		.device = "user_0/disk",
		.message = "user_0/disk: failed\n",
	};
	FILE *out = output_begin();
	char *text;
	json_t *object = event_to_json(&event);

	(void) state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	event_show(out, &event);
	text = output_end(out);
	assert_string_equal(text, "1970-01-01 00:00:01 device-failed    user_0/disk: failed?\n");
	free(text);
	text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(
		text,
		"{\"cursor\":null,\"device\":\"user_0/"
		"disk\",\"event\":\"device-failed\",\"handler\":"
		"null,\"level\":\"error\",\"message\":\"user_0/disk: "
		"failed\\n\",\"message_id\":\"9192da7fe18d42c5b546339f3cce32d8\",\"time_"
		"seconds\":1.5}");
	free(text);
	json_decref(object);
	assert_true(event_is_of(&event, NULL) && event_is_of(&event, "disk"));
	assert_true(event_is_of(&event, "user_0/disk") && !event_is_of(&event, "isk"));
	event = (struct event){.priority = 4, .message_id = "of somebody else"};
	assert_string_equal(event_name(&event), "warning");
	assert_false(event_is_of(&event, "disk"));
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned cnt = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		cnt++;
	return cnt;
}

static void the_kinds_of_events_are_the_same_everywhere(void **state)
{
	char *source = fixture_document("daemon/base/log.h"),
	     *catalog = fixture_document("systemd/tcmud.catalog"),
	     *manual = fixture_document("docs/man/tcmud-events.7");
	char wanted[128];
	size_t cnt = 0;

	(void) state;
	for (; event_id_at(cnt); cnt++) {
		const char *id = event_id_at(cnt);
		struct event event = {.message_id = id};

		(void) snprintf(wanted, sizeof(wanted), "\"%s\"", id);
		assert_int_equal(count_of(source, wanted), 1);
		(void) snprintf(wanted, sizeof(wanted), "\n-- %s\nSubject: ", id);
		assert_int_equal(count_of(catalog, wanted), 1);
		(void) snprintf(
			wanted, sizeof(wanted), "\n.It Sy %s\n.Sy %s\n", event_name(&event), id);
		assert_int_equal(count_of(manual, wanted), 1);
	}
	assert_int_equal(count_of(source, "#define LOG_ID_"), cnt);
	assert_int_equal(count_of(catalog, "\n-- "), cnt);
	free(source);
	free(catalog);
	free(manual);
}

static void the_manual_has_every_state_and_field(void **state)
{
	char *source = fixture_document("daemon/base/log-format.c"),
	     *manual = fixture_document("docs/man/tcmud-events.7");
	char wanted[64];
	unsigned fields = 0;

	(void) state;
	for (unsigned i = 0; i < DEVICE_STATE_COUNT; i++) {
		(void) snprintf(wanted, sizeof(wanted), "\n.It Sy %s\n", device_state_name(i));
		if (count_of(manual, wanted) != 1)
			fail_msg("%s is not in tcmud-events(7)", device_state_name(i));
	}
	for (const char *at = strstr(source, "add_field(fields, \""); at;
	     at = strstr(at + 1, "add_field(fields, \"")) {
		const char *name = at + strlen("add_field(fields, \"");

		(void) snprintf(wanted, sizeof(wanted), " %.*s", (int) strcspn(name, "="), name);
		if (!strstr(manual, wanted))
			fail_msg("%s is not in tcmud-events(7)", wanted);
		fields++;
	}
	assert_true(fields >= 8);
	free(source);
	free(manual);
}

/* Each exit status that the command has, and no other. */
static void the_manual_has_every_exit_status(void **state)
{
	char *source = fixture_document("tcmuctl/cli.h"),
	     *manual = fixture_document("docs/man/tcmuctl.8");
	const char *section = strstr(manual, ".Sh EXIT STATUS");
	unsigned cnt = 1; /* 0 */

	(void) state;
	assert_non_null(section);
	for (const char *at = strstr(source, "#define CTL_EXIT_"); at;
	     at = strstr(at + 1, "#define CTL_EXIT_")) {
		char wanted[16];

		(void) snprintf(
			wanted, sizeof(wanted), "\n.It %d\n", atoi(at + strcspn(at, "0123456789")));
		if (!strstr(section, wanted))
			fail_msg("the exit status %s is not in tcmuctl(8)", wanted);
		cnt++;
	}
	assert_int_equal(count_of(section, "\n.It "), cnt);
	free(source);
	free(manual);
}

static void the_manual_promises_the_members_of_json(void **state)
{
	static const char *const names[] = {"limits", "iops",    "time_seconds", "event", "handler",
					    "level",  "message", "message_id",   "cursor"};
	char *manual = fixture_document("docs/man/tcmuctl.8"), wanted[64];

	(void) state;
	for (size_t i = 0; i < COUNT(names); i++) {
		(void) snprintf(wanted, sizeof(wanted), "Va %s", names[i]);
		if (!strstr(manual, wanted))
			fail_msg("%s is not in tcmuctl(8)", names[i]);
	}
	free(manual);
}

/* ------- the kernel's module ------- */

static void a_missing_module_is_noticed(void **state)
{
	char modules[] = "/tmp/tcmud-test-XXXXXX", path[128];

	(void) state;
	assert_false(ask_module_is_missing("/no/such/directory"));
	assert_non_null(mkdtemp(modules));
	assert_true(ask_module_is_missing(modules));
	(void) snprintf(path, sizeof(path), "%s/target_core_user", modules);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(ask_module_is_missing(modules));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(modules), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_word_is_completed),
		cmocka_unit_test(every_command_and_option_is_completed),
		cmocka_unit_test(limits_change_their_options_only),
		cmocka_unit_test(a_config_that_gets_too_long_is_refused),
		cmocka_unit_test(limits_are_written_to_the_attribute),
		cmocka_unit_test(limits_are_shown_in_one_line),
		cmocka_unit_test(an_event_is_a_line_or_an_object),
		cmocka_unit_test(the_kinds_of_events_are_the_same_everywhere),
		cmocka_unit_test(the_manual_has_every_state_and_field),
		cmocka_unit_test(the_manual_has_every_exit_status),
		cmocka_unit_test(the_manual_promises_the_members_of_json),
		cmocka_unit_test(a_missing_module_is_noticed),
	};

	return cmocka_run_group_tests_name("tcmuctl: commands", tests, NULL, NULL);
}
