/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client goes round in three phases: its request is read until the line is complete; the request
 * is in flight; its answer is written. Only the first and the third wait for the client, and both
 * have a time limit.
 *
 * A connection that waits keeps the listener ready. While accept4() fails because no
 * descriptor is left, the listener is switched off. One descriptor is kept in reserve, so that one
 * client at a time is served nevertheless: the operator has to see what is wrong.
 */
#include "rpc/control-socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>

#include "base/log.h"
#include "base/priority.h"
#include "base/scarce.h"
#include "base/trust.h"

#define BACKLOG       16
#define CLIENT_USEC   (60 * UINT64_C(1000000))
#define ACCURACY_USEC 1000000
#define PAUSE_USEC    UINT64_C(1000000)

struct control_client {
	GList link;
	struct control_socket *control; /* NULL: not in its list */
	int fd;                         /* -1: closed */
	sd_event_source *io;
	sd_event_source *timer;
	bool in_flight; /* its request waits for control_socket_reply() */
	char request[CONTROL_SOCKET_REQUEST_MAX];
	size_t request_length;
	char *answer; /* being written; NULL: none */
	size_t answer_length;
	size_t written;
};

struct control_socket {
	sd_event *event;
	char *path;
	int fd;
	int reserve; /* a second descriptor of the listener; -1: used up */
	sd_event_source *io;
	sd_event_source *pause; /* on: the listener is off */
	control_socket_request_fn *request;
	void *userdata;
	GQueue clients; /* struct control_client */
};

/* ------- out of descriptors ------- */

static void control_pause(struct control_socket *control)
{
	if (sd_event_source_set_time_relative(control->pause, PAUSE_USEC) >= 0 &&
	    sd_event_source_set_enabled(control->pause, SD_EVENT_ONESHOT) >= 0)
		(void) sd_event_source_set_enabled(control->io, SD_EVENT_OFF);
}

/* Takes a descriptor for the reserve, if one is free. Then a client can be accepted again. */
static void control_resume(struct control_socket *control)
{
	if (control->reserve < 0)
		control->reserve = fcntl(control->fd, F_DUPFD_CLOEXEC, 0);
	if (control->reserve < 0)
		return;
	(void) sd_event_source_set_enabled(control->pause, SD_EVENT_OFF);
	(void) sd_event_source_set_enabled(control->io, SD_EVENT_ON);
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct control_socket *control = userdata;

	(void) usec;
	assert(source == control->pause);
	control_resume(control);
	if (control->reserve < 0)
		control_pause(control);
	return 0;
}

static int accept_client(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* Accepts a client by means of the reserve, or switches the listener off. */
static int accept_scarce(struct control_socket *control, int error)
{
	static struct log_limit limit = LOG_LIMIT(1, 60);
	unsigned more;

	if (log_limit_pass(&limit, &more))
		log_error(
			"cannot accept a client of the control socket: %s; clients have to wait; "
			"raise LimitNOFILE= of the unit, or remove devices",
			strerror(-error));
	if (control->reserve >= 0) {
		(void) close(control->reserve);
		control->reserve = -1;
		error = accept_client(control->fd);
	}
	if (scarce_error(error))
		control_pause(control);
	return error;
}

/* ------- the end of a client ------- */

static void client_hang_up(struct control_client *client)
{
	client->io = sd_event_source_disable_unref(client->io);
	client->timer = sd_event_source_disable_unref(client->timer);
	if (client->fd >= 0)
		(void) close(client->fd);
	client->fd = -1;
	free(client->answer);
	client->answer = NULL;
}

static void client_unlink(struct control_client *client)
{
	assert(!client->control || client->control->clients.length > 0);
	if (!client->control)
		return;
	assert(g_queue_link_index(&client->control->clients, &client->link) >= 0);
	g_queue_unlink(&client->control->clients, &client->link);
	control_resume(client->control);
	client->control = NULL;
}

/* Closes the connection. A client whose request is in flight is freed by its answer. */
static void client_drop(struct control_client *client)
{
	client_hang_up(client);
	client_unlink(client);
	if (!client->in_flight)
		g_free(client);
}

/* ------- requests and answers ------- */

static void client_wait_for(struct control_client *client, uint32_t events)
{
	assert(client->io && client->timer);
	if (sd_event_source_set_io_events(client->io, events) < 0 ||
	    sd_event_source_set_time_relative(client->timer, CLIENT_USEC) < 0 ||
	    sd_event_source_set_enabled(client->timer, events ? SD_EVENT_ONESHOT : SD_EVENT_OFF) <
		    0)
		log_error(
			"cannot wait for a client of the control socket: it may hang; run tcmuctl "
			"again");
}

/* False: the client has left and is freed. */
static bool client_write_answer(struct control_client *client)
{
	assert(client->answer && !client->in_flight);
	while (client->written < client->answer_length) {
		ssize_t n = send(
			client->fd, client->answer + client->written,
			client->answer_length - client->written, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			client_wait_for(client, EPOLLOUT);
			return true;
		}
		if (n < 0) {
			client_drop(client);
			return false;
		}
		client->written += (size_t) n;
	}
	free(client->answer);
	client->answer = NULL;
	client_wait_for(client, EPOLLIN);
	return true;
}

void control_socket_reply(struct control_client *client, char *text)
{
	size_t length = text ? strlen(text) : 0;

	assert(client->in_flight && !client->answer);
	client->in_flight = false;
	if (client->fd < 0 || !text) {
		free(text);
		client_drop(client);
		return;
	}
	text[length] = '\n'; /* replaces the terminator: the text is no string any more */
	client->answer = text;
	client->answer_length = length + 1;
	client->written = 0;
	(void) client_write_answer(client);
}

/* Runs the request, if its line is complete. */
static void client_take_line(struct control_client *client)
{
	char line[CONTROL_SOCKET_REQUEST_MAX];
	char *end = memchr(client->request, '\n', client->request_length);
	size_t length;

	if (end && end + 1 != client->request + client->request_length) {
		log_warning("closed a client of the control socket: it sent a second request "
			    "before the "
			    "answer to the first");
		client_drop(client);
		return;
	}
	if (!end && client->request_length == sizeof(client->request)) {
		log_warning(
			"closed a client of the control socket: its request is longer than %u "
			"bytes",
			CONTROL_SOCKET_REQUEST_MAX);
		client_drop(client);
		return;
	}
	if (!end)
		return;
	assert(!client->in_flight && client->control);
	length = (size_t) (end - client->request);
	assert(length < sizeof(line));
	memcpy(line, client->request, length);
	client->request_length = 0;
	client->in_flight = true;
	client_wait_for(client, 0);
	client->control->request(client->control->userdata, client, line, length);
}

static void client_receive(struct control_client *client)
{
	ssize_t n;

	assert(client->request_length < sizeof(client->request));
	n = recv(
		client->fd, client->request + client->request_length,
		sizeof(client->request) - client->request_length, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_drop(client);
		return;
	}
	client->request_length += (size_t) n;
	client_take_line(client);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control_client *client = userdata;

	assert(client->fd == fd && client->control);
	(void) source;
	(void) fd;
	if (client->in_flight)
		client_drop(client); /* EPOLLHUP comes without being requested */
	else if (client->answer && !(revents & (EPOLLHUP | EPOLLERR)))
		(void) client_write_answer(client);
	else if (client->answer)
		client_drop(client);
	else
		client_receive(client);
	return 0;
}

static int on_client_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void) source;
	(void) usec;
	client_drop(userdata);
	return 0;
}

