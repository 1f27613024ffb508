/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: the connections to the server that are made together and dropped together, and what
 * the server says of the export. One connection that is lost ends the session, because the server
 * may have restarted.
 */
#pragma once

#include <libnbd.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "options.h"
#include "target.h"

/* The abilities of the server. */
struct remote_export {
	uint64_t size; /* bytes */
	bool read_only;
	bool flush;
	bool fua;
	bool trim;
	bool zero;
	bool map; /* block status, of "base:allocation" */
	bool rotational;
	bool tls;
	uint32_t minimum;   /* bytes: unit of offsets and lengths */
	uint32_t preferred; /* bytes; 0: not said */
	uint32_t maximum;   /* bytes of one READ or WRITE */
};

struct remote_session {
	unsigned count;
	struct nbd_handle *handles[REMOTE_CONNECTIONS_MAX];
	struct remote_export export;
};

/* Connects. stop_fd: an eventfd that ends the attempt when it is readable. Returns 0; or a negative
 * errno with a reason, and nothing is left behind. -ECANCELED: stop_fd. Blocks for limit_ms at
 * most; the resolver of host names alone may take longer. */
int session_open(
	const struct remote_endpoint *endpoint, int stop_fd, unsigned limit_ms,
	struct remote_session *session, struct tcmu_reason *reason);

/* Closes the connections at once: nothing is sent any more, and no callback of a command comes
 * after it. */
void session_drop(struct remote_session *session);

/* Says good-bye to the server, within limit_ms, and closes. Nothing is in flight. */
void session_close(struct remote_session *session, unsigned limit_ms);
