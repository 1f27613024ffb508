/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink events are handled in the order in which they come. A device that is ending stays in the
 * set beside its successor of the same name until nothing is left of it.
 *
 * Subtypes without a handler belong to other daemons: nothing is logged or answered about them.
 */
#include "device/manager.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <tcmu/module.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "base/log.h"
#include "base/priority.h"
#include "device/marks.h"
#include "device/netlink-reset.h"

#define EVENTS_AT_ONCE     8
#define EVENTS_AT_END      4096 /* more than the socket's buffer has */
#define STOP_GRACE_MS      1000u
#define SCAN_AGAIN_US      UINT64_C(200000)
#define HEALTH_US          UINT64_C(5000000)
#define HEALTH_ACCURACY_US UINT64_C(1000000)

struct manager {
	struct device_env env;
	struct manager_setup setup;
	GPtrArray *devices;
	struct tcmu_netlink *netlink;
	sd_event_source *netlink_source;
	sd_event_source *nodes_source;   /* of /dev */
	sd_event_source *changed_source; /* on: devices have changed since the last step */
	bool claims_changed;             /* one of them has given up its claim, or is an orphan */
	struct netlink_owed owed;
	bool needs_reset; /* commands may wait that are not in the ledger */
	bool deaf;        /* events cannot be received; it is tried again */
	bool ended;       /* manager_end() has been called */
	struct netlink_reset reset;
	struct env_timer scan_again;
	struct env_timer health;
	struct env_timer stop;
	void (*stopped)(void *userdata); /* once the daemon stops */
	void *stopped_userdata;
	bool stop_reported;
};

static bool manager_is_stopping(const struct manager *manager)
{
	return manager->stopped;
}

static struct device *manager_at(const struct manager *manager, unsigned i)
{
	assert(i < manager->devices->len);
	return g_ptr_array_index(manager->devices, i);
}

/* The device that the kernel means by this name now, not one that is ending. */
static struct device *manager_find_current(
	const struct manager *manager, const struct tcmu_name *name)
{
	for (unsigned i = 0; i < manager->devices->len; i++) {
		struct device *device = manager_at(manager, i);

		if (device_state_kernel_has(device_state(device)) &&
		    env_same_name(device_name(device), name))
			return device;
	}
	return NULL;
}

/* The device that a REMOVED_DEVICE means: the current one, else the youngest that is ending. */
static struct device *manager_find_removed(
	const struct manager *manager, const struct tcmu_name *name, unsigned minor)
{
	struct device *device = manager_find_current(manager, name);

	for (unsigned i = manager->devices->len; !device && i-- > 0;) {
		struct device *other = manager_at(manager, i);

		if (device_minor(other) == minor && env_same_name(device_name(other), name))
			device = other;
	}
	return device;
}

/* ------- answers ------- */

static struct manager *manager_of(struct device_env *env)
{
	return container_of(env, struct manager, env);
}

static void manager_answer(
	struct device_env *env, enum tcmu_event_kind kind, uint32_t id, int status)
{
	struct manager *manager = manager_of(env);
	int r;

	assert(status <= 0 && env_on_main_thread(env));
	if (!netlink_owed_take(&manager->owed, kind, id))
		return;
	r = tcmu_netlink_reply(manager->netlink, kind, id, status);
	netlink_reset_note_command(&manager->reset);
	if (r >= 0)
		return;
	manager->needs_reset = true;
	log_error("cannot send the answer for device %u to the kernel: %s", id, strerror(-r));
}

static void manager_note_owed(struct device_env *env, enum tcmu_event_kind kind, uint32_t id)
{
	assert(env_on_main_thread(env));
	if (!manager_of(env)->ended)
		netlink_owed_add(&manager_of(env)->owed, kind, id);
}

static void manager_drop_owed(struct device_env *env, enum tcmu_event_kind kind, uint32_t id)
{
	assert(env_on_main_thread(env));
	(void) netlink_owed_take(&manager_of(env)->owed, kind, id);
}

