/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a client instance: nothing more leaves it, neither what librados would send again over
 * a new connection nor what the kernel still has to send over the old one.
 *
 * librados has no call for that: closing waits for the requests, and until they have timed out it
 * sends them again whenever the cluster can be reached. So the option of librados that makes every
 * use of a socket fail is set, for this client instance alone. Then its sockets are reset, which
 * drops what the kernel has not sent. The sockets are found by the epoll descriptors of its
 * messenger, which exist from the connect on.
 */
#pragma once

#include <rados/librados.h>
#include <stddef.h>

#define KILL_EPOLLS 32 /* librados makes 24 at most */

/* The epoll descriptors of a client instance. */
struct kill_handle {
	int epolls[KILL_EPOLLS];
	unsigned cnt;
};

/* Connects, and notes the epoll descriptors. Returns what rados_connect() returns. May block. */
int kill_connect(rados_t rados, struct kill_handle *handle);

/* Ends it, at any time between connect and shutdown. The requests in flight end at their time
 * limits. Any thread; does not block. */
void kill_client(rados_t rados, const struct kill_handle *handle);
