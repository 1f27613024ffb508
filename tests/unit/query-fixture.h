/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon without a kernel for query.c: what manager.h and device.h tell of devices is what the
 * test says.
 */
#pragma once

#include <jansson.h>

#include "query.h"

#define FIXTURE_DEVICES 2

/* "user_0/disk" on uio0, which is LIVE, and "user_1/sick" on uio1, which is SICK. */
struct fixture_device {
	struct device_view view;
	struct tcmu_name name;
	struct stats stats;
	struct stats_request requests[4];
	unsigned request_cnt;
	unsigned reopened;
	int reopen_error;
};

extern struct fixture_device fixture_devices[FIXTURE_DEVICES];
extern unsigned fixture_device_cnt;

/* Not 0: the kernel has user_7/theirs of the subtype "other" as well. */
extern unsigned fixture_others;

void query_fixture_start(void);
void query_fixture_end(void);

/* The answer to a request, to be freed: {"result": ...} or {"error": ...}. */
json_t *query_ask(const char *request);

/* The same, of bytes. */
json_t *query_ask_bytes(const void *request, size_t length);

struct query *query_fixture(void);

/* Lets checks that hang return. */
void query_release(void);
