/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket through which tcmuctl asks the daemon: lines of JSON, a request each way at a time.
 *
 * Runs on the main loop and waits for nothing. A client that does not read its answer, or sends no
 * end of a line, costs a bounded buffer and is closed after a while. Only root and the daemon's own
 * user are served: the socket's mode says so, and so do the credentials of who connects.
 *
 * What the requests mean is rpc/methods.h's. The protocol is between one version of tcmuctl and of
 * tcmud, and no interface for others: those use tcmuctl --json or the bus.
 */
#pragma once

#include <stddef.h>

#include <systemd/sd-event.h>

#define CONTROL_SOCKET_NAME        "/run/tcmud/control"
#define CONTROL_SOCKET_REQUEST_MAX 4096u /* bytes of a line */
#define CONTROL_SOCKET_CLIENTS_MAX 32u   /* at once */

struct control_socket;
struct control_client;

/* One request, without the end of its line; any bytes. It is answered once by
 * control_socket_reply(), now or later. */
typedef void control_socket_request_fn(
	void *userdata, struct control_client *client, const char *request, size_t length);

/* Makes the socket, in the place of one that is left over. -errno: it cannot be made. */
int control_socket_new(
	sd_event *event, const char *path, control_socket_request_fn *request, void *userdata,
	struct control_socket **control);

/* Removes the socket. Requests that have not been answered stay, until they are. Takes NULL. */
void control_socket_free(struct control_socket *control);

/* The answer, a line without its end; the client may be gone, which is no matter. Takes the text,
 * allocated by malloc(); NULL closes the connection. */
void control_socket_reply(struct control_client *client, char *text);