/* ------- the set ------- */

static void manager_scan_soon(struct manager *manager)
{
	assert(!manager_is_stopping(manager));
	if (!env_timer_is_armed(&manager->scan_again))
		env_timer_arm(&manager->env, &manager->scan_again, SCAN_AGAIN_US);
}

static void manager_receive(struct manager *manager);

static void manager_scan_again(struct env_timer *timer)
{
	struct manager *manager = container_of(timer, struct manager, scan_again);

	if (manager->deaf)
		manager_receive(manager);
	if (!manager_is_stopping(manager))
		manager_reconcile(manager);
}

/* A subtype whose handler cannot be used is answered, or its creation would wait for ever. */
static void manager_refuse_subtype(
	struct manager *manager, const struct tcmu_name *name, unsigned minor,
	enum device_origin origin, uint32_t id)
{
	const struct handlers_entry *known = handlers_lookup(
		manager->setup.handlers, name->subtype);

	if (known) {
		log_error("user_%u/%s cannot be served: %s", name->hba, name->name, known->problem);
		if (origin == DEVICE_ORIGIN_ADDED)
			manager_answer(&manager->env, TCMU_EVENT_ADDED, id, -ENOENT);
		return;
	}
	log_debug("uio%u (%s) is ignored: no handler \"%s\"", minor, name->config, name->subtype);
	if (manager->setup.unhandled_subtype && name->subtype[0])
		manager->setup.unhandled_subtype(manager->setup.userdata, name->subtype);
}

static void manager_add(
	struct manager *manager, const struct tcmu_name *name, unsigned minor,
	enum device_origin origin, uint32_t id)
{
	const char *run_dir = manager->setup.run_dir;
	struct device_start start = {
		.name = *name,
		.minor = minor,
		.origin = origin,
		.id = id,
		.handler = handlers_find(manager->setup.handlers, name->subtype),
	};
	struct device *device;

	assert(!manager_find_current(manager, name));
	if (!start.handler) {
		manager_refuse_subtype(manager, name, minor, origin, id);
		return;
	}
	/* A new device takes the mark that an older one of its name and minor has left. */
	start.clean = marks_take_clean(run_dir, name, minor) && origin == DEVICE_ORIGIN_FOUND;
	if (origin != DEVICE_ORIGIN_FOUND)
		marks_forget(run_dir, name);
	device = device_new(&manager->env, &start);
	g_ptr_array_add(manager->devices, device);
	device_open(device);
}

static bool manager_scan_has(
	const struct tcmu_scan_entry *entries, int cnt, const struct device *device)
{
	for (int i = 0; i < cnt; i++)
		if (entries[i].minor == device_minor(device) &&
		    env_same_name(&entries[i].name, device_name(device)))
			return true;
	return false;
}

/* Whether a device that is ending still shows in sysfs: it is no new one. */
static bool manager_is_ending(const struct manager *manager, const struct tcmu_scan_entry *entry)
{
	for (unsigned i = 0; i < manager->devices->len; i++) {
		const struct device *device = manager_at(manager, i);

		if (device_state(device) != DEVICE_ORPHANED &&
		    device_minor(device) == entry->minor &&
		    env_same_name(device_name(device), &entry->name))
			return true;
	}
	return false;
}

void manager_reconcile(struct manager *manager)
{
	g_autofree struct tcmu_scan_entry *entries = NULL;
	int cnt = tcmu_scan(&entries);

	assert(env_on_main_thread(&manager->env) && !manager_is_stopping(manager));
	if (cnt < 0) {
		log_error("cannot read /sys/class/uio: %s", strerror(-cnt));
		return;
	}
	marks_sweep(manager->setup.run_dir, entries, cnt);
	for (unsigned i = manager->devices->len; i-- > 0;) {
		struct device *device = manager_at(manager, i);

		if (device_state_kernel_has(device_state(device)) &&
		    !manager_scan_has(entries, cnt, device))
			device_event(device, DEVICE_EV_UNREGISTERED);
	}
	for (int i = 0; i < cnt; i++) {
		if (manager_find_current(manager, &entries[i].name))
			continue;
		if (manager_is_ending(manager, &entries[i]))
			manager_scan_soon(manager);
		else
			manager_add(
				manager, &entries[i].name, entries[i].minor, DEVICE_ORIGIN_FOUND,
				0);
	}
}

