/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 320
#define GAP      2

struct table {
	unsigned columns;
	bool *left;
	size_t *widths;
	char **cells;
	size_t cnt, room;
};

/* Nothing that a terminal would take for an order. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			*text = '?';
}

static _Noreturn void no_memory(void)
{
	fputs("tcmuctl: out of memory\n", stderr);
	exit(1);
}

static void *checked(void *memory)
{
	if (!memory)
		no_memory();
	return memory;
}

struct table *table_new(const char *const *titles)
{
	struct table *table = checked(calloc(1, sizeof(*table)));

	while (titles[table->columns])
		table->columns++;
	assert(table->columns > 0);
	table->left = checked(calloc(table->columns, sizeof(*table->left)));
	table->widths = checked(calloc(table->columns, sizeof(*table->widths)));
	for (unsigned i = 0; titles[i]; i++) {
		table->left[i] = titles[i][0] == '<';
		table_add(table, "%s", titles[i] + table->left[i]);
	}
	return table;
}

/* How many characters the terminal shows. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char) *text & 0xc0) != 0x80;
	return width;
}

void table_add(struct table *table, const char *fmt, ...)
{
	size_t *width = &table->widths[table->cnt % table->columns];
	char text[CELL_MAX];
	va_list args;

	va_start(args, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	make_printable(text);
	if (table->cnt == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->cells = checked(realloc(table->cells, table->room * sizeof(*table->cells)));
	}
	table->cells[table->cnt++] = checked(strdup(text));
	if (width_of(text) > *width)
		*width = width_of(text);
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
		free(table->cells[i]);
	}
	free(table->cells);
	free(table->left);
	free(table->widths);
	free(table);
}
