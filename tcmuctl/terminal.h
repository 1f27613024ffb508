/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal as a screen with keys. It is given back as it was, also when a signal ends the
 * program.
 */
#pragma once

#include <stdbool.h>

enum terminal_key { /* beside characters */
	TERMINAL_TIMEOUT = -1,
	TERMINAL_END = -2, /* a signal, or the terminal is gone */
	TERMINAL_RESIZED = -3,
	TERMINAL_UP = 256,
	TERMINAL_DOWN,
	TERMINAL_PAGE_UP,
	TERMINAL_PAGE_DOWN,
	TERMINAL_HOME,
	TERMINAL_LAST,
	TERMINAL_ESCAPE,
};

/* Takes standard input and output, which are terminals. False: they are not, or cannot be used. */
bool terminal_begin(void);

/* Gives them back. */
void terminal_end(void);

/* Columns and lines, now. */
void terminal_size(unsigned *width, unsigned *height);

/* Shows this text instead of what was there. */
void terminal_draw(const char *text);

/* Waits for a key, at most so many seconds. Returns a character or an enum terminal_key. */
int terminal_wait(double seconds);
