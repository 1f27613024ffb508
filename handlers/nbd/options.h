/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a config string. The table is in options.c.
 */
#pragma once

#include <tcmu/handler.h>

/* The order of the option table. */
enum remote_option {
	REMOTE_EXPORT,
	REMOTE_CONNECTIONS,
	REMOTE_TIMEOUT,
	REMOTE_UNFLUSHED,
	REMOTE_TLS,
	REMOTE_CERTIFICATES,
	REMOTE_PSK,
	REMOTE_USER,
	REMOTE_VERIFY,
	REMOTE_OPTIONS,
};

#define REMOTE_CONNECTIONS_MAX 16u

/* Bytes of `unflushed`, if it is not 0. */
#define REMOTE_UNFLUSHED_MIN (UINT64_C(4) << 20)
#define REMOTE_UNFLUSHED_MAX (UINT64_C(1) << 30)

extern const struct tcmu_option remote_options[REMOTE_OPTIONS + 1];
