/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client is reading, until a whole line is there; then its request is under way; then its answer
 * is written; and it reads again. Only the first and the third wait for the client, and only so
 * long.
 */
#include "rpc/control-socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define BACKLOG          16
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 60) /* after the kernel and the bus */
#define CLIENT_USEC      (60 * UINT64_C(1000000))
#define ACCURACY_USEC    1000000

struct control_client {
	struct control_socket *control; /* NULL: it was freed */
	struct control_client *next, **link;
	int fd; /* -1: the client is gone; its request is still under way */
	sd_event_source *io;
	sd_event_source *timer;
	bool in_flight; /* its request is under way */
	char request[CONTROL_SOCKET_REQUEST_MAX];
	size_t request_length;
	char *answer; /* being written, or NULL */
	size_t answer_length;
	size_t written;
};

struct control_socket {
	sd_event *event;
	char *path;
	int fd;
	sd_event_source *io;
	control_socket_request_fn *request;
	void *userdata;
	struct control_client *clients;
	unsigned cnt;
};

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
	if (!client->control)
		return;
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	client->control->cnt--;
	client->control = NULL;
}

/* A client whose request is under way is freed by its answer. */
static void client_drop(struct control_client *client)
{
	client_hang_up(client);
	client_unlink(client);
	if (!client->in_flight)
		free(client);
}

/* ------- requests and answers ------- */

static void client_wait_for(struct control_client *client, uint32_t events)
{
	if (sd_event_source_set_io_events(client->io, events) < 0 ||
	    sd_event_source_set_time_relative(client->timer, CLIENT_USEC) < 0 ||
	    sd_event_source_set_enabled(client->timer, events ? SD_EVENT_ONESHOT : SD_EVENT_OFF) <
		    0)
		log_error("a client of the control socket cannot be waited for");
}

/* False: the client is gone, and freed. */
static bool client_write_answer(struct control_client *client)
{
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

	client->in_flight = false;
	if (client->fd < 0 || !text) {
		free(text);
		client_drop(client);
		return;
	}
	text[length] = '\n'; /* in the place of the terminator: it is not a string any more */
	client->answer = text;
	client->answer_length = length + 1;
	client->written = 0;
	(void) client_write_answer(client);
}

/* Takes the first line out of what was received, if it is whole. */
static void client_take_line(struct control_client *client)
{
	char line[CONTROL_SOCKET_REQUEST_MAX];
	char *end = memchr(client->request, '\n', client->request_length);
	size_t length;

	if (end && end + 1 != client->request + client->request_length) {
		log_warning("a client of the control socket has sent more than one request");
		client_drop(client);
		return;
	}
	if (!end && client->request_length == sizeof(client->request)) {
		log_warning(
			"a request on the control socket is longer than %u bytes",
			CONTROL_SOCKET_REQUEST_MAX);
		client_drop(client);
		return;
	}
	if (!end)
		return;
	length = (size_t) (end - client->request);
	memcpy(line, client->request, length);
	client->request_length = 0;
	client->in_flight = true;
	client_wait_for(client, 0);
	client->control->request(client->control->userdata, client, line, length);
}

static void client_receive(struct control_client *client)
{
	ssize_t n = recv(
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

	(void) source;
	(void) fd;
	if (client->in_flight)
		client_drop(client); /* EPOLLHUP is not asked for and comes all the same */
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
	struct ucred peer = {.uid = (uid_t) -1};
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	*uid = peer.uid;
	return peer.uid == 0 || peer.uid == geteuid();
}

static int client_new(struct control_socket *control, int fd)
{
	struct control_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->fd = -1;
	r = sd_event_add_io(control->event, &client->io, fd, EPOLLIN, on_client, client);
	if (r >= 0)
		r = sd_event_source_set_priority(client->io, CONTROL_PRIORITY);
	if (r >= 0)
		r = sd_event_add_time_relative(
			control->event, &client->timer, CLOCK_MONOTONIC, CLIENT_USEC, ACCURACY_USEC,
			on_client_timeout, client);
	if (r < 0) {
		client_hang_up(client);
		free(client);
		return r;
	}
	client->fd = fd;
	client->control = control;
	client->next = control->clients;
	client->link = &control->clients;
	if (client->next)
		client->next->link = &client->next;
	control->clients = client;
	control->cnt++;
	return 0;
}

static int on_connection(sd_event_source *source, int listener, uint32_t revents, void *userdata)
{
	static struct log_limit limit = LOG_LIMIT(3, 60);
	struct control_socket *control = userdata;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uid_t uid = (uid_t) -1;
	unsigned more;

	(void) source;
	(void) revents;
	if (fd < 0)
		return 0;
	if (may_connect(fd, &uid) && control->cnt < CONTROL_SOCKET_CLIENTS_MAX &&
	    client_new(control, fd) == 0)
		return 0;
	if (log_limit_pass(&limit, &more))
		log_warning(
			"a client of the control socket, of user %d, is turned away: only root is "
			"served, "
			"and %u "
			"clients at once",
			(int) uid, CONTROL_SOCKET_CLIENTS_MAX);
	(void) close(fd);
	return 0;
}

/* ------- the socket ------- */

/* What is left over of a daemon that died is nobody's: there is only one daemon. */
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
	/* The mode of the socket is that of the file from its first moment on. */
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
	struct control_socket *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	*control = (struct control_socket){
		.event = event, .fd = -1, .request = request, .userdata = userdata};
	r = make_socket(path);
	if (r >= 0) {
		control->fd = r;
		control->path = strdup(path);
		r = control->path
			? sd_event_add_io(
				  event, &control->io, control->fd, EPOLLIN, on_connection, control)
			: -ENOMEM;
	}
	if (r >= 0)
		r = sd_event_source_set_priority(control->io, CONTROL_PRIORITY);
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
	for (struct control_client *client = control->clients, *next; client; client = next) {
		next = client->next;
		client_drop(client);
	}
	sd_event_source_disable_unref(control->io);
	if (control->fd >= 0)
		(void) close(control->fd);
	if (control->path)
		(void) unlink(control->path);
	free(control->path);
	free(control);
}
