/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of tcmuctl top fits the terminal, and its keys sort, scroll and filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "terminal.h"
#include "top.h"

#define TOP_DEVICES 40

static json_t *many_rates(void)
{
	json_t *devices = json_array();

	for (int i = 0; i < TOP_DEVICES; i++) {
		char name[32];

		(void) snprintf(name, sizeof(name), "user_0/disk%02d", i);
		(void) json_array_append_new(
			devices,
			json_pack(
				"{ss sf s{sf}}", "device", name, "reads_per_second", (double) i,
				"read_latency_seconds", "p99", (double) (i % 7) / 1000));
	}
	return json_pack("{so}", "devices", devices);
}

static json_t *many_listed(void)
{
	json_t *devices = json_array();

	for (int i = 0; i < TOP_DEVICES; i++) {
		char name[32];

		(void) snprintf(name, sizeof(name), "user_0/disk%02d", i);
		(void) json_array_append_new(
			devices,
			json_pack(
				"{ss ss}", "device", name, "state", i == 17 ? "FAULTED" : "LIVE"));
	}
	return json_pack("{so}", "devices", devices);
}

/* The text of the screen, after checking that it has this size. To be freed. */
static char *draw_top(struct top *top, unsigned width, unsigned height)
{
	json_t *rates = many_rates(), *list = many_listed();
	FILE *out = output_begin();
	unsigned lines = 1, column = 0;
	char *text;

	top_draw(out, top, rates, list, width, height);
	text = output_end(out);
	for (const char *at = text; *at; at++) {
		column = *at == '\n' ? 0 : column + 1;
		lines += *at == '\n';
		if (column > width)
			fail_msg("line %u is wider than %u:\n%s", lines, width, text);
	}
	assert_int_equal(lines, height);
	json_decref(rates);
	json_decref(list);
	return text;
}

/* Which device comes first on the screen. */
static void assert_first(struct top *top, const char *name)
{
	char *text = draw_top(top, 80, 24);
	const char *found = strstr(text, "user_0/");

	if (!found || strncmp(found + 7, name, strlen(name)) != 0)
		fail_msg("%s is not the first:\n%s", name, text);
	free(text);
}

static void press_keys(struct top *top, const char *keys)
{
	for (; *keys; keys++)
		assert_true(top_take_key(top, *keys, 24));
}

static void the_screen_of_top_fits_every_terminal(void **state)
{
	static const unsigned sizes[][2] = {{80, 24}, {40, 10}, {200, 60}, {110, 5}, {20, 4}};

	(void) state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct top top = {0};

		free(draw_top(&top, sizes[i][0], sizes[i][1]));
		top.first = 1000;
		free(draw_top(&top, sizes[i][0], sizes[i][1]));
	}
}

static void top_sorts_by_load_time_and_health(void **state)
{
	struct top top = {0};

	(void) state;
	assert_first(&top, "disk39");
	press_keys(&top, "s");
	assert_first(&top, "disk06");
	press_keys(&top, "s");
	assert_first(&top, "disk17");
	press_keys(&top, "s");
	assert_first(&top, "disk39");
}

static void top_scrolls_to_both_ends_and_not_beyond(void **state)
{
	struct top top = {0};
	char *text;

	(void) state;
	assert_true(top_take_key(&top, TERMINAL_UP, 24));
	assert_first(&top, "disk39");
	assert_true(top_take_key(&top, TERMINAL_DOWN, 24));
	assert_first(&top, "disk38");
	assert_true(top_take_key(&top, TERMINAL_PAGE_DOWN, 24));
	assert_first(&top, "disk20");
	text = draw_top(&top, 80, 24);
	assert_non_null(strstr(text, "disk00"));
	free(text);
	assert_true(top_take_key(&top, TERMINAL_LAST, 24));
	assert_first(&top, "disk20");
	assert_true(top_take_key(&top, TERMINAL_PAGE_UP, 24));
	assert_first(&top, "disk39");
	assert_true(top_take_key(&top, TERMINAL_LAST, 24));
	assert_true(top_take_key(&top, TERMINAL_HOME, 24));
	assert_first(&top, "disk39");
}

static void top_filters_and_ends(void **state)
{
	struct top top = {0};
	char *text;

	(void) state;
	press_keys(&top, "/k1q\b");
	text = draw_top(&top, 80, 24);
	assert_non_null(strstr(text, "filter: k1_"));
	assert_non_null(strstr(text, "disk19"));
	assert_null(strstr(text, "disk39"));
	free(text);
	press_keys(&top, "\n");
	assert_first(&top, "disk19");
	press_keys(&top, "/");
	assert_true(top_take_key(&top, TERMINAL_ESCAPE, 24));
	assert_first(&top, "disk39");
	assert_true(top_take_key(&top, TERMINAL_RESIZED, 24));
	assert_false(top_take_key(&top, 'q', 24));
	assert_false(top_take_key(&top, TERMINAL_END, 24));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_screen_of_top_fits_every_terminal),
		cmocka_unit_test(top_sorts_by_load_time_and_health),
		cmocka_unit_test(top_scrolls_to_both_ends_and_not_beyond),
		cmocka_unit_test(top_filters_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
