/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the daemon: one line of JSON each way over its socket.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "cli.h"

struct ask {
	int fd; /* -1: not connected */
	const char *path;
	/* Answers where the daemon cannot be asked; returns NULL for a request that only it can
	 * answer. NULL: nothing is answered then. */
	json_t *(*offline)(const json_t *request);
};
#define ASK_INIT(path_) \
	{ \
		.fd = -1, .path = (path_) \
	}

/* Sends a request and returns its result, which the caller owns. Connects first where needed;
 * where it cannot, self->offline may answer. Takes
 * the request; NULL is an argument that is not text. NULL: an error, which is printed to stderr;
 * *status is the exit status then. */
json_t *ask_daemon(struct ask *self, json_t *request, int *status);

/* A new request. device: NULL: none. Returns NULL if the device is not UTF-8. */
json_t *ask_request(const char *method, const char *device);

/* Whether the kernel has not loaded the module without which the daemon serves nothing. modules:
 * the directory with one of each module. */
bool ask_module_is_missing(const char *modules);

/* Closes the connection, if there is one. */
void ask_close(struct ask *self);
