/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See device/manager.h. Events of netlink are handled in the order they come; a device that is
 * ending stays in the set beside its successor of the same name until nothing is left of it.
 *
 * Subtypes that are not known here belong to other daemons: nothing is said or answered about them.
 */
#include "device/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tcmu/module.h>

#include "base/clock.h"
#include "base/log.h"

#define EVENTS_AT_ONCE 8
#define LATE_ANSWER_MS UINT64_C(200)
#define STOP_GRACE_MS  UINT64_C(1000)
#define KNOWN_MS       UINT64_C(300)
#define QUIET_MS       UINT64_C(300)
#define RESET_MS       UINT64_C(5000)
#define LOOK_AGAIN_MS  UINT64_C(200)
#define NSEC_PER_MS    UINT64_C(1000000)

struct manager {
	struct manager_setup setup;
	GPtrArray *devices;
	struct tcmu_netlink *netlink;
	sd_event_source *netlink_source;
	sd_event_source *nodes; /* of /dev */
	/* Commands of the kernel that a dead daemon has left unanswered are reset when none is
	 * being answered by us. */
	bool reset_wanted;
	sd_event_source *reset_timer; /* until every device that was found should be known */
	sd_event_source *quiet_timer; /* until the kernel's commands should have paused */
	uint64_t began;               /* clock_now_ns() */
	uint64_t active; /* when the last command of the kernel came or was answered; 0: none has */
	bool stopping;
	void (*stopped)(void *userdata);
	void *stopped_userdata;
	sd_event_source *look_again;
	sd_event_source *stop_timer;
	sd_event_source *stop_defer;
};

const struct manager_setup *manager_setup(const struct manager *manager)
{
	return &manager->setup;
}

static struct device *device_at(const struct manager *manager, unsigned i)
{
	return g_ptr_array_index(manager->devices, i);
}

static bool same_name(const struct tcmu_name *a, const struct tcmu_name *b)
{
	return a->hba == b->hba && strcmp(a->name, b->name) == 0;
}

/* The device that the kernel means by this name now, not one that is ending. */
static struct device *find_current(const struct manager *manager, const struct tcmu_name *name)
{
	for (unsigned i = 0; i < manager->devices->len; i++) {
		struct device *device = device_at(manager, i);

		if (device_state_kernel_has(device_state(device)) &&
		    same_name(device_name(device), name))
			return device;
	}
	return NULL;
}

/* The device that a REMOVED_DEVICE means: the current one, else one that is ending and has not let
 * go. */
static struct device *find_removed(
	const struct manager *manager, const struct tcmu_name *name, unsigned minor)
{
	struct device *device = find_current(manager, name);

	for (unsigned i = manager->devices->len; !device && i-- > 0;) {
		struct device *other = device_at(manager, i);

		if (device_minor(other) == minor && same_name(device_name(other), name))
			device = other;
	}
	return device;
}

/* ------- marks of clean stops ------- */

static char *mark_path(const struct manager *manager, unsigned minor)
{
	return g_strdup_printf("%s/clean-uio%u", manager->setup.run_dir, minor);
}

static char *mark_text(const struct tcmu_name *name)
{
	return g_strdup_printf("user_%u/%s %s\n", name->hba, name->name, name->config);
}

void manager_mark_clean(struct manager *manager, const struct device *device)
{
	g_autofree char *path = mark_path(manager, device_minor(device));
	g_autofree char *text = mark_text(device_name(device));
	g_autoptr(GError) error = NULL;

	if (!g_file_set_contents(path, text, -1, &error))
		log_dev_warning(
			device_label(device),
			"the next start will have initiators repeat commands: %s", error->message);
}

static bool take_mark(const struct manager *manager, unsigned minor, const struct tcmu_name *name)
{
	g_autofree char *path = mark_path(manager, minor);
	g_autofree char *expected = mark_text(name);
	g_autofree char *found = NULL;

	if (!g_file_get_contents(path, &found, NULL, NULL))
		return false;
	(void) unlink(path);
	return strcmp(found, expected) == 0;
}

/* ------- marks of media that are being erased ------- */