/* Our device is gone once its /dev node is: that is seen also where no event was sent and the I/O
 * thread is stuck in the backend. Where /dev does not follow the kernel, it does not help. */
static int manager_node_deleted(
	sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	struct manager *manager = userdata;
	char node[NAME_MAX + 1];

	(void) source;
	if (manager_is_stopping(manager))
		return 0;
	if (event->mask & IN_Q_OVERFLOW)
		manager_scan_soon(manager);
	for (unsigned i = 0; event->len > 0 && i < manager->devices->len; i++) {
		const struct device *device = manager_at(manager, i);

		(void) snprintf(node, sizeof(node), "uio%u", device_minor(device));
		if (strcmp(event->name, node) == 0 && device_state_kernel_has(device_state(device)))
			manager_scan_soon(manager);
	}
	return 0;
}

/* ------- events of the kernel ------- */

/* Whether it has been handled already. */
static bool manager_is_repeated(struct manager *manager, const struct tcmu_event *event)
{
	const struct device *device = manager_find_current(manager, &event->name);

	return device && device_is_addition(device, event);
}

static void manager_handle_added(struct manager *manager, const struct tcmu_event *event)
{
	struct device *device = manager_find_current(manager, &event->name);

	/* A scan may have found it before its event was read. */
	if (device && device_added_again(device, event->minor, event->device_id))
		return;
	if (device)
		device_event(device, DEVICE_EV_UNREGISTERED);
	manager_add(manager, &event->name, event->minor, DEVICE_ORIGIN_ADDED, event->device_id);
}

static void manager_handle_removed(struct manager *manager, const struct tcmu_event *event)
{
	struct device *device = manager_find_removed(manager, &event->name, event->minor);

	if (device)
		device_removed(device, event->device_id);
	else if (handlers_lookup(manager->setup.handlers, event->name.subtype))
		netlink_reset_answer_late(
			&manager->reset, &event->name, event->minor, event->device_id);
}

static void manager_handle_reconfig(struct manager *manager, const struct tcmu_event *event)
{
	struct device *device = manager_find_current(manager, &event->name);

	if (device)
		device_reconfig(device, event);
	else if (handlers_lookup(manager->setup.handlers, event->name.subtype))
		manager_answer(&manager->env, TCMU_EVENT_RECONFIG, event->device_id, -ENODEV);
}

static void manager_handle_event(struct manager *manager, const struct tcmu_event *event)
{
	if (manager_is_repeated(manager, event))
		return;
	netlink_reset_note_command(&manager->reset);
	if (handlers_lookup(manager->setup.handlers, event->name.subtype))
		netlink_owed_add(&manager->owed, event->kind, event->device_id);
	/* Whether another daemon will come is not known, and the kernel waits without a limit. */
	if (manager_is_stopping(manager) && event->kind != TCMU_EVENT_REMOVED) {
		manager_answer(&manager->env, event->kind, event->device_id, -ESHUTDOWN);
		return;
	}
	switch (event->kind) {
	case TCMU_EVENT_ADDED:
		manager_handle_added(manager, event);
		break;
	case TCMU_EVENT_REMOVED:
		manager_handle_removed(manager, event);
		break;
	case TCMU_EVENT_RECONFIG:
		manager_handle_reconfig(manager, event);
		break;
	}
}

