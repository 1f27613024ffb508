/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nbd handler: the bytes of a device are those of an export of an NBD server, by libnbd.
 *
 * options.c: the table of options. target.c: the config string. session.c: connections.
 * connector.c: the thread that makes them. open.c: the export, its properties, resize. client.c:
 * the thread that has all requests. send.c: one request and libnbd. journal.c: writes that the
 * server may lose. extents.c: allocated blocks. gather.c: pauses in which answers come together.
 * This file: the handler's table.
 */
#include "client.h"
#include "connector.h"
#include "open.h"
#include "options.h"
#include "remote.h"

static const struct tcmu_counter remote_counters[REMOTE_COUNTERS + 1] = {
	[REMOTE_COUNT_CONNECTIONS] =
		{.name = "connections",
		 .help = "connections to the server",
		 .flags = TCMU_COUNTER_GAUGE},
	[REMOTE_COUNT_RECONNECTED] =
		{.name = "reconnected", .help = "how often it was connected again"},
	[REMOTE_COUNT_RETRIED] =
		{.name = "retried",
		 .help = "commands that were repeated after a connection was lost"},
	[REMOTE_COUNT_REPLAYED] =
		{.name = "replayed",
		 .help = "unflushed writes that were repeated after a connection was lost"},
	[REMOTE_COUNT_TIMED_OUT] =
		{.name = "timed_out", .help = "commands that the server did not answer in time"},
	[REMOTE_COUNT_UNFLUSHED] =
		{.name = "unflushed_bytes",
		 .help = "memory of writes that the server may lose",
		 .flags = TCMU_COUNTER_GAUGE},
};

TCMU_HANDLER(.subtype = "nbd", .name = "export of an NBD server",
	     .config_desc = "a URI of NBD with %XX for colons, or the path of a Unix socket, then "
			    "options: nbd%3A//server/export[;name=value]... or "
			    "/socket[;name=value]...",
	     .threading = TCMU_HANDLER_ASYNC,
	     .flags = TCMU_HANDLER_ESCAPED_CONFIG | TCMU_HANDLER_FLAT,
	     .io_priv_size = sizeof(struct remote_request), .options = remote_options,
	     .check_config = remote_check_config, .open = remote_open, .close = remote_close,
	     .submit = remote_submit, .cancel = remote_cancel, .resize = remote_resize,
	     .claim = remote_claim_config, .abandon = remote_abandon, .given_up = connector_left,
	     .counters = remote_counters);
