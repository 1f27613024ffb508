/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one source of the completions of all shells: what may stand in the place of the last word of
 * a command line of tcmuctl.
 */
#pragma once

#include <stdio.h>

#include <jansson.h>

/* The daemon's answer to a method, to be freed; NULL: there is none. socket: NULL: the usual one.
 */
typedef json_t *complete_ask_fn(void *userdata, const char *socket, const char *method);

/* Prints each word that may be the last of the line, as "WORD<tab>DESCRIPTION"; ":files" where any
 * file may be it. words: those behind "tcmuctl"; the last may be incomplete or "". */
void complete_line(FILE *out, char *const *words, int cnt, complete_ask_fn *ask, void *userdata);
