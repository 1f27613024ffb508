/* SPDX-License-Identifier: Apache-2.0 */
/* The table of tests. */
#pragma once

#include <stddef.h>

#include "subject.h"

struct test_case {
	const char *name;
	const char *title; /* for people */
	/* Runs in a separate process, with the plugin loaded. Ends it by verdict_fail() or
	 * verdict_skip(), or returns: then the test has passed. */
	void (*run)(struct subject *subject);
};

/* In the order in which they run. */
size_t case_count(void);
const struct test_case *case_at(size_t index);
const struct test_case *case_find(const char *name);
