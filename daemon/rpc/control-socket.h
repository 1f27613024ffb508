/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of tcmuctl: lines of JSON, one request at a time for each client.
 *
 * Runs on the event loop; no function waits. A client that does not read its answer, or never ends
 * its line, costs a bounded buffer and is closed after a minute. Only root and the daemon's own
 * user are served: the socket's mode enforces it, and the client's credentials are checked.
 *
 * The protocol is internal: tcmuctl and tcmud of one version use it. Other programs use "tcmuctl
 * --json" or D-Bus. rpc/methods.h lists the requests.
 *
 * Main thread. Running out of memory aborts (glib).
 */
#pragma once

#include <stddef.h>

#include <systemd/sd-event.h>

#define CONTROL_SOCKET_NAME        "/run/tcmud/control"
#define CONTROL_SOCKET_REQUEST_MAX 4096u /* bytes of a line */
#define CONTROL_SOCKET_CLIENTS_MAX 32u   /* at once */

struct control_socket;
struct control_client;

/* One request without its newline; any bytes, valid until the return. The callee answers it once by
 * control_socket_reply(), now or later. */
typedef void control_socket_request_fn(
	void *userdata, struct control_client *client, const char *request, size_t length);

/* Creates the socket, in the place of one that an earlier daemon left. event and userdata outlive
 * it; path is copied. -errno: it cannot be created. */
int control_socket_new(
	sd_event *event, const char *path, control_socket_request_fn *request, void *userdata,
	struct control_socket **control);

/* Closes and removes the socket. Clients whose request is in flight stay until it is answered.
 * Takes NULL. */
void control_socket_free(struct control_socket *control);

/* Sends the answer, a line without its newline. The client may have left already. Takes the text,
 * which malloc() has allocated; NULL closes the connection. */
void control_socket_reply(struct control_client *client, char *text);