/* ------- connections ------- */

static bool may_connect(int fd, uid_t *uid)
{
	struct ucred credentials = {.uid = (uid_t) -1};
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	*uid = credentials.uid;
	return trust_user(credentials.uid);
}

static int client_new(struct control_socket *control, int fd)
{
	struct control_client *client = g_new0(struct control_client, 1);
	int r;

	assert(fd >= 0);
	client->fd = -1;
	r = sd_event_add_io(control->event, &client->io, fd, EPOLLIN, on_client, client);
	if (r >= 0)
		r = sd_event_source_set_priority(client->io, PRIORITY_CONTROL);
	if (r >= 0)
		r = sd_event_add_time_relative(
			control->event, &client->timer, CLOCK_MONOTONIC, CLIENT_USEC, ACCURACY_USEC,
			on_client_timeout, client);
	if (r < 0) {
		client_hang_up(client);
		g_free(client);
		return r;
	}
	client->fd = fd;
	client->control = control;
	client->link.data = client;
	g_queue_push_tail_link(&control->clients, &client->link);
	assert(control->clients.length <= CONTROL_SOCKET_CLIENTS_MAX);
	return 0;
}

static int on_connection(sd_event_source *source, int listener, uint32_t revents, void *userdata)
{
	static struct log_limit limit = LOG_LIMIT(3, 60);
	struct control_socket *control = userdata;
	int fd = accept_client(listener);
	uid_t uid = (uid_t) -1;
	unsigned more;

	assert(listener == control->fd);
	(void) source;
	(void) revents;
	if (scarce_error(fd))
		fd = accept_scarce(control, fd);
	if (fd < 0)
		return 0;
	if (may_connect(fd, &uid) && control->clients.length < CONTROL_SOCKET_CLIENTS_MAX &&
	    client_new(control, fd) == 0)
		return 0;
	if (log_limit_pass(&limit, &more))
		log_warning(
			"refused a client of user %d on the control socket: only root is served, "
			"and at "
			"most %u clients at once%s",
			(int) uid, CONTROL_SOCKET_CLIENTS_MAX,
			more ? "; more were refused since the last message" : "");
	(void) close(fd);
	control_resume(control);
	return 0;
}

/* ------- the socket ------- */

/* A socket file that exists belongs to a daemon that died: only one daemon runs. */
static int make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	(void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void) unlink(path);
	/* The file gets the mode of the socket, so it never exists with another one. */
	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		(void) close(fd);
	return r < 0 ? r : fd;
}

int control_socket_new(
	sd_event *event, const char *path, control_socket_request_fn *request, void *userdata,
	struct control_socket **ret)
{
	struct control_socket *control = g_new0(struct control_socket, 1);
	int r;

	assert(request);
	*control = (struct control_socket){
		.event = event,
		.fd = -1,
		.reserve = -1,
		.request = request,
		.userdata = userdata,
	};
	g_queue_init(&control->clients);
	r = make_socket(path);
	if (r >= 0) {
		control->fd = r;
		control->path = g_strdup(path);
		r = sd_event_add_io(
			event, &control->io, control->fd, EPOLLIN, on_connection, control);
	}
	if (r >= 0)
		r = sd_event_source_set_priority(control->io, PRIORITY_CONTROL);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &control->pause, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_pause_end,
			control);
	if (r >= 0)
		control_resume(control);
	if (r < 0) {
		control_socket_free(control);
		return r;
	}
	*ret = control;
	return 0;
}

void control_socket_free(struct control_socket *control)
{
	if (!control)
		return;
	while (!g_queue_is_empty(&control->clients))
		client_drop(g_queue_peek_head(&control->clients));
	sd_event_source_disable_unref(control->io);
	sd_event_source_disable_unref(control->pause);
	if (control->reserve >= 0)
		(void) close(control->reserve);
	if (control->fd >= 0)
		(void) close(control->fd);
	if (control->path)
		(void) unlink(control->path);
	g_free(control->path);
	g_free(control);
}
