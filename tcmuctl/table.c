/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <libsmartcols.h>

#include "terminal.h"

#define CELL_MAX    4096
#define COLUMN_MAX  16
#define SEPARATOR   "  "
#define ESCAPED_MAX 4 /* columns of a byte that the library prints in hexadecimal */

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
	assert(table->columns > 0 && table->columns <= COLUMN_MAX);
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

/* By the cell of the header: its name is newer than the library of Ubuntu 22.04. */
static const char *column_title(const struct table *table, size_t column)
{
	return scols_cell_get_data(
		scols_column_get_header(scols_table_get_column(table->scols, column)));
}

/* The library prints nothing for a table without lines. */
static void print_titles(const struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->columns; i++)
		fprintf(out, "%s%s", column_title(table, i), i + 1 < table->columns ? "  " : "\n");
}

/* ------- the width of a terminal ------- */

/* The columns of the character at text. *bytes: its length, at least 1. */
static size_t character_width(const char *text, size_t *bytes)
{
	mbstate_t state = {0};
	wchar_t character;
	size_t length = mbrtowc(&character, text, MB_CUR_MAX, &state);
	int width;

	*bytes = 1;
	if (length == 0 || length > MB_CUR_MAX)
		return ESCAPED_MAX;
	*bytes = length;
	width = wcwidth(character);
	return width < 0 ? ESCAPED_MAX * length : (size_t) width;
}

/* How many bytes of the text's line fit into so many columns. *used: the columns that they take. */
static size_t bytes_within(const char *text, size_t width, size_t *used)
{
	size_t at = 0, bytes;

	*used = 0;
	for (; text[at] && text[at] != '\n'; at += bytes) {
		size_t more = character_width(text + at, &bytes);

		if (*used + more > width)
			break;
		*used += more;
	}
	return at;
}

static size_t text_width(const char *text)
{
	size_t used;

	(void) bytes_within(text ? text : "", SIZE_MAX / 2, &used);
	return used;
}

static const char *cell_text(const struct table *table, size_t line, size_t column)
{
	return scols_cell_get_data(
		scols_line_get_cell(scols_table_get_line(table->scols, line), column));
}

static void cut_column(struct table *table, size_t column, size_t width)
{
	char cell[CELL_MAX];

	for (size_t line = 0; line < scols_table_get_nlines(table->scols); line++) {
		const char *text = cell_text(table, line, column);
		size_t used, bytes = bytes_within(text, width, &used);

		memcpy(cell, text, bytes);
		cell[bytes] = '\0';
		if (scols_line_set_data(scols_table_get_line(table->scols, line), column, cell) < 0)
			exit_no_memory();
	}
}

/* Cuts the texts that may be cut, the last columns first, until a line fits or the titles are as
 * wide as they. The library could do it, but its versions 2.39 and 2.40 may never return then. */
static void fit_columns(struct table *table, size_t width)
{
	size_t widths[COLUMN_MAX], total = (table->columns - 1) * strlen(SEPARATOR);

	for (size_t i = 0; i < table->columns; i++) {
		widths[i] = text_width(column_title(table, i));
		for (size_t line = 0; line < scols_table_get_nlines(table->scols); line++) {
			size_t cell = text_width(cell_text(table, line, i));

			widths[i] = cell > widths[i] ? cell : widths[i];
		}
		total += widths[i];
	}
	for (size_t i = table->columns; total > width && i-- > 0;) {
		struct libscols_column *column = scols_table_get_column(table->scols, i);
		size_t title = text_width(column_title(table, i));
		size_t excess = total - width;

		if (!scols_column_is_trunc(column))
			continue;
		excess = widths[i] - title < excess ? widths[i] - title : excess;
		cut_column(table, i, widths[i] - excess);
		total -= excess;
	}
}

/* ------- output ------- */

static void table_print(struct table *table, FILE *out)
{
	assert(table->cnt % table->columns == 0);
	if (scols_table_set_stream(table->scols, out) < 0 ||
	    scols_table_set_column_separator(table->scols, SEPARATOR) < 0 ||
	    scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER) < 0)
		exit_no_memory();
	if (table->cnt == 0)
		print_titles(table, out);
	else if (scols_print_table(table->scols) < 0)
		exit_no_memory();
	scols_unref_table(table->scols);
	free(table);
}

void table_end(struct table *table, FILE *out)
{
	if (isatty(fileno(out))) {
		unsigned width, height;

		terminal_size(&width, &height);
		fit_columns(table, width);
	}
	table_print(table, out);
}

void table_end_within(struct table *table, FILE *out, unsigned width)
{
	char *text = NULL;
	size_t size, used;
	FILE *lines = open_memstream(&text, &size);

	assert(width > 0);
	if (!lines)
		exit_no_memory();
	fit_columns(table, width);
	table_print(table, lines);
	if (fclose(lines) != 0)
		exit_no_memory();
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		fprintf(out, "%.*s\n", (int) bytes_within(line, width, &used), line);
	free(text);
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
