/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each report is a datagram to NOTIFY_SOCKET. libsystemd's own functions for that, its watchdog
 * among them, wait for a receiver whose queue is full, and the event loop with them. So reports are
 * sent without waiting here: what does not fit is kept, the latest value of each, and sent together
 * when there is room.
 */
#include "program/notify.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/thread.h"

#define STATUS_MAX     256
#define MESSAGE_MAX    (STATUS_MAX + 64)
#define RETRY_US       UINT64_C(100000)
#define RETRY_ACCURACY UINT64_C(10000)
/* No flow of other events may starve it. */
#define WATCHDOG_PRIORITY (SD_EVENT_PRIORITY_IMPORTANT - 10)

static struct {
	bool ready; /* these four: still to be sent */
	bool stopping;
	bool alive;
	bool status_changed;
	char status[STATUS_MAX];
	sd_event_source *retry;    /* on: something is still to be sent */
	sd_event_source *watchdog; /* NULL: the service manager wants none */
	uint64_t watchdog_us;      /* between two signs of life */
} notify;

/* ------- sending ------- */

/* The length of the address; 0: there is no service manager. "@" means an abstract name. */
static socklen_t notify_address(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (length < 2 || length >= sizeof(address->sun_path) || (*path != '/' && *path != '@'))
		return 0;
	memcpy(address->sun_path, path, length);
	if (*path == '@')
		address->sun_path[0] = '\0';
	return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
}

/* -EAGAIN: the queue of the receiver is full. Every other error is final. */
static int notify_send(const char *message, size_t length)
{
	struct sockaddr_un address;
	socklen_t address_length = notify_address(&address);
	int fd, r = 0;

	if (!address_length)
		return 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, message, length, MSG_DONTWAIT | MSG_NOSIGNAL,
		   (const struct sockaddr *) &address, address_length) < 0)
		r = errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -errno;
	(void) close(fd);
	return r;
}

static size_t notify_compose(char message[MESSAGE_MAX])
{
	int length = snprintf(
		message, MESSAGE_MAX, "%s%s%s%s%s", notify.ready ? "READY=1\n" : "",
		notify.stopping ? "STOPPING=1\n" : "", notify.alive ? "WATCHDOG=1\n" : "",
		notify.status_changed ? "STATUS=" : "", notify.status_changed ? notify.status : "");

	assert(length >= 0 && length < MESSAGE_MAX);
	if (length > 0 && message[length - 1] == '\n')
		length--;
	return (size_t) length;
}

/* Sends all that is still to be sent, or tries again in a moment. */
static void notify_flush(void)
{
	char message[MESSAGE_MAX];
	size_t length = notify_compose(message);
	bool full = length && notify_send(message, length) == -EAGAIN;

	assert(thread_is_main());
	if (!full)
		notify.ready = notify.stopping = notify.alive = notify.status_changed = false;
	if (!notify.retry)
		return;
	(void) sd_event_source_set_time_relative(notify.retry, RETRY_US);
	(void) sd_event_source_set_enabled(notify.retry, full ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* ------- reports ------- */

void notify_ready(void)
{
	notify.ready = true;
	notify_flush();
}

void notify_stopping(void)
{
	notify.stopping = true;
	notify_flush();
}

void notify_status(const char *fmt, ...)
{
	char status[STATUS_MAX];
	va_list args;

	assert(thread_is_main()); /* notify has no lock */
	va_start(args, fmt);
	(void) vsnprintf(status, sizeof(status), fmt, args);
	va_end(args);
	if (strcmp(status, notify.status) == 0)
		return;
	memcpy(notify.status, status, sizeof(notify.status));
	notify.status_changed = true;
	notify_flush();
}

/* ------- the event loop ------- */

static int notify_retry_now(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void) source;
	(void) usec;
	(void) userdata;
	notify_flush();
	return 0;
}

static int notify_watchdog_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void) usec;
	(void) userdata;
	assert(notify.watchdog_us);
	notify.alive = true;
	notify_flush();
	(void) sd_event_source_set_time_relative(source, notify.watchdog_us);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int notify_start_watchdog(sd_event *event, uint64_t timeout)
{
	int r;

	notify.watchdog_us = timeout / 2;
	r = sd_event_add_time_relative(
		event, &notify.watchdog, CLOCK_MONOTONIC, notify.watchdog_us, timeout / 8,
		notify_watchdog_due, NULL);
	if (r >= 0)
		r = sd_event_source_set_priority(notify.watchdog, WATCHDOG_PRIORITY);
	if (r < 0)
		return r;
	notify.alive = true;
	notify_flush();
	return 1;
}

int notify_start(sd_event *event)
{
	uint64_t timeout = 0;
	int r;

	assert(event && !notify.retry);
	r = sd_event_add_time_relative(
		event, &notify.retry, CLOCK_MONOTONIC, RETRY_US, RETRY_ACCURACY, notify_retry_now,
		NULL);
	if (r >= 0)
		notify_flush();
	if (r >= 0)
		r = sd_watchdog_enabled(0, &timeout);
	return r > 0 ? notify_start_watchdog(event, timeout) : r;
}

void notify_end(void)
{
	notify.retry = sd_event_source_disable_unref(notify.retry);
	notify.watchdog = sd_event_source_disable_unref(notify.watchdog);
	assert(!notify.retry && !notify.watchdog);
	notify_flush();
}