/* A failure is tried again later, as nothing reports its end; at the end of a daemon once. */
static void manager_receive(struct manager *manager)
{
	bool was_deaf = manager->deaf;
	struct tcmu_event event;
	int r = 1;

	manager->deaf = false;
	for (int i = 0; i < EVENTS_AT_ONCE && r != 0 && !manager->deaf; i++) {
		r = tcmu_netlink_receive(manager->netlink, &event);
		if (r > 0)
			manager_handle_event(manager, &event);
		else if (r < 0)
			manager->deaf = netlink_reset_log_error(r, was_deaf);
		if (r == -ENOBUFS && !manager_is_stopping(manager))
			manager_reconcile(manager);
		manager->needs_reset |= r == -ENOBUFS && manager_is_stopping(manager);
	}
	if (manager->deaf && !manager_is_stopping(manager))
		manager_scan_soon(manager);
}

static int manager_netlink_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void) source;
	(void) fd;
	(void) revents;
	manager_receive(userdata);
	return 0;
}

/* ------- the parent of a device ------- */

static void manager_answer_if_waiting(
	struct device_env *env, const struct tcmu_name *name, unsigned minor, uint32_t id)
{
	netlink_reset_answer_late(&manager_of(env)->reset, name, minor, id);
}

static struct device *manager_find_claimant(
	struct device_env *env, const char *claim, const struct device *except)
{
	const struct manager *manager = manager_of(env);
	struct device *ending = NULL;

	assert(claim[0]);
	for (unsigned i = 0; i < manager->devices->len; i++) {
		struct device *device = manager_at(manager, i);
		const char *other = device_store(device); /* also while its open hangs */

		if (device == except || !other || strcmp(other, claim) != 0 ||
		    device_state_kernel_has(device_state(device)))
			continue;
		if (device_state(device) == DEVICE_ORPHANED)
			return device;
		ending = device;
	}
	return ending;
}

static struct device *manager_find_sharer(
	struct device_env *env, const char *claim, const struct device *device,
	const struct device *after)
{
	const struct manager *manager = manager_of(env);
	bool older = true;
	bool passed = !after;

	assert(claim[0]);
	for (unsigned i = 0; i < manager->devices->len; i++) {
		struct device *other = manager_at(manager, i);
		const char *store = device_store(other);

		if (other == device)
			older = false;
		else if (
			passed && store && strcmp(store, claim) == 0 &&
			device_state_kernel_has(device_state(other)) &&
			(older || device_claim(other)))
			return other;
		passed |= other == after;
	}
	return NULL;
}

static void manager_note_changed(struct device_env *env, struct device *device)
{
	struct manager *manager = manager_of(env);
	enum device_state state = device_state(device);

	assert(g_ptr_array_find(manager->devices, device, NULL));
	/* It may have been deleted and created again without an event that reached us. */
	if (state == DEVICE_DRAINING && !manager_is_stopping(manager))
		manager_scan_soon(manager);
	manager->claims_changed |= state == DEVICE_ORPHANED || state == DEVICE_GONE;
	(void) sd_event_source_set_enabled(manager->changed_source, SD_EVENT_ONESHOT);
}

static void manager_forget(struct device_env *env, struct device *device)
{
	struct manager *manager = manager_of(env);
	bool known = g_ptr_array_remove(manager->devices, device);

	assert(known && device_state(device) == DEVICE_GONE);
	if (!manager_is_stopping(manager)) {
		if (!manager_find_current(manager, device_name(device)))
			marks_forget(manager->setup.run_dir, device_name(device));
		manager_scan_soon(manager);
	}
	(void) sd_event_source_set_enabled(manager->changed_source, SD_EVENT_ONESHOT);
	device_release(device);
}

static void manager_mark_clean(struct device_env *env, const struct device *device)
{
	(void) marks_set_clean(
		manager_of(env)->setup.run_dir, device_name(device), device_minor(device));
}

static struct notes *manager_open_notes(
	struct device_env *env, const struct device *device, const char *claim)
{
	return marks_open_notes(
		manager_of(env)->setup.run_dir, device_name(device), device_minor(device), claim);
}

