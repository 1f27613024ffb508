/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for which no daemon is needed: what handlers are installed, and whether one accepts a
 * config string. The plugins are loaded into this process, with the daemon's code.
 */
#pragma once

#include <jansson.h>

/* The result of a request, as the daemon's, which the caller owns. NULL: only a daemon can answer
 * it. */
json_t *offline_answer(const json_t *request);

/* The same for the plugins of another directory; for tests. */
json_t *offline_answer_from(const char *directory, const json_t *request);
