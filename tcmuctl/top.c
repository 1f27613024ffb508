/* SPDX-License-Identifier: Apache-2.0 */
#include "top.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "health.h"
#include "members.h"
#include "rates.h"
#include "terminal.h"

#define LINES_AROUND 3 /* the summary, the titles, the keys */

static const char *const order_names[] = {
	[TOP_BUSIEST] = "busiest",
	[TOP_SLOWEST] = "slowest",
	[TOP_WORST] = "worst",
};

/* ------- keys ------- */

static unsigned page_of(unsigned height)
{
	return height > LINES_AROUND ? height - LINES_AROUND : 1;
}

static void take_filter_key(struct top *top, int key)
{
	size_t length = strlen(top->filter);

	if (key == '\n' || key == '\r' || key == TERMINAL_ESCAPE) {
		top->filtering = false;
		if (key == TERMINAL_ESCAPE)
			top->filter[0] = '\0';
	} else if (key == 0x7f || key == '\b') {
		top->filter[length ? length - 1 : 0] = '\0';
	} else if (key > ' ' && key < 0x7f && length + 1 < sizeof(top->filter)) {
		top->filter[length] = (char) key;
		top->filter[length + 1] = '\0';
	}
	top->first = 0;
}

static void scroll_top(struct top *top, int key, unsigned height)
{
	unsigned page = page_of(height);

	switch (key) {
	case TERMINAL_UP:
		top->first -= top->first > 0;
		break;
	case TERMINAL_DOWN:
		top->first++;
		break;
	case TERMINAL_PAGE_UP:
		top->first -= top->first < page ? top->first : page;
		break;
	case TERMINAL_PAGE_DOWN:
		top->first += page;
		break;
	case TERMINAL_HOME:
		top->first = 0;
		break;
	case TERMINAL_LAST:
		top->first = UINT32_MAX / 2; /* drawing limits it */
		break;
	default:
		break;
	}
}

bool top_take_key(struct top *top, int key, unsigned height)
{
	assert(top->order < TOP_ORDER_COUNT);
	if (key == TERMINAL_END)
		return false;
	if (key < 0)
		return true;
	if (top->filtering) {
		take_filter_key(top, key);
		return true;
	}
	if (key == 's') {
		top->order = (top->order + 1) % TOP_ORDER_COUNT;
		top->first = 0;
	} else if (key == '/') {
		top->filtering = true;
		top->filter[0] = '\0';
	} else {
		scroll_top(top, key, height);
	}
	return key != 'q';
}

/* ------- the order ------- */

struct row {
	const json_t *rates;
	size_t at; /* in the answer */
	double key;
};

static double slowest_of(const json_t *rates)
{
	double read = member_number(json_object_get(rates, "read_latency_seconds"), "p99");
	double write = member_number(json_object_get(rates, "write_latency_seconds"), "p99");

	return read > write ? read : write;
}

static double row_key(enum top_order order, const json_t *rates, const json_t *list)
{
	switch (order) {
	case TOP_SLOWEST:
		return slowest_of(rates);
	case TOP_WORST:
		return (!health_is_well(member_device(list, member_text(rates, "device"))) ? 1e12
											   : 0) +
			member_number(rates, "failed_per_second") * 1e3 + slowest_of(rates);
	default:
		return rates_load(rates);
	}
}

static int greater_first(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	if (left->key != right->key)
		return left->key < right->key ? 1 : -1;
	return left->at < right->at ? -1 : left->at > right->at;
}

/* The devices that the filter leaves, in order. To be freed; NULL: out of memory. */
static struct row *sorted_rows(
	const struct top *top, const json_t *rates, const json_t *list, unsigned *cnt)
{
	const json_t *devices = json_object_get(rates, "devices"), *device;
	struct row *rows = calloc(json_array_size(devices) + 1, sizeof(*rows));
	size_t i;

	*cnt = 0;
	member_each (devices, i, device)
		if (rows && strstr(member_text(device, "device"), top->filter))
			rows[(*cnt)++] = (struct row){
				.rates = device, .at = i, .key = row_key(top->order, device, list)};
	if (rows)
		qsort(rows, *cnt, sizeof(*rows), greater_first);
	return rows;
}

/* ------- the screen ------- */

static unsigned count_attention(const json_t *list)
{
	const json_t *device;
	unsigned cnt = 0;
	size_t i;

	member_each (json_object_get(list, "devices"), i, device)
		cnt += !health_is_well(device);
	return cnt;
}

/* As much of the line as fits: one column for each character of UTF-8. */
static void draw_line(FILE *out, unsigned width, const char *text)
{
	unsigned column = 0;

	for (; *text && *text != '\n'; text++) {
		column += ((unsigned char) *text & 0xc0) != 0x80;
		if (column > width)
			break;
		fputc(*text, out);
	}
}

/* The titles stay, also where there are no devices. */
static void draw_table(FILE *out, const json_t *devices, unsigned width)
{
	char *text = NULL;
	size_t size;
	FILE *table = open_memstream(&text, &size);

	if (!table)
		return;
	rates_show_within(table, devices, width);
	(void) fclose(table);
	for (const char *line = text; line && *line; line = strchr(line, '\n') + 1) {
		draw_line(out, width, line);
		fputc('\n', out);
	}
	free(text);
}

static void draw_summary(
	FILE *out, const struct top *top, const json_t *list, unsigned cnt, unsigned last,
	unsigned width)
{
	char text[256];
	size_t all = json_array_size(json_object_get(list, "devices"));

	(void) snprintf(
		text, sizeof(text), "%zu devices, %u not well; %u to %u of %u, the %s first", all,
		count_attention(list), last ? top->first + 1 : 0, last, cnt,
		order_names[top->order]);
	draw_line(out, width, text);
	fputc('\n', out);
}

static void draw_keys(FILE *out, const struct top *top, unsigned width)
{
	char text[192];

	if (top->filtering || top->filter[0])
		(void) snprintf(
			text, sizeof(text), "filter: %s%s", top->filter,
			top->filtering ? "_   Enter: keep   Esc: remove" : "   /: other   q: quit");
	else
		(void) snprintf(
			text, sizeof(text),
			"q: quit   s: order   /: filter   arrows, pages, Home, End: scroll");
	draw_line(out, width, text);
}

void top_draw(
	FILE *out, struct top *top, const json_t *rates, const json_t *list, unsigned width,
	unsigned height)
{
	unsigned page = page_of(height), cnt, last;
	struct row *rows = sorted_rows(top, rates, list, &cnt);
	json_t *shown = json_array();

	if (top->first + page > cnt)
		top->first = cnt > page ? cnt - page : 0;
	last = top->first + page < cnt ? top->first + page : cnt;
	draw_summary(out, top, list, cnt, last, width);
	for (unsigned i = top->first; rows && i < last; i++)
		(void) json_array_append(shown, (json_t *) rows[i].rates);
	draw_table(out, shown, width);
	for (unsigned i = last - top->first; i < page; i++)
		fputc('\n', out);
	draw_keys(out, top, width);
	json_decref(shown);
	free(rows);
}