static void manager_mark_format(
	struct device_env *env, const struct device *device, unsigned format_state)
{
	(void) marks_set_format(manager_of(env)->setup.run_dir, device_name(device), format_state);
}

static unsigned manager_format_state(struct device_env *env, const struct device *device)
{
	return marks_get_format(manager_of(env)->setup.run_dir, device_name(device));
}

static void manager_load_store(
	struct device_env *env, const struct device *device, struct marks_store *store)
{
	marks_get_store(manager_of(env)->setup.run_dir, device_name(device), store);
}

static void manager_save_store(
	struct device_env *env, const struct device *device, const struct marks_store *store)
{
	(void) marks_set_store(manager_of(env)->setup.run_dir, device_name(device), store);
}

static const struct env_parent manager_as_parent = {
	.answer = manager_answer,
	.note_owed = manager_note_owed,
	.drop_owed = manager_drop_owed,
	.answer_if_waiting = manager_answer_if_waiting,
	.find_claimant = manager_find_claimant,
	.find_sharer = manager_find_sharer,
	.changed = manager_note_changed,
	.forget = manager_forget,
	.mark_clean = manager_mark_clean,
	.open_notes = manager_open_notes,
	.mark_format = manager_mark_format,
	.format_state = manager_format_state,
	.load_store = manager_load_store,
	.save_store = manager_save_store,
};

/* ------- steps ------- */

static bool manager_is_answering(struct netlink_reset *reset, bool unknown)
{
	const struct manager *manager = container_of(reset, struct manager, reset);

	for (unsigned i = 0; i < manager->devices->len; i++) {
		const struct device *device = manager_at(manager, i);

		if (device_owes_answer(device) || (unknown && !device_is_known(device)))
			return true;
	}
	return false;
}

/* Commands that the kernel has sent before it was asked not to wait for answers. */
static void manager_receive_last(struct manager *manager)
{
	for (int i = 0; i < EVENTS_AT_END; i++) {
		struct tcmu_event event;
		int r = tcmu_netlink_receive(manager->netlink, &event);

		if (r == 0)
			return;
		if (r > 0 && handlers_lookup(manager->setup.handlers, event.name.subtype))
			netlink_owed_add(&manager->owed, event.kind, event.device_id);
		manager->needs_reset |= r == -ENOBUFS;
		if (r < 0 && r != -ENOBUFS && r != -EBADMSG)
			return;
	}
	manager->needs_reset = true;
}

/* Creations that a scan has found, and that their devices have not come to adopt. */
static void manager_note_creations(struct manager *manager)
{
	for (unsigned i = 0; i < manager->devices->len; i++) {
		const struct device *device = manager_at(manager, i);
		uint32_t id;

		if (!device_is_known(device))
			manager->needs_reset = true;
		else if (device_waiting_creation(device, &id))
			netlink_owed_add(&manager->owed, TCMU_EVENT_ADDED, id);
	}
}

void manager_end(struct manager *manager)
{
	enum tcmu_event_kind kind;
	uint32_t id;

	if (!manager || !manager->netlink || manager->ended)
		return;
	assert(env_on_main_thread(&manager->env));
	/* A command must not wait for a daemon that may never come back. */
	if (tcmu_netlink_set_replies(manager->netlink, false) < 0)
		manager->needs_reset = true;
	manager_receive_last(manager);
	manager_note_creations(manager);
	while (netlink_owed_any(&manager->owed, &kind, &id))
		manager_answer(
			&manager->env, kind, id, kind == TCMU_EVENT_REMOVED ? 0 : -ESHUTDOWN);
	if (manager->needs_reset || manager->reset.wanted)
		netlink_reset_run(&manager->reset);
	manager->ended = true;
}

static void manager_report_stopped(struct manager *manager)
{
	assert(manager_is_stopping(manager) && !manager->stop_reported);
	manager->stop_reported = true;
	env_timer_disarm(&manager->stop);
	manager_end(manager);
	manager->stopped(manager->stopped_userdata);
}

