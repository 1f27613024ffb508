/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables fit each width of a terminal, with every text: versions 2.39 and 2.40 of libsmartcols may
 * never return when they make a column narrower.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "output.h"
#include "table.h"

#define LONGEST 200

/* One row has a long text, so that the column's average and its widest cell differ. */
static const struct table_case {
	const char *titles[5];
	const char *rows[3][4];
} cases[] = {
	{{"<NAME", "~WHERE", "SIZE", "~WHY", NULL},
	 {{"a", "/srv/a", "1 KiB", "well"},
	  {"disk", "/srv/a/very/long/path/to/the/store/of/a/disk", "64 GiB", ""},
	  {"b", "/b", "2.00 TiB", "it is waiting for the cluster, which does not answer"}}},
	{{"~A", "~B", "~C", "~D", NULL},
	 {{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "x", "x", "x"},
	  {"x", "x", "x", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
	  {"", "", "", ""}}},
	{{"A", "<B", "C", "<D", NULL},
	 {{"1234567890", "nothing here", "1234567890", "may be cut"},
	  {"1", "1", "1", "1"},
	  {"", "", "", ""}}},
	{{"<名前", "~説明", "N", "~X", NULL},
	 {{"ディスク", "東京のデータセンターにあるとても長い名前のストア", "12", "é"},
	  {"disk", "\xff\xfe is not UTF-8", "3", "\xe2\x82"},
	  {"a", "b", "c", "d"}}},
};

static char *print_case(const struct table_case *c, unsigned width)
{
	struct table *table = table_new(c->titles);
	FILE *out = output_begin();

	for (unsigned row = 0; row < 3; row++)
		for (unsigned column = 0; column < 4; column++)
			table_add(table, "%s", c->rows[row][column]);
	if (width)
		table_end_within(table, out, width);
	else
		table_end(table, out);
	return output_end(out);
}

/* The widest line, in columns of a terminal. */
static size_t widest_line(const char *text)
{
	size_t widest = 0;
	wchar_t wide[1024];

	for (; *text; text += strcspn(text, "\n") + 1) {
		char line[1024];
		int width;

		(void) snprintf(line, sizeof(line), "%.*s", (int) strcspn(text, "\n"), text);
		assert_true(mbstowcs(wide, line, 1024) != (size_t) -1);
		width = wcswidth(wide, 1024);
		assert_true(width >= 0);
		widest = (size_t) width > widest ? (size_t) width : widest;
	}
	return widest;
}

static unsigned count_lines(const char *text)
{
	unsigned lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void a_table_fits_every_width(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *whole = print_case(&cases[i], 0);
		size_t needed = widest_line(whole);

		assert_true(needed < LONGEST);
		for (unsigned width = 1; width <= LONGEST; width++) {
			char *text = print_case(&cases[i], width);

			if (widest_line(text) > width)
				fail_msg("table %zu is wider than %u:\n%s", i, width, text);
			assert_int_equal(count_lines(text), 4);
			if (width >= needed)
				assert_string_equal(text, whole);
			free(text);
		}
		free(whole);
	}
}

static void only_texts_that_may_be_cut_are_cut_first(void **state)
{
	char *text = print_case(&cases[0], 40);

	(void) state;
	assert_string_equal(
		text,
		"NAME  WHERE                    SIZE  WHY\n"
		"a     /srv/a                  1 KiB  wel\n"
		"disk  /srv/a/very/long/pa    64 GiB  \n"
		"b     /b                   2.00 TiB  it \n");
	free(text);
}

static void a_pipe_gets_the_whole_text(void **state)
{
	char *text = print_case(&cases[0], 0);

	(void) state;
	assert_non_null(strstr(text, "/srv/a/very/long/path/to/the/store/of/a/disk"));
	assert_non_null(strstr(text, "which does not answer\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_fits_every_width),
		cmocka_unit_test(only_texts_that_may_be_cut_are_cut_first),
		cmocka_unit_test(a_pipe_gets_the_whole_text),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