static char *erasure_path(const struct manager *manager, const struct tcmu_name *name)
{
	return g_strdup_printf(
		"%s/erasing-user_%u-%s", manager->setup.run_dir, name->hba, name->name);
}

static void forget_erasure(const struct manager *manager, const struct tcmu_name *name)
{
	g_autofree char *path = erasure_path(manager, name);

	(void) unlink(path);
}

void manager_mark_format(struct manager *manager, const struct device *device, unsigned erasure)
{
	const struct tcmu_name *name = device_name(device);
	g_autofree char *path = erasure_path(manager, name);
	g_autofree char *text = g_strdup_printf("%u %s\n", erasure, name->config);
	g_autoptr(GError) error = NULL;

	if (!erasure)
		forget_erasure(manager, name);
	else if (!g_file_set_contents(path, text, -1, &error))
		log_dev_warning(
			device_label(device),
			"the next start will not know that it is being erased: %s", error->message);
}

unsigned manager_format_state(const struct manager *manager, const struct device *device)
{
	const struct tcmu_name *name = device_name(device);
	g_autofree char *path = erasure_path(manager, name);
	g_autofree char *found = NULL;
	char *rest;
	unsigned long erasure;

	if (!g_file_get_contents(path, &found, NULL, NULL))
		return 0;
	erasure = strtoul(found, &rest, 10);
	g_strchomp(rest);
	return *rest == ' ' && strcmp(rest + 1, name->config) == 0 ? (unsigned) erasure : 0;
}

/* ------- what exists ------- */

/* A subtype that we know and cannot serve is answered, or its creator would wait for ever. All
 * others belong to some other daemon: not a word to the kernel. */
static void refuse_subtype(
	struct manager *manager, const struct tcmu_name *name, unsigned minor,
	enum device_origin origin, uint32_t id)
{
	const struct handlers_entry *known = handlers_lookup(
		manager->setup.registry, name->subtype);

	if (known) {
		log_error("user_%u/%s cannot be served: %s", name->hba, name->name, known->problem);
		if (origin == DEVICE_ORIGIN_ADDED)
			manager_answer(manager, TCMU_EVENT_ADDED, id, -ENOENT);
		return;
	}
	log_debug("uio%u (%s) is not ours: no handler \"%s\"", minor, name->config, name->subtype);
	if (manager->setup.foreign && name->subtype[0])
		manager->setup.foreign(manager->setup.userdata, name->subtype);
}

static void add(
	struct manager *manager, const struct tcmu_name *name, unsigned minor,
	enum device_origin origin, uint32_t id)
{
	const struct tcmu_handler *handler = handlers_find(manager->setup.registry, name->subtype);
	struct device_start start = {
		.name = *name,
		.minor = minor,
		.origin = origin,
		.id = id,
		.handler = handler,
	};
	struct device *device;

	if (!handler) {
		refuse_subtype(manager, name, minor, origin, id);
		return;
	}
	if (origin == DEVICE_ORIGIN_FOUND)
		start.clean = take_mark(manager, minor, name);
	else
		forget_erasure(manager, name);
	device = device_new(manager, &start);
	if (!device) {
		log_error("user_%u/%s cannot be served: out of memory", name->hba, name->name);
		if (origin == DEVICE_ORIGIN_ADDED)
			manager_answer(manager, TCMU_EVENT_ADDED, id, -ENOMEM);
		return;
	}
	g_ptr_array_add(manager->devices, device);
	device_open(device);
}

static bool scan_has(const struct tcmu_scan_entry *entries, int cnt, const struct device *device)
{
	for (int i = 0; i < cnt; i++)
		if (entries[i].minor == device_minor(device) &&
		    same_name(&entries[i].name, device_name(device)))
			return true;
	return false;
}

/* Whether the kernel's device is one that we are still parting from: its last traces in sysfs are
 * no new device. */
static bool is_ending(const struct manager *manager, const struct tcmu_scan_entry *entry)
{
	for (unsigned i = 0; i < manager->devices->len; i++) {
		const struct device *device = device_at(manager, i);

		if (device_state(device) != DEVICE_ORPHANED &&
		    device_minor(device) == entry->minor &&
		    same_name(device_name(device), &entry->name))
			return true;
	}
	return false;
}

