/* SPDX-License-Identifier: Apache-2.0 */
#include "device/netlink-reset.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include <tcmu/module.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "base/log.h"

#define KNOWN_US       UINT64_C(300000)
#define PAUSE_US       UINT64_C(300000)
#define RESET_US       UINT64_C(5000000)
#define LAST_US        UINT64_C(1000000) /* after open_timeout_ms */
#define LATE_ANSWER_US UINT64_C(200000)

/* ------- commands of a dead daemon ------- */

static uint64_t netlink_reset_now(const struct netlink_reset *reset)
{
	return reset->env->system->now_us(reset->env);
}

void netlink_reset_run(struct netlink_reset *reset)
{
	int r;

	netlink_reset_cancel(reset);
	r = tcmu_module_end_commands();
	if (r >= 0 && reset->owed)
		netlink_owed_forget(reset->owed);
	if (r < 0 && r != -ENOENT)
		log_error(
			"cannot end the kernel's commands that wait for a daemon: %s",
			strerror(-r));
}

/* Whether the commands do not pause yet; then the check follows. */
static bool netlink_reset_waits_for_pause(struct netlink_reset *reset)
{
	uint64_t now = netlink_reset_now(reset);

	if (!reset->active || clock_since(now, reset->active) >= PAUSE_US ||
	    clock_since(now, reset->began) >= RESET_US)
		return false;
	if (!env_timer_is_armed(&reset->paused))
		env_timer_arm(reset->env, &reset->paused, PAUSE_US);
	return true;
}

/* Whether something is in the way of the reset. */
static bool netlink_reset_waits(struct netlink_reset *reset)
{
	if (clock_since(netlink_reset_now(reset), reset->began) >= reset->max)
		return false;
	return reset->is_answering(reset, env_timer_is_armed(&reset->known)) ||
		netlink_reset_waits_for_pause(reset);
}

/* A command that was sent and not read yet would be ended, too: it is read first. */
static void netlink_reset_note_unread(struct netlink_reset *reset)
{
	const struct timespec at_once = {.tv_sec = 0};
	struct pollfd fd = {.fd = reset->fd, .events = POLLIN};

	if (ppoll(&fd, 1, &at_once, NULL) > 0)
		netlink_reset_note_command(reset);
}

void netlink_reset_check(struct netlink_reset *reset)
{
	if (reset->wanted)
		netlink_reset_note_unread(reset);
	if (reset->wanted && !netlink_reset_waits(reset))
		netlink_reset_run(reset);
}

static void netlink_reset_known(struct env_timer *timer)
{
	netlink_reset_check(container_of(timer, struct netlink_reset, known));
}

static void netlink_reset_paused(struct env_timer *timer)
{
	netlink_reset_check(container_of(timer, struct netlink_reset, paused));
}

static void netlink_reset_last(struct env_timer *timer)
{
	netlink_reset_check(container_of(timer, struct netlink_reset, last));
}

void netlink_reset_start(
	struct netlink_reset *reset, struct device_env *env, int fd,
	bool (*is_answering)(struct netlink_reset *reset, bool unknown))
{
	assert(!reset->env && fd >= 0 && is_answering);
	*reset = (struct netlink_reset){
		.env = env,
		.fd = fd,
		.is_answering = is_answering,
		.wanted = true,
		.known.fired = netlink_reset_known,
		.paused.fired = netlink_reset_paused,
		.last.fired = netlink_reset_last,
	};
	reset->began = netlink_reset_now(reset);
	reset->max = MAX(RESET_US, env->settings->open_timeout_ms * UINT64_C(1000) + LAST_US);
	env_timer_arm(env, &reset->known, KNOWN_US);
	env_timer_arm(env, &reset->last, reset->max);
}

void netlink_reset_note_command(struct netlink_reset *reset)
{
	reset->active = netlink_reset_now(reset);
}

void netlink_reset_cancel(struct netlink_reset *reset)
{
	reset->wanted = false;
	env_timer_disarm(&reset->known);
	env_timer_disarm(&reset->paused);
	env_timer_disarm(&reset->last);
}

/* ------- failures ------- */