static void manager_check_stopped(struct manager *manager)
{
	if (!manager_is_stopping(manager) || manager->stop_reported)
		return;
	for (unsigned i = 0; i < manager->devices->len; i++)
		if (device_state(manager_at(manager, i)) != DEVICE_ORPHANED)
			return;
	manager_report_stopped(manager);
}

/* Devices that wait for a claim check again, from the youngest: an older one may end meanwhile. */
static void manager_offer_claims(struct manager *manager)
{
	g_autoptr(GPtrArray) devices = g_ptr_array_copy(manager->devices, NULL, NULL);

	assert(manager->claims_changed);
	manager->claims_changed = false;
	for (unsigned i = 0; i < devices->len; i++)
		if (g_ptr_array_find(manager->devices, devices->pdata[i], NULL))
			device_claim_changed(devices->pdata[i]);
}

/* Reacts to changes of devices; the only place that does. */
static int manager_step(sd_event_source *source, void *userdata)
{
	struct manager *manager = userdata;

	(void) source;
	assert(env_on_main_thread(&manager->env));
	if (manager->claims_changed)
		manager_offer_claims(manager);
	netlink_reset_check(&manager->reset);
	manager_check_stopped(manager);
	if (manager->setup.changed)
		manager->setup.changed(manager->setup.userdata);
	return 0;
}

/* One timer for all devices: an idle one costs three counters to read. */
static void manager_check_health(struct env_timer *timer)
{
	struct manager *manager = container_of(timer, struct manager, health);
	uint64_t now = clock_now_ns();

	for (unsigned i = 0; i < manager->devices->len; i++)
		if (device_check_health(manager_at(manager, i), now))
			device_refresh(manager_at(manager, i));
	env_timer_arm(&manager->env, &manager->health, HEALTH_US);
}

/* ------- start and stop ------- */

static int manager_subscribe(struct manager *manager)
{
	sd_event *event = manager->setup.event;
	int r = tcmu_netlink_open(&manager->netlink);

	if (r >= 0)
		r = sd_event_add_io(
			event, &manager->netlink_source, tcmu_netlink_fd(manager->netlink), EPOLLIN,
			manager_netlink_ready, manager);
	if (r >= 0)
		r = sd_event_source_set_priority(manager->netlink_source, PRIORITY_KERNEL);
	if (r >= 0)
		r = sd_event_add_defer(event, &manager->changed_source, manager_step, manager);
	if (r >= 0)
		r = sd_event_source_set_priority(manager->changed_source, PRIORITY_CHANGED);
	/* A daemon before us may have died while it kept the kernel's commands back. */
	if (r >= 0 && (r = tcmu_module_block_netlink(false)) == -ENOENT)
		r = 0;
	if (r >= 0)
		r = tcmu_netlink_set_replies(manager->netlink, true);
	return r;
}

static void manager_watch_nodes(struct manager *manager)
{
	int r = sd_event_add_inotify(
		manager->setup.event, &manager->nodes_source, "/dev", IN_DELETE | IN_ONLYDIR,
		manager_node_deleted, manager);

	if (r < 0)
		log_warning("cannot watch /dev for deleted devices: %s", strerror(-r));
}

static void manager_stop_timed_out(struct env_timer *timer)
{
	struct manager *manager = container_of(timer, struct manager, stop);

	for (unsigned i = 0; i < manager->devices->len; i++)
		log_dev_warning(
			device_label(manager_at(manager, i)), "abandoned in the state %s",
			device_state_name(device_state(manager_at(manager, i))));
	manager_report_stopped(manager);
}