static int look_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	(void) source;
	(void) usec;
	manager->look_again = sd_event_source_disable_unref(manager->look_again);
	if (!manager->stopping)
		manager_reconcile(manager);
	return 0;
}

static void reconcile_soon(struct manager *manager)
{
	if (!manager->look_again)
		(void) sd_event_add_time_relative(
			manager->setup.event, &manager->look_again, CLOCK_MONOTONIC,
			LOOK_AGAIN_MS * 1000, 1000, look_again, manager);
}

void manager_reconcile(struct manager *manager)
{
	g_autofree struct tcmu_scan_entry *entries = NULL;
	int cnt = tcmu_scan(&entries);

	if (cnt < 0) {
		log_error("/sys/class/uio cannot be read: %s", strerror(-cnt));
		return;
	}
	for (unsigned i = manager->devices->len; i-- > 0;) {
		struct device *device = device_at(manager, i);

		if (device_state_kernel_has(device_state(device)) &&
		    !scan_has(entries, cnt, device))
			device_event(device, DEVICE_EV_UNREGISTERED);
	}
	for (int i = 0; i < cnt; i++) {
		if (find_current(manager, &entries[i].name))
			continue;
		if (is_ending(manager, &entries[i]))
			reconcile_soon(manager);
		else
			add(manager, &entries[i].name, entries[i].minor, DEVICE_ORIGIN_FOUND, 0);
	}
}

/* A device of ours whose node goes from /dev is no more: said also where no event was sent and its
 * thread, stuck in the backend, does not see what uio says. Where /dev does not follow the kernel,
 * nothing is said. */
static int node_gone(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	struct manager *manager = userdata;
	char node[NAME_MAX + 1];

	(void) source;
	if (manager->stopping)
		return 0;
	if (event->mask & IN_Q_OVERFLOW)
		reconcile_soon(manager);
	for (unsigned i = 0; event->len > 0 && i < manager->devices->len; i++) {
		const struct device *device = device_at(manager, i);

		(void) snprintf(node, sizeof(node), "uio%u", device_minor(device));
		if (strcmp(event->name, node) == 0 && device_state_kernel_has(device_state(device)))
			reconcile_soon(manager);
	}
	return 0;
}

static void watch_nodes(struct manager *manager)
{
	int r = sd_event_add_inotify(
		manager->setup.event, &manager->nodes, "/dev", IN_DELETE | IN_ONLYDIR, node_gone,
		manager);

	if (r < 0)
		log_warning("/dev cannot be watched: %s", strerror(-r));
}

/* ------- events of the kernel ------- */

static void handle_added(struct manager *manager, const struct tcmu_event *event)
{
	struct device *device = find_current(manager, &event->name);

	/* A scan may have found it before its event was read. */
	if (device && device_added_again(device, event->minor, event->device_id))
		return;
	if (device)
		device_event(device, DEVICE_EV_UNREGISTERED);
	add(manager, &event->name, event->minor, DEVICE_ORIGIN_ADDED, event->device_id);
}

static void handle_removed(struct manager *manager, const struct tcmu_event *event)
{
	struct device *device = find_removed(manager, &event->name, event->minor);

	if (device)
		device_removed(device, event->device_id);
	else if (handlers_lookup(manager->setup.registry, event->name.subtype))
		manager_answer_if_waiting(manager, &event->name, event->minor, event->device_id);
}

static void handle_reconfig(struct manager *manager, const struct tcmu_event *event)
{
	struct device *device = find_current(manager, &event->name);

	if (device)
		device_reconfig(device, event);
	else if (handlers_lookup(manager->setup.registry, event->name.subtype))
		manager_answer(manager, TCMU_EVENT_RECONFIG, event->device_id, -ENODEV);
}

static void handle_event(struct manager *manager, const struct tcmu_event *event)
{
	if (manager->stopping && event->kind != TCMU_EVENT_REMOVED)
		return; /* the next daemon adopts what waits */
	switch (event->kind) {
	case TCMU_EVENT_ADDED:
		handle_added(manager, event);
		break;
	case TCMU_EVENT_REMOVED:
		handle_removed(manager, event);
		break;
	case TCMU_EVENT_RECONFIG:
		handle_reconfig(manager, event);
		break;
	}
}