bool netlink_reset_log_error(int error, bool again)
{
	assert(error < 0);
	if (error == -ENOBUFS) {
		log_warning("events of the kernel were lost, or its module was loaded again: "
			    "scanning for missed ones");
		return false;
	}
	if (error == -EBADMSG) {
		log_warning("a malformed TCM-USER message was dropped");
		return false;
	}
	if (!again)
		log_error(
			"cannot receive the kernel's events: %s; it is tried again",
			strerror(-error));
	return true;
}

/* ------- commands for devices that are gone ------- */

struct netlink_late {
	struct env_timer timer;
	struct netlink_reset *reset;
	struct tcmu_name name;
	unsigned minor;
	uint32_t id;
};

static void netlink_late_answer(struct env_timer *timer)
{
	struct netlink_late *late = container_of(timer, struct netlink_late, timer);
	struct netlink_reset *reset = late->reset;
	struct device_env *env = reset->env;
	struct tcmu_scan_entry entry;

	assert(env_on_main_thread(env));
	if (env->kernel->scan_minor(env, late->minor, &entry) >= 0 &&
	    env_same_name(&entry.name, &late->name))
		env->parent->answer(env, TCMU_EVENT_REMOVED, late->id, 0);
	else
		env->parent->drop_owed(env, TCMU_EVENT_REMOVED, late->id);
	assert(g_slist_find(reset->late, late));
	reset->late = g_slist_remove(reset->late, late);
	g_free(late);
}

void netlink_reset_answer_late(
	struct netlink_reset *reset, const struct tcmu_name *name, unsigned minor, uint32_t id)
{
	struct netlink_late *late = g_new0(struct netlink_late, 1);

	*late = (struct netlink_late){
		.timer.fired = netlink_late_answer,
		.reset = reset,
		.name = *name,
		.minor = minor,
		.id = id,
	};
	reset->late = g_slist_prepend(reset->late, late);
	env_timer_arm(reset->env, &late->timer, LATE_ANSWER_US);
}

void netlink_reset_clear(struct netlink_reset *reset)
{
	netlink_reset_cancel(reset);
	while (reset->late) {
		struct netlink_late *late = reset->late->data;

		assert(late->reset == reset);
		env_timer_disarm(&late->timer);
		reset->late = g_slist_delete_link(reset->late, reset->late);
		g_free(late);
	}
}

/* ------- the ledger ------- */

static uint64_t netlink_owed_key(enum tcmu_event_kind kind, uint32_t id)
{
	assert(kind >= TCMU_EVENT_ADDED && kind <= TCMU_EVENT_RECONFIG);
	return (uint64_t) kind << 32 | id;
}

void netlink_owed_init(struct netlink_owed *owed)
{
	assert(!owed->commands);
	owed->commands = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void netlink_owed_clear(struct netlink_owed *owed)
{
	if (!owed->commands)
		return;
	assert(g_hash_table_size(owed->commands) == 0);
	g_hash_table_destroy(owed->commands);
	owed->commands = NULL;
}

void netlink_owed_add(struct netlink_owed *owed, enum tcmu_event_kind kind, uint32_t id)
{
	uint64_t *key = g_new(uint64_t, 1);

	for (enum tcmu_event_kind other = TCMU_EVENT_ADDED; other <= TCMU_EVENT_RECONFIG; other++)
		(void) netlink_owed_take(owed, other, id);
	*key = netlink_owed_key(kind, id);
	(void) g_hash_table_add(owed->commands, key);
}

bool netlink_owed_take(struct netlink_owed *owed, enum tcmu_event_kind kind, uint32_t id)
{
	uint64_t key = netlink_owed_key(kind, id);

	return g_hash_table_remove(owed->commands, &key);
}

void netlink_owed_forget(struct netlink_owed *owed)
{
	if (owed->commands)
		g_hash_table_remove_all(owed->commands);
}

bool netlink_owed_any(const struct netlink_owed *owed, enum tcmu_event_kind *kind, uint32_t *id)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, owed->commands);
	if (!g_hash_table_iter_next(&iter, &key, NULL))
		return false;
	*kind = (enum tcmu_event_kind)(*(const uint64_t *) key >> 32);
	*id = (uint32_t) * (const uint64_t *) key;
	return true;
}
