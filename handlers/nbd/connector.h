/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that makes sessions, as often as one is wanted: the resolver of host names blocks, and a
 * server may take long to answer. The thread has its own copy of all that it uses, so that it can
 * be left where the resolver blocks it.
 */
#pragma once

#include <stdbool.h>

#include <tcmu/handler.h>

#include "session.h"

struct connector;

/* Starts the thread. wake_fd: an eventfd that is written when a session is there or an attempt has
 * failed. NULL: no memory, or no thread. */
struct connector *connector_new(const struct remote_endpoint *endpoint, int wake_fd);

/* Asks for a session. Until it is there, the thread tries again and again, with pauses that become
 * longer. A session that was of no use, or soon lost, is followed by a pause like a failure: such a
 * server is not asked a thousand times a second. */
void connector_want(struct connector *connector);

/* Takes the session, if it is there. */
bool connector_take(struct connector *connector, struct remote_session *session);

/* Waits for the first session, or for an attempt that fails. Returns 0; or a negative errno with a
 * reason. -ETIMEDOUT: neither has happened in time. */
int connector_wait(
	struct connector *connector, unsigned limit_ms, struct remote_session *session,
	struct tcmu_reason *reason);

/* The reason why the last attempt has failed; "": it has not. */
void connector_reason(struct connector *connector, struct tcmu_reason *reason);

/* Ends the thread, or leaves it where the resolver blocks it. Frees the connector. */
void connector_stop(struct connector *connector);

/* How many threads were left and have not ended. */
unsigned connector_left(void);