static int netlink_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct manager *manager = userdata;

	(void) source;
	(void) fd;
	(void) revents;
	for (int i = 0; i < EVENTS_AT_ONCE; i++) {
		struct tcmu_event event;
		int r = tcmu_netlink_receive(manager->netlink, &event);

		if (r == 0)
			return 0;
		if (r > 0) {
			manager->active = clock_now_ns();
			handle_event(manager, &event);
		} else if (r == -ENOBUFS) {
			log_warning("the kernel's events came faster than they could be read: "
				    "looking for "
				    "what was missed");
			if (!manager->stopping)
				manager_reconcile(manager);
		} else if (r == -EBADMSG) {
			log_warning("a malformed TCM-USER message was dropped");
		} else {
			log_error("the kernel's events cannot be read: %s", strerror(-r));
			return 0;
		}
	}
	return 0;
}

/* ------- answers ------- */

void manager_answer(struct manager *manager, enum tcmu_event_kind kind, uint32_t id, int status)
{
	int r = tcmu_netlink_reply(manager->netlink, kind, id, status);

	manager->active = clock_now_ns();
	if (r < 0)
		log_error(
			"the answer to the kernel for device %u could not be sent: %s", id,
			strerror(-r));
}

struct late_answer {
	struct manager *manager;
	struct tcmu_name name;
	unsigned minor;
	uint32_t id;
};

static int answer_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	const struct late_answer *late = userdata;
	struct tcmu_scan_entry entry;

	(void) usec;
	if (tcmu_scan_minor(late->minor, &entry) >= 0 && same_name(&entry.name, &late->name))
		manager_answer(late->manager, TCMU_EVENT_REMOVED, late->id, 0);
	return sd_event_source_set_floating(
		source, false); /* it goes, and its struct late_answer with it */
}

void manager_answer_if_waiting(
	struct manager *manager, const struct tcmu_name *name, unsigned minor, uint32_t id)
{
	struct late_answer *late = g_new0(struct late_answer, 1);
	sd_event_source *timer;

	*late = (struct late_answer){.manager = manager, .name = *name, .minor = minor, .id = id};
	if (sd_event_add_time_relative(
		    manager->setup.event, &timer, CLOCK_MONOTONIC, LATE_ANSWER_MS * 1000, 1000,
		    answer_late, late) < 0) {
		g_free(late);
		return;
	}
	(void) sd_event_source_set_destroy_callback(timer, g_free);
	(void) sd_event_source_set_floating(timer, true);
	sd_event_source_unref(timer);
}

static void reset_unanswered(struct manager *manager);

static int quiet_by_now(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	(void) source;
	(void) usec;
	manager->quiet_timer = sd_event_source_disable_unref(manager->quiet_timer);
	if (manager->reset_wanted && !manager->stopping)
		reset_unanswered(manager);
	return 0;
}

/* To end what waits, if something does, the kernel refuses new commands for a moment: not in the
 * middle of a restore, whose next command comes as soon as the one before is answered. Where it
 * never pauses, it has to be. */
static bool wait_for_a_pause(struct manager *manager)
{
	uint64_t now = clock_now_ns();

	if (!manager->active || now - manager->active >= QUIET_MS * NSEC_PER_MS ||
	    now - manager->began >= RESET_MS * NSEC_PER_MS)
		return false;
	if (!manager->quiet_timer &&
	    sd_event_add_time_relative(
		    manager->setup.event, &manager->quiet_timer, CLOCK_MONOTONIC, QUIET_MS * 1000,
		    1000, quiet_by_now, manager) < 0)
		return false;
	return true;
}

/* A creation that waits is answered by its own device. What else waits for a daemon that is dead
 * can not be told apart and is ended, when no creation is being answered: it would be ended with
 * it. A device whose place in configfs does not let itself be read is most likely one whose delete
 * waits. */
