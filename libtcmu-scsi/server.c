/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a subtype: <tcmu/server.h>. The lists and the sockets are of the thread that uses
 * the server. The threads of the devices write to wake_fd when their state changes.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <tcmu/module.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

#define RELEASE_MS 1000u

struct tcmu_server {
	char subtype[64];
	struct tcmu_server_functions functions;
	void *userdata;
	struct tcmu_netlink *netlink;
	int epoll_fd, wake_fd, timer_fd;
	bool scan; /* for devices whose events were lost */
	struct device *devices;
	struct device *hanging; /* released; their threads have not ended */
};

static uint64_t server_now(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static struct device **server_find(struct tcmu_server *server, unsigned minor)
{
	struct device **link = &server->devices;

	while (*link && (*link)->at.minor != minor)
		link = &(*link)->next;
	return link;
}

static bool server_has_subtype(const struct tcmu_server *server, const struct tcmu_name *name)
{
	return strcmp(server->subtype, name->subtype) == 0;
}

/* ------- the end of a device ------- */

/* The process that deletes the device goes on. -ENODEV: it did not wait. */
static void server_reply_removed(struct tcmu_server *server, const struct device *device)
{
	if (device->removing)
		(void) tcmu_netlink_reply(
			server->netlink, TCMU_EVENT_REMOVED, device->removed_id, 0);
}

/* The kernel gets the ring back, whatever the thread does. */
static void server_abandon(struct tcmu_server *server, struct device **link)
{
	struct device *device = *link;

	*link = device->next;
	device_detach(device);
	server_reply_removed(server, device);
	device->removing = false;
	device->next = server->hanging;
	server->hanging = device;
}

static void server_arm(struct tcmu_server *server)
{
	uint64_t next = UINT64_MAX;
	struct itimerspec at = {.it_value = {0}};

	for (const struct device *device = server->devices; device; device = device->next) {
		if (device->removing && device->deadline < next)
			next = device->deadline;
		if (device->lost_at && device->lost_at < next)
			next = device->lost_at;
	}
	if (next != UINT64_MAX) {
		at.it_value.tv_sec = (time_t) (next / 1000);
		at.it_value.tv_nsec = (long) (next % 1000) * 1000000 + 1;
	}
	(void) timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* The device waits in configfs for its deletion, which began before there was this process. Its id
 * is not known, so all replies are given up. */
static void server_end_lost_removal(struct device *device)
{
	uint32_t id;
	int result;

	device->lost_at = 0;
	if (!device->removing && device_state(device, &result, &id) == DEVICE_ASKS)
		(void) tcmu_module_end_commands();
}

static void server_expire(struct tcmu_server *server)
{
	uint64_t now = server_now();
	struct device **link = &server->devices;

	while (*link) {
		struct device *device = *link;

		if (device->lost_at && device->lost_at <= now)
			server_end_lost_removal(device);
		if (device->removing && device->deadline <= now)
			server_abandon(server, link);
		else
			link = &device->next;
	}
}

/* ------- changes of state ------- */

/* Replies to the creation once the store is open, or refused. */
static void server_reply_added(struct tcmu_server *server, struct device *device)
{
	enum device_state state;
	uint32_t id;
	int result;

	state = device_state(device, &result, &id);
	if (device->replied || state < DEVICE_SERVED)
		return;
	device->replied = true;
	if (id)
		(void) tcmu_netlink_reply(server->netlink, TCMU_EVENT_ADDED, id, result);
}

static bool device_has_ended(struct device *device)
{
	uint32_t id;
	int result;

	return device_state(device, &result, &id) == DEVICE_ENDED;
}

/* Frees the devices of a list whose threads have ended. */
static void server_collect(struct tcmu_server *server, struct device **link)
{
	while (*link) {
		struct device *device = *link;

		server_reply_added(server, device);
		if (!device_has_ended(device)) {
			link = &device->next;
			continue;
		}
		*link = device->next;
		server_reply_removed(server, device);
		device_free(device);
	}
}

/* ------- events ------- */

static int server_start(
	struct tcmu_server *server, const struct tcmu_scan_entry *at, uint32_t added_id)
{
	struct device *device = device_start(
		at, added_id, &server->functions, server->userdata, server->wake_fd);

	if (!device)
		return -ENOMEM;
	if (!added_id)
		device->lost_at = server_now() + DEVICE_LOST_MS;
	device->next = server->devices;
	server->devices = device;
	return 0;
}

static void server_on_added(struct tcmu_server *server, const struct tcmu_event *event)
{
	struct tcmu_scan_entry at = {.minor = event->minor, .name = event->name};
	struct device **link = server_find(server, event->minor);
	int r;

	if (*link) /* of an earlier device, whose removal was not reported */
		server_abandon(server, link);
	r = server_start(server, &at, event->device_id);
	if (r < 0)
		(void) tcmu_netlink_reply(server->netlink, TCMU_EVENT_ADDED, event->device_id, r);
}

static void server_on_removed(struct tcmu_server *server, const struct tcmu_event *event)
{
	struct device *device = *server_find(server, event->minor);

	if (!device) {
		(void) tcmu_netlink_reply(server->netlink, TCMU_EVENT_REMOVED, event->device_id, 0);
		return;
	}
	device->removing = true;
	device->removed_id = event->device_id;
	device->deadline = server_now() + RELEASE_MS;
	device_stop(device);
}

static void server_on_event(struct tcmu_server *server, const struct tcmu_event *event)
{
	if (!server_has_subtype(server, &event->name))
		return;
	switch (event->kind) {
	case TCMU_EVENT_ADDED:
		server_on_added(server, event);
		break;
	case TCMU_EVENT_REMOVED:
		server_on_removed(server, event);
		break;
	default: /* the store has no function for a change */
		(void) tcmu_netlink_reply(
			server->netlink, event->kind, event->device_id, -EOPNOTSUPP);
	}
}

/* Starts the devices that no event has reported. Those whose end was not reported end by their uio
 * device. */
static int server_scan(struct tcmu_server *server)
{
	struct tcmu_scan_entry *found = NULL;
	int cnt = tcmu_scan(&found), r = 0;

	for (int i = 0; i < cnt && r == 0; i++)
		if (server_has_subtype(server, &found[i].name) &&
		    !*server_find(server, found[i].minor))
			r = server_start(server, &found[i], 0);
	free(found);
	if (cnt >= 0 && r == 0)
		server->scan = false;
	return cnt < 0 ? cnt : r;
}

static int server_receive(struct tcmu_server *server)
{
	struct tcmu_event event;
	int r;

	while ((r = tcmu_netlink_receive(server->netlink, &event)) == 1 || r == -ENOBUFS ||
	       r == -EBADMSG) {
		if (r == 1)
			server_on_event(server, &event);
		else if (r == -ENOBUFS)
			server->scan = true;
	}
	return r;
}

int tcmu_server_work(struct tcmu_server *server)
{
	eventfd_t changes;
	uint64_t expired;
	int r;

	(void) eventfd_read(server->wake_fd, &changes);
	if (read(server->timer_fd, &expired, sizeof(expired)) < 0)
		assert(errno == EAGAIN);
	server_collect(server, &server->devices);
	server_collect(server, &server->hanging);
	r = server_receive(server);
	server_expire(server);
	if (r == 0 && server->scan)
		r = server_scan(server);
	server_arm(server);
	return r;
}

/* ------- the server ------- */

int tcmu_server_fd(const struct tcmu_server *server)
{
	return server->epoll_fd;
}

unsigned tcmu_server_devices(const struct tcmu_server *server, unsigned *hanging)
{
	unsigned cnt = 0, stuck = 0;

	for (const struct device *device = server->devices; device; device = device->next)
		cnt++;
	for (const struct device *device = server->hanging; device; device = device->next)
		stuck++;
	if (hanging)
		*hanging = stuck;
	return cnt;
}

static void server_free_list(struct device *device)
{
	while (device) {
		struct device *next = device->next;

		device_free(device);
		device = next;
	}
}

void tcmu_server_free(struct tcmu_server *server)
{
	if (!server)
		return;
	for (struct device *device = server->devices; device; device = device->next)
		device_stop(device);
	server_free_list(server->devices);
	server_free_list(server->hanging);
	tcmu_netlink_close(server->netlink);
	for (int *fd = &server->epoll_fd; fd <= &server->timer_fd; fd++)
		if (*fd >= 0)
			(void) close(*fd);
	free(server);
}

static int server_watch(const struct tcmu_server *server, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

	return fd < 0 || epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int server_begin(struct tcmu_server *server)
{
	int r = tcmu_netlink_open(&server->netlink);

	if (r < 0)
		return r;
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server->wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* readable: there is a scan */
	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = server_watch(server, tcmu_netlink_fd(server->netlink));
	if (r == 0)
		r = server_watch(server, server->wake_fd);
	if (r == 0)
		r = server_watch(server, server->timer_fd);
	if (r == 0)
		r = tcmu_netlink_set_replies(server->netlink, true);
	return r;
}

/* The caller's structure may be shorter or longer than ours. */
static void server_take(struct tcmu_server *server, const struct tcmu_server_functions *functions)
{
	size_t known = sizeof(server->functions);

	memcpy(&server->functions, functions, functions->size < known ? functions->size : known);
}

int tcmu_server_new(
	const char *subtype, const struct tcmu_server_functions *functions, void *userdata,
	struct tcmu_server **ret)
{
	struct tcmu_server *server;
	size_t length = strlen(subtype);
	int r;

	*ret = NULL;
	if (length == 0 || length >= sizeof(server->subtype))
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->epoll_fd = server->wake_fd = server->timer_fd = -1;
	memcpy(server->subtype, subtype, length + 1);
	server_take(server, functions);
	server->userdata = userdata;
	server->scan = true;
	if (!server->functions.open || !server->functions.close || !server->functions.store.read)
		r = -EINVAL;
	else
		r = server_begin(server);
	if (r < 0)
		tcmu_server_free(server);
	else
		*ret = server;
	return r;
}
