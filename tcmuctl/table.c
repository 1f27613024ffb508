/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX    320
#define COLUMNS_MAX 16
#define GAP         2

struct table {
	unsigned columns;
	bool left[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX];
	char (*cells)[CELL_MAX];
	size_t cnt, room;
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

struct table *table_new(const char *const *titles)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		exit_no_memory();
	while (titles[table->columns])
		table->columns++;
	assert(table->columns > 0 && table->columns <= COLUMNS_MAX);
	for (unsigned i = 0; titles[i]; i++) {
		table->left[i] = titles[i][0] == '<';
		table_add(table, "%s", titles[i] + table->left[i]);
	}
	return table;
}

/* The number of UTF-8 characters. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char) *text & 0xc0) != 0x80;
	return width;
}

static void table_grow(struct table *table)
{
	size_t room = table->room ? 2 * table->room : 64;
	void *cells = realloc(table->cells, room * sizeof(*table->cells));

	if (!cells)
		exit_no_memory();
	table->cells = cells;
	table->room = room;
}

void table_add(struct table *table, const char *fmt, ...)
{
	size_t *width = &table->widths[table->cnt % table->columns];
	char *cell;
	va_list args;

	if (table->cnt == table->room)
		table_grow(table);
	cell = table->cells[table->cnt++];
	va_start(args, fmt);
	(void) vsnprintf(cell, CELL_MAX, fmt, args);
	va_end(args);
	make_printable(cell);
	if (width_of(cell) > *width)
		*width = width_of(cell);
}

void table_end(struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->cnt; i++) {
		unsigned column = (unsigned) (i % table->columns);
		bool last = column + 1 == table->columns;
		int pad = (int) (table->widths[column] - width_of(table->cells[i]));

		if (table->left[column])
			fprintf(out, "%s%*s", table->cells[i], last ? 0 : pad + GAP, "");
		else
			fprintf(out, "%*s%s%*s", pad, "", table->cells[i], last ? 0 : GAP, "");
		if (last)
			fputc('\n', out);
	}
	free(table->cells);
	free(table);
}
