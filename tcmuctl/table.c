/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <libsmartcols.h>

#define CELL_MAX 4096

struct table {
	struct libscols_table *scols;
	struct libscols_line *line; /* the last one */
	size_t columns;
	size_t cnt; /* of cells */
};

/* Replaces control characters, which a terminal would interpret. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			*text = '?';
}

static _Noreturn void exit_no_memory(void)
{
	fputs("tcmuctl: out of memory\n", stderr);
	exit(1);
}

static void add_column(struct table *table, const char *title)
{
	int flags = SCOLS_FL_RIGHT;

	if (*title == '<' || *title == '~')
		flags = *title++ == '<' ? 0 : SCOLS_FL_TRUNC;
	if (!scols_table_new_column(table->scols, title, 0, flags))
		exit_no_memory();
	table->columns++;
}

struct table *table_new(const char *const *titles)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table || !(table->scols = scols_new_table()))
		exit_no_memory();
	for (unsigned i = 0; titles[i]; i++)
		add_column(table, titles[i]);
	assert(table->columns > 0);
	return table;
}

void table_add(struct table *table, const char *fmt, ...)
{
	size_t column = table->cnt++ % table->columns;
	char cell[CELL_MAX];
	va_list args;

	if (column == 0 && !(table->line = scols_table_new_line(table->scols, NULL)))
		exit_no_memory();
	va_start(args, fmt);
	(void) vsnprintf(cell, sizeof(cell), fmt, args);
	va_end(args);
	make_printable(cell);
	if (scols_line_set_data(table->line, column, cell) < 0)
		exit_no_memory();
}

/* The library prints nothing for a table without lines. */
static void print_titles(const struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->columns; i++)
		fprintf(out, "%s%s", scols_column_get_name(scols_table_get_column(table->scols, i)),
			i + 1 < table->columns ? "  " : "\n");
}

static void table_print(struct table *table, FILE *out, unsigned width)
{
	assert(table->cnt % table->columns == 0);
	if (scols_table_set_stream(table->scols, out) < 0 ||
	    scols_table_set_column_separator(table->scols, "  ") < 0)
		exit_no_memory();
	if (width) {
		(void) scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_ALWAYS);
		(void) scols_table_set_termwidth(table->scols, width);
	}
	if (table->cnt == 0)
		print_titles(table, out);
	else if (scols_print_table(table->scols) < 0)
		exit_no_memory();
	scols_unref_table(table->scols);
	free(table);
}

void table_end(struct table *table, FILE *out)
{
	table_print(table, out, 0);
}

void table_end_within(struct table *table, FILE *out, unsigned width)
{
	assert(width > 0);
	table_print(table, out, width);
}

/* ------- numbers as text ------- */

const char *table_size(double bytes, char buffer[TABLE_TEXT_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned i = 0;

	while (bytes >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		i++;
	}
	(void) snprintf(
		buffer, TABLE_TEXT_SIZE,
		bytes < 10 && i            ? "%.2f %s"
			: bytes < 100 && i ? "%.1f %s"
					   : "%.0f %s",
		bytes, units[i]);
	return buffer;
}

const char *table_time(double seconds, char buffer[TABLE_TEXT_SIZE])
{
	if (seconds <= 0)
		(void) snprintf(buffer, TABLE_TEXT_SIZE, "0");
	else if (seconds < 1e-3)
		(void) snprintf(buffer, TABLE_TEXT_SIZE, "%.0f us", seconds * 1e6);
	else if (seconds < 1)
		(void) snprintf(buffer, TABLE_TEXT_SIZE, "%.2f ms", seconds * 1e3);
	else
		(void) snprintf(buffer, TABLE_TEXT_SIZE, "%.1f s", seconds);
	return buffer;
}
