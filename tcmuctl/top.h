/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The screen of top: which devices it shows, in which order, and what a key does. It knows no
 * terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum top_order {
	TOP_BUSIEST,
	TOP_SLOWEST,
	TOP_WORST,
	TOP_ORDER_COUNT,
};

struct top {
	enum top_order order;
	unsigned first; /* of the devices in this order, the first on the screen */
	char filter[64];
	bool filtering; /* keys are part of the filter */
};

/* What a key means, as terminal_wait() returns it. False: the end. */
bool top_take_key(struct top *top, int key, unsigned height);

/* Draws the screen: height lines of width columns, without a newline after the last. rates: of
 * rates_between(); list: the result of the method "list". */
void top_draw(
	FILE *out, struct top *top, const json_t *rates, const json_t *list, unsigned width,
	unsigned height);
