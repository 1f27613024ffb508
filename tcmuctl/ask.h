/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the daemon: a line of JSON each way over its socket.
 */
#pragma once

#include <jansson.h>

#include "cli.h"

struct ask {
	int fd; /* -1: not connected */
	const char *path;
};
#define ASK_INIT(path_) \
	{ \
		.fd = -1, .path = (path_) \
	}

/* The answer to a request, which is taken; the caller's. NULL: it was refused or could not be
 * asked, which has been told on stderr, and *status is what to exit with. */
json_t *ask_daemon(struct ask *self, json_t *request, int *status);

/* A request: method, and the device or NULL. */
json_t *ask_request(const char *method, const char *device);

void ask_close(struct ask *self);
