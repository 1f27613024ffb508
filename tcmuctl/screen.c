/* SPDX-License-Identifier: Apache-2.0 */
#include "screen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rates.h"
#include "terminal.h"
#include "top.h"

#define FIRST_INTERVAL_S 0.5

struct screen {
	struct top top;
	json_t *list;
	json_t *before, *now; /* results of stats */
};

static void screen_free(struct screen *screen)
{
	json_decref(screen->list);
	json_decref(screen->before);
	json_decref(screen->now);
}

/* Takes the next state of the daemon. Returns an exit status. */
static int screen_ask(struct screen *screen, struct ask *daemon)
{
	int status;
	json_t *list = ask_daemon(daemon, ask_request("list", NULL), &status), *stats;

	if (!list)
		return status;
	stats = ask_daemon(daemon, ask_request("stats", NULL), &status);
	if (!stats) {
		json_decref(list);
		return status;
	}
	json_decref(screen->list);
	json_decref(screen->before);
	screen->list = list;
	screen->before = screen->now;
	screen->now = stats;
	return 0;
}

/* Before the first interval has ended, the rates are those since the daemon's start. */
static void screen_draw(struct screen *screen)
{
	json_t *rates = rates_between(screen->before, screen->now);
	unsigned width, height;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	terminal_size(&width, &height);
	if (out) {
		top_draw(out, &screen->top, rates, screen->list, width, height);
		(void) fclose(out);
		terminal_draw(text);
		free(text);
	}
	json_decref(rates);
}

static double seconds_now(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Draws after each key and each interval, until the end. */
static int screen_repeat(struct screen *screen, struct ask *daemon, double interval, unsigned count)
{
	double next = 0;
	unsigned reports = 0, width, height;
	int key = TERMINAL_TIMEOUT, status = 0;

	do {
		if (seconds_now() >= next) {
			if (count && reports++ > count)
				break;
			status = screen_ask(screen, daemon);
			next = seconds_now() + (screen->before ? interval : FIRST_INTERVAL_S);
		}
		if (status == 0) {
			screen_draw(screen);
			key = terminal_wait(fmax(next - seconds_now(), 0));
			terminal_size(&width, &height);
		}
	} while (status == 0 && top_take_key(&screen->top, key, height));
	return status;
}

int screen_run(struct ask *daemon, double interval, unsigned count)
{
	struct screen screen = {0};
	int status = screen_repeat(&screen, daemon, interval, count);

	screen_free(&screen);
	return status;
}