static void reset_unanswered(struct manager *manager)
{
	int r;

	for (unsigned i = 0; i < manager->devices->len; i++) {
		const struct device *device = device_at(manager, i);

		if (device_owes_answer(device) ||
		    (manager->reset_timer && !device_is_known(device)))
			return;
	}
	if (wait_for_a_pause(manager))
		return;
	manager->reset_wanted = false;
	manager->reset_timer = sd_event_source_disable_unref(manager->reset_timer);
	manager->quiet_timer = sd_event_source_disable_unref(manager->quiet_timer);
	r = tcmu_module_end_commands();
	if (r < 0 && r != -ENOENT)
		log_error(
			"commands that wait for an earlier daemon cannot be ended: %s",
			strerror(-r));
}

static int known_by_now(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	(void) source;
	(void) usec;
	manager->reset_timer = sd_event_source_disable_unref(manager->reset_timer);
	if (manager->reset_wanted && !manager->stopping)
		reset_unanswered(manager);
	return 0;
}

/* ------- for device/device.c ------- */

struct device *manager_claimant(
	struct manager *manager, const char *claim, const struct device *except)
{
	struct device *ending = NULL;

	for (unsigned i = 0; i < manager->devices->len; i++) {
		struct device *device = device_at(manager, i);
		const char *other = device_claim(device);

		if (device == except || !other || strcmp(other, claim) != 0 ||
		    device_state_kernel_has(device_state(device)))
			continue;
		if (device_state(device) == DEVICE_ORPHANED)
			return device;
		ending = device;
	}
	return ending;
}

static int all_stopped(sd_event_source *source, void *userdata)
{
	struct manager *manager = userdata;

	(void) source;
	manager->stop_defer = sd_event_source_disable_unref(manager->stop_defer);
	manager->stop_timer = sd_event_source_disable_unref(manager->stop_timer);
	/* A create shall not wait for a daemon that may never come back. */
	(void) tcmu_netlink_set_replies(manager->netlink, false);
	manager->stopped(manager->stopped_userdata);
	return 0;
}

static void check_stopped(struct manager *manager)
{
	if (!manager->stopping || manager->stop_defer)
		return;
	for (unsigned i = 0; i < manager->devices->len; i++)
		if (device_state(device_at(manager, i)) != DEVICE_ORPHANED &&
		    device_state(device_at(manager, i)) != DEVICE_GONE)
			return;
	(void) sd_event_add_defer(manager->setup.event, &manager->stop_defer, all_stopped, manager);
}

void manager_device_changed(struct manager *manager, struct device *device)
{
	enum device_state state = device_state(device);

	/* It may have been deleted and made anew without an event that reached us. */
	if (state == DEVICE_DRAINING)
		reconcile_soon(manager);
	if (state == DEVICE_ORPHANED || state == DEVICE_GONE)
		for (unsigned i = manager->devices->len; i-- > 0;)
			device_claim_changed(device_at(manager, i));
	if (manager->reset_wanted && !manager->stopping)
		reset_unanswered(manager);
	check_stopped(manager);
	if (manager->setup.changed)
		manager->setup.changed(manager->setup.userdata);
}

void manager_forget(struct manager *manager, struct device *device)
{
	if (!g_ptr_array_remove(manager->devices, device))
		return;
	if (!manager->stopping)
		forget_erasure(manager, device_name(device));
	device_unref(device);
	if (!manager->stopping)
		reconcile_soon(manager);
}

/* ------- the beginning and the end ------- */

