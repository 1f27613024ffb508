/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and libnbd. The holder of remote->client.
 */
#pragma once

#include "remote.h"

/* Sends the next step of a request, which is in no list. Returns 0: it is in remote->sent; or a
 * negative errno. -ENOTCONN: the session is lost. */
int remote_send(struct remote *remote, struct remote_request *request);

/* Whether an error of an answer means that the session is lost. */
bool remote_is_lost(int error);

/* The outcome of a request that the server has refused: 0 or a negative errno. */
int remote_outcome(enum tcmu_io_op op, int error);
