/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client thread of an export, and the functions of the handler's table that reach it.
 */
#pragma once

#include "remote.h"

/* Starts the thread; the session is there. Returns 0 or a negative errno. */
int remote_client_start(struct remote *remote);

/* Ends the thread within a limit: what is not flushed is flushed, if the server answers. */
void remote_client_stop(struct remote *remote);

/* The I/O thread. */
void remote_submit(void *backend, struct tcmu_io *io);
void remote_cancel(void *backend, struct tcmu_io *io);

/* Nothing reaches the server any more, and all requests end. The main thread. */
void remote_abandon(void *backend);