int manager_new(const struct manager_setup *setup, struct manager **ret)
{
	struct manager *manager = g_new0(struct manager, 1);
	int r;

	device_env_init(&manager->env, setup->event, setup->mailbox);
	manager->env.parent = &manager_as_parent;
	manager->env.settings = setup->settings;
	manager->env.state_dir = setup->state_dir;
	manager->setup = *setup;
	manager->devices = g_ptr_array_new();
	netlink_owed_init(&manager->owed);
	manager->scan_again.fired = manager_scan_again;
	manager->stop.fired = manager_stop_timed_out;
	manager->health = (struct env_timer){
		.fired = manager_check_health, .accuracy_us = HEALTH_ACCURACY_US};
	if (mkdir(setup->run_dir, 0755) < 0 && errno != EEXIST)
		log_warning("cannot create %s: %s", setup->run_dir, strerror(errno));
	r = manager_subscribe(manager);
	if (r < 0) {
		manager_free(manager);
		return r;
	}
	manager_watch_nodes(manager);
	netlink_reset_start(
		&manager->reset, &manager->env, tcmu_netlink_fd(manager->netlink),
		manager_is_answering);
	manager->reset.owed = &manager->owed;
	env_timer_arm(&manager->env, &manager->health, HEALTH_US);
	manager_reconcile(manager);
	netlink_reset_check(&manager->reset);
	*ret = manager;
	return 0;
}

void manager_stop(struct manager *manager, void (*done)(void *userdata), void *userdata)
{
	assert(!manager_is_stopping(manager) && done);
	manager->stopped = done;
	manager->stopped_userdata = userdata;
	manager->needs_reset |= manager->reset.wanted;
	netlink_reset_cancel(&manager->reset);
	env_timer_arm(
		&manager->env, &manager->stop,
		(manager->setup.settings->stop_timeout_ms + STOP_GRACE_MS) * UINT64_C(1000));
	for (unsigned i = manager->devices->len; i-- > 0;)
		device_event(manager_at(manager, i), DEVICE_EV_STOP);
	(void) sd_event_source_set_enabled(manager->changed_source, SD_EVENT_ONESHOT);
}

void manager_free(struct manager *manager)
{
	if (!manager)
		return;
	manager_end(manager);
	sd_event_source_disable_unref(manager->netlink_source);
	sd_event_source_disable_unref(manager->nodes_source);
	sd_event_source_disable_unref(manager->changed_source);
	netlink_reset_clear(&manager->reset);
	env_timer_disarm(&manager->scan_again);
	env_timer_disarm(&manager->health);
	env_timer_disarm(&manager->stop);
	tcmu_netlink_close(manager->netlink);
	netlink_owed_clear(&manager->owed);
	g_ptr_array_free(manager->devices, true);
	g_free(manager);
}

/* ------- questions ------- */

void manager_count(
	const struct manager *manager, unsigned *served, unsigned *failed, unsigned *orphans)
{
	*served = *failed = *orphans = 0;
	for (unsigned i = 0; i < manager->devices->len; i++) {
		enum device_state state = device_state(manager_at(manager, i));

		*served += state == DEVICE_LIVE;
		*orphans += state == DEVICE_ORPHANED;
		*failed += state == DEVICE_FAILED || state == DEVICE_FAULTED;
	}
	assert(*served + *failed + *orphans <= manager->devices->len);
}

struct device *manager_device(const struct manager *manager, unsigned i)
{
	return i < manager->devices->len ? manager_at(manager, i) : NULL;
}

struct device *manager_find(const struct manager *manager, const char *text, unsigned *cnt)
{
	struct device *found[2] = {NULL, NULL};
	unsigned cnts[2] = {0, 0}; /* of the kernel's, and of others */
	unsigned group;

	for (unsigned i = 0; i < manager->devices->len; i++) {
		struct device *device = manager_at(manager, i);

		if (!device_is_called(device, text))
			continue;
		group = device_state_kernel_has(device_state(device)) ? 0 : 1;
		found[group] = device;
		cnts[group]++;
	}
	group = cnts[0] ? 0 : 1;
	*cnt = cnts[group];
	return cnts[group] == 1 ? found[group] : NULL;
}

bool manager_is_empty(const struct manager *manager)
{
	return !manager || manager->devices->len == 0;
}
