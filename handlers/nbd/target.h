/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server and the export that a config string names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <tcmu/handler.h>

#define REMOTE_TEXT_SIZE (TCMU_CONFIG_MAX + 1)

/* A copy of what a config string says of the connections. It has no secret: keys stay in their
 * files, which libnbd reads. */
struct remote_endpoint {
	char uri[REMOTE_TEXT_SIZE];    /* "": socket and export */
	char socket[REMOTE_TEXT_SIZE]; /* the path of a Unix socket */
	char export[REMOTE_TEXT_SIZE];
	char certificates[REMOTE_TEXT_SIZE]; /* "": those of the system */
	char psk[REMOTE_TEXT_SIZE];          /* "": none */
	char user[REMOTE_TEXT_SIZE];         /* "": libnbd's default */
	bool tls;
	bool verify;
	unsigned connections;
};

/* Reads a config string. Returns 0; or -EINVAL, or the negative errno of the file of keys, with a
 * reason. */
int remote_parse(
	const struct tcmu_config *config, struct remote_endpoint *endpoint,
	struct tcmu_reason *reason);

/* Names the export independently of the spelling, as far as that is possible without the server.
 * size: bytes of claim. */
void remote_claim(const struct remote_endpoint *endpoint, char *claim, size_t size);

/* The target, for people: a URI without its user, or a path. Valid as long as the endpoint. */
const char *remote_target_name(const struct remote_endpoint *endpoint);