int manager_new(const struct manager_setup *setup, struct manager **ret)
{
	struct manager *manager = g_new0(struct manager, 1);
	int r;

	manager->setup = *setup;
	manager->devices = g_ptr_array_new();
	manager->reset_wanted = true;
	manager->began = clock_now_ns();
	if (mkdir(setup->run_dir, 0755) < 0 && errno != EEXIST)
		log_warning("%s cannot be made: %s", setup->run_dir, strerror(errno));
	r = tcmu_netlink_open(&manager->netlink);
	if (r >= 0)
		r = sd_event_add_io(
			setup->event, &manager->netlink_source, tcmu_netlink_fd(manager->netlink),
			EPOLLIN, netlink_ready, manager);
	if (r >= 0)
		r = sd_event_source_set_priority(
			manager->netlink_source, SD_EVENT_PRIORITY_IMPORTANT);
	/* A daemon before us may have died while it kept the kernel's commands back. */
	if (r >= 0 && (r = tcmu_module_block_netlink(false)) == -ENOENT)
		r = 0;
	if (r >= 0)
		r = tcmu_netlink_set_replies(manager->netlink, true);
	if (r < 0) {
		manager_free(manager);
		return r;
	}
	watch_nodes(manager);
	manager_reconcile(manager);
	(void) sd_event_add_time_relative(
		setup->event, &manager->reset_timer, CLOCK_MONOTONIC, KNOWN_MS * 1000, 1000,
		known_by_now, manager);
	reset_unanswered(manager);
	*ret = manager;
	return 0;
}

static int stop_timed_out(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	(void) source;
	(void) usec;
	for (unsigned i = 0; i < manager->devices->len; i++)
		log_dev_warning(
			device_label(device_at(manager, i)), "left behind while it is %s",
			device_state_name(device_state(device_at(manager, i))));
	return all_stopped(NULL, manager);
}

void manager_stop(struct manager *manager, void (*done)(void *userdata), void *userdata)
{
	manager->stopping = true;
	manager->stopped = done;
	manager->stopped_userdata = userdata;
	(void) sd_event_add_time_relative(
		manager->setup.event, &manager->stop_timer, CLOCK_MONOTONIC,
		(manager->setup.settings->stop_timeout_ms + STOP_GRACE_MS) * UINT64_C(1000), 1000,
		stop_timed_out, manager);
	for (unsigned i = manager->devices->len; i-- > 0;)
		device_event(device_at(manager, i), DEVICE_EV_STOP);
	check_stopped(manager);
}

void manager_free(struct manager *manager)
{
	if (!manager)
		return;
	sd_event_source_disable_unref(manager->netlink_source);
	sd_event_source_disable_unref(manager->nodes);
	sd_event_source_disable_unref(manager->look_again);
	sd_event_source_disable_unref(manager->quiet_timer);
	sd_event_source_disable_unref(manager->reset_timer);
	sd_event_source_disable_unref(manager->stop_timer);
	sd_event_source_disable_unref(manager->stop_defer);
	tcmu_netlink_close(manager->netlink);
	g_ptr_array_free(manager->devices, true);
	g_free(manager);
}

void manager_count(
	const struct manager *manager, unsigned *served, unsigned *failed, unsigned *orphans)
{
	*served = *failed = *orphans = 0;
	for (unsigned i = 0; i < manager->devices->len; i++) {
		enum device_state state = device_state(device_at(manager, i));

		if (state == DEVICE_LIVE)
			++*served;
		else if (state == DEVICE_ORPHANED)
			++*orphans;
		else if (state == DEVICE_FAILED || state == DEVICE_FAULTED)
			++*failed;
	}
}

struct device *manager_device(const struct manager *manager, unsigned i)
{
	return i < manager->devices->len ? device_at(manager, i) : NULL;
}

static bool is_meant(const struct device *device, const char *text)
{
	char node[16];

	(void) snprintf(node, sizeof(node), "uio%u", device_minor(device));
	return strcmp(text, device_label(device)) == 0 ||
		strcmp(text, device_name(device)->name) == 0 || strcmp(text, node) == 0;
}

struct device *manager_find(const struct manager *manager, const char *text, unsigned *cnt)
{
	struct device *found[2] = {NULL, NULL};
	unsigned cnts[2] = {0, 0};
	int which;

	for (unsigned i = 0; i < manager->devices->len; i++) {
		struct device *device = device_at(manager, i);

		if (!is_meant(device, text))
			continue;
		which = device_state_kernel_has(device_state(device)) ? 0 : 1;
		found[which] = device;
		cnts[which]++;
	}
	which = cnts[0] ? 0 : 1;
	*cnt = cnts[which];
	return cnts[which] == 1 ? found[which] : NULL;
}

bool manager_is_empty(const struct manager *manager)
{
	return !manager || manager->devices->len == 0;
}
