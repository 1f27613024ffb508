/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <scsi/optable.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/reason.h"
#include "config/stack.h"
#include "device/block.h"
#include "device/lock.h"
#include "device/lu-info.h"
#include "device/open.h"
#include "device/reconfig.h"
#include "device/state.h"
#include "device/status.h"

/* Memory or threads are short: they may be there in a moment. */
#define CALL_AGAIN_MS UINT64_C(100)
#define RETRY_MS      UINT64_C(2000)
#define RETRY_MAX_MS  UINT64_C(60000)
#define RETRY_SHIFTS  5u

static void device_run(struct device *device);

/* ------- the I/O thread ------- */

/* A format that was cut short has failed. */
static void device_set_format_state(struct scsi_lu *lu, unsigned format_state)
{
	lu->format_failed = format_state & FORMAT_STATE_FORMAT;
	lu->sanitize_failed = format_state & FORMAT_STATE_SANITIZE;
	lu->sanitize_exit = format_state & FORMAT_STATE_EXIT;
}

/* On the I/O thread, and only at the level that asks for it. */
static void device_log_command(
	void *userdata, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	const struct device *device = userdata;
	char hex[3 * TCMU_CDB_MAX + 1] = "";

	assert(cdb_length <= TCMU_CDB_MAX);
	for (unsigned i = 0; i < cdb_length; i++)
		(void) snprintf(hex + (size_t) 3 * i, 4, " %02x", cdb[i]);
	log_dev(device_label(device), LOG_LEVEL_SCSI, "%s:%s, %llu bytes", scsi_opcode_name(cdb),
		hex, (unsigned long long) data_length);
}

static void device_start_thread(struct device *device)
{
	const struct settings *settings = device->env->settings;
	bool recovers = !device->clean && device->blocking.configured;
	struct io_thread_setup setup = {
		.name = device->name.name,
		.device = device->name,
		.minor = device->minor,
		.start = recovers ? IO_THREAD_RECOVERED : IO_THREAD_FRESH,
		.aio = settings->io_engine,
		.depth = settings->queue_depth,
		.busy_poll = settings->busy_poll,
		.command_timeout = device->attributes.command_timeout,
		.handler = device->handler,
		.backend = device->backend,
		.host = &device_host,
		.host_device = &device->host_device,
		.info = device->info,
		.stats = device->stats,
		.notes = device->notes,
		.tracing = log_scsi(),
		.trace = device_log_command,
		.signal = device_signal,
		.userdata = device,
	};
	bool had_cache;
	int r;

	assert(!device->thread && !device->revoke.call.running && device->backend);
	assert(!recovers || notes_left(device->notes));
	lu_info_fill_lu(device, &setup.lu);
	had_cache = setup.lu.write_cache;
	/* An administrator's "off" holds for every initiator, whatever one has saved. */
	if (!device->attributes.write_cache)
		setup.lu.write_cache = setup.lu.write_cache_changeable = false;
	scsi_set_lu_info(&setup.lu, &device->lu_info.known);
	setup.cache_is_off = had_cache && !setup.lu.write_cache;
	options_limits(device->options, &setup.limits);
	device->limits = setup.limits;
	device_set_format_state(&setup.lu, device->env->parent->format_state(device->env, device));
	lock_begin(device, &setup);
	device->clean = false;
	r = io_thread_new(&setup, &device->thread);
	if (r >= 0)
		return;
	/* Without a thread it ends as one that broke while attaching. */
	device->thread = NULL;
	device->error = reason_refuse(
		&device->reason, r, "its I/O thread cannot be started: %s", strerror(-r));
	device_post(device, DEVICE_EV_RING_BROKEN);
	device_post(device, DEVICE_EV_IO_ENDED);
}

static void device_drain(struct device *device)
{
	const struct settings *settings = device->env->settings;
	bool patient = device->drain == DRAIN_STOP || device->drain == DRAIN_REOPEN;

	assert(device->drain != DRAIN_NONE);
	if (!device->thread)
		return;
	io_thread_drain(device->thread, !patient);
	device_timer_arm(
		device, DEVICE_TIMER_RELEASE,
		patient ? settings->stop_timeout_ms : settings->release_deadline_ms);
}

static void device_thread_ended(struct device *device)
{
	struct io_thread *thread = device->thread;
	bool clean = io_thread_ended_clean(thread);

	if (device->drain == DRAIN_REOPEN) {
		device->clean = clean;
		device->blocking.interrupted |= !clean;
	}
	if (device->drain == DRAIN_STOP && !device->owes_removed && clean)
		device->env->parent->mark_clean(device->env, device);
	device->thread = NULL;
	device->deferred.thread = NULL;
	/* A revoke that is still running frees it. */
	if (!device->revoke.call.running)
		io_thread_free(thread);
	else
		assert(device->revoke.thread == thread);
	device_event(device, DEVICE_EV_IO_ENDED);
}

/* ------- bounded release ------- */

static void revoke_work(struct device_call *call)
{
	call->result = io_thread_revoke(container_of(call, struct device_revoke, call)->thread);
}

static void revoke_done(struct device_call *call)
{
	struct device *device = call->device;
	struct io_thread *thread = device->revoke.thread;

	device->revoke.thread = NULL;
	if (!device->thread) {
		/* It has ended meanwhile: nothing was taken away. */
		io_thread_free(thread);
		return;
	}
	assert(device->thread == thread);
	if (call->result < 0) {
		device_timer_arm(device, DEVICE_TIMER_RELEASE, CALL_AGAIN_MS);
		return;
	}
	log_dev_warning(
		device_label(device),
		"%u requests are stuck in the backend; the ring was released without them",
		io_thread_in_flight(thread));
	device_post(device, DEVICE_EV_REVOKED);
}

static void device_revoke(struct device *device)
{
	if (!device->thread || device->revoke.call.running)
		return;
	/* Other hosts do not know of the claim of an orphan. */
	if (device->handler->abandon && device->backend)
		device->handler->abandon(device->backend);
	device->revoke.thread = device->thread;
	device_call_start(device, &device->revoke.call, revoke_work, revoke_done, "revoke");
}

/* ------- the handler's close ------- */

static void closing_work(struct device_call *call)
{
	call->device->handler->close(call->device->backend);
	call->result = 0;
}

static void closing_done(struct device_call *call)
{
	struct device *device = call->device;

	assert(device->closing.state == CLOSING_CALLS && device->backend);
	if (call->result < 0) {
		device->closing.state = CLOSING_WAITS;
		device_alarm_arm(&device->closing.again, CALL_AGAIN_MS * 1000);
		return;
	}
	device->closing.state = CLOSING_NONE;
	device->backend = NULL;
	device_close_notes(device);
	device->info.claim[0] = '\0';
	device_post(device, DEVICE_EV_CLOSED);
}

/* The alarm is only there so that device_run() follows. */
static void closing_again(struct device *device)
{
	assert(device->closing.state == CLOSING_WAITS);
}

static void device_close(struct device *device)
{
	assert(!device->thread && !device->opening);
	assert(device->closing.state == CLOSING_NONE);
	device->closing.state = CLOSING_WAITS;
}

/* Closes the backend, if that waits, once no other call uses it. */
static void closing_settle(struct device *device)
{
	struct device_closing *closing = &device->closing;

	if (closing->state != CLOSING_WAITS || device_backend_in_use(device) ||
	    env_timer_is_armed(&closing->again.timer))
		return;
	if (device->backend) {
		closing->state = CLOSING_CALLS;
		device_call_start(device, &closing->call, closing_work, closing_done, "close");
	} else {
		closing->state = CLOSING_NONE;
		device_post(device, DEVICE_EV_CLOSED);
	}
}

/* ------- answers ------- */

/* A backstore of this name that is created from now on is a new one. */
static void device_note_deleted(struct device *device)
{
	device->store = (struct marks_store){.deleted = true};
	device->env->parent->save_store(device->env, device, &device->store);
}

static void device_answer_added(struct device *device)
{
	bool served = device->state == DEVICE_LIVE || device->state == DEVICE_FAULTED ||
		device->state == DEVICE_RESETTING;
	int status = served                   ? 0
		: device->drain == DRAIN_STOP ? -ESHUTDOWN
		: device->error               ? device->error
					      : -EIO;

	if (!device->owes_added)
		return;
	device->owes_added = false;
	if (!status)
		block_configured(device);
	else
		device_note_deleted(device); /* the kernel drops it, without REMOVED_DEVICE */
	device_timer_disarm(device, DEVICE_TIMER_OPEN);
	device->env->parent->answer(device->env, TCMU_EVENT_ADDED, device->id, status);
}

static void device_answer_removed(struct device *device)
{
	const struct env_parent *parent = device->env->parent;

	assert(!device_state_holds_ring(device->state));
	if (!device->owes_removed)
		return;
	device->owes_removed = false;
	if (device->attributes.replies)
		parent->answer(device->env, TCMU_EVENT_REMOVED, device->id, 0);
	else
		parent->answer_if_waiting(device->env, &device->name, device->minor, device->id);
}

/* ------- timers ------- */

/* Later each time: it may stay broken for days, or break again as soon as it is served. */
static void device_arm_retry(struct device *device)
{
	unsigned shifts = MIN(device->tries, RETRY_SHIFTS);
	bool at_once = device->drain == DRAIN_REOPEN;

	device->drain = DRAIN_NONE;
	if (at_once) {
		device_timer_arm(device, DEVICE_TIMER_RETRY, 0);
		return;
	}
	device->tries++;
	device_timer_arm(device, DEVICE_TIMER_RETRY, MIN(RETRY_MS << shifts, RETRY_MAX_MS));
}

/* The kernel may have dropped a failed device without an event: check before the retry. */
static void device_retry(struct device *device)
{
	struct tcmu_scan_entry entry;

	if (device->env->kernel->scan_minor(device->env, device->minor, &entry) < 0 ||
	    strcmp(entry.name.config, device->name.config) != 0 ||
	    !env_same_name(&entry.name, &device->name))
		device_post(device, DEVICE_EV_UNREGISTERED);
	else if (device->revoke.call.running)
		device_timer_arm(device, DEVICE_TIMER_RETRY, RETRY_MS);
	else
		device_post(device, DEVICE_EV_RETRY);
}

static void device_release_timed_out(struct device *device)
{
	device_post(device, DEVICE_EV_RELEASE_DEADLINE);
}

static void device_reply_timed_out(struct device *device)
{
	device_post(device, DEVICE_EV_REPLY_DEADLINE);
}

static void device_init_timers(struct device *device)
{
	static void (*const fired[DEVICE_TIMER_COUNT])(struct device *) = {
		[DEVICE_TIMER_OPEN] = open_timed_out,
		[DEVICE_TIMER_RELEASE] = device_release_timed_out,
		[DEVICE_TIMER_REPLY] = device_reply_timed_out,
		[DEVICE_TIMER_RETRY] = device_retry,
	};

	for (int i = 0; i < DEVICE_TIMER_COUNT; i++)
		device_alarm_init(device, &device->alarms[i], fired[i]);
	device_alarm_init(device, &device->closing.again, closing_again);
}

/* ------- transitions ------- */

static void device_act(struct device *device, uint32_t actions)
{
	assert(!device->acting);
	device->acting = true;
	if (actions & DEVICE_DO_START)
		device_start_thread(device);
	if ((actions & DEVICE_DO_FAIL) && !device_reopens(device))
		io_thread_fail(device->thread);
	if (actions & DEVICE_DO_DRAIN)
		device_drain(device);
	if (actions & DEVICE_DO_REVOKE)
		device_revoke(device);
	if (actions & DEVICE_DO_ANSWER_ADDED)
		device_answer_added(device);
	if (actions & DEVICE_DO_ANSWER_REMOVED)
		device_answer_removed(device);
	if (actions & DEVICE_DO_ARM_REPLY)
		device_timer_arm(
			device, DEVICE_TIMER_REPLY, device->env->settings->reply_timeout_ms);
	if (actions & DEVICE_DO_ARM_RETRY)
		device_arm_retry(device);
	if (actions & DEVICE_DO_OPEN)
		open_start(device);
	if (actions & DEVICE_DO_CLOSE)
		device_close(device);
	device->acting = false;
}

/* Events that come with a reason. */
static bool device_event_is_failure(enum device_event event)
{
	return event == DEVICE_EV_OPEN_REFUSED || event == DEVICE_EV_OPEN_FAILED ||
		event == DEVICE_EV_OPEN_TIMEOUT || event == DEVICE_EV_RING_BROKEN ||
		event == DEVICE_EV_BACKEND_FAILED;
}

static int device_log_level(
	const struct device *device, enum device_state from, enum device_event event)
{
	bool failed = device->state == DEVICE_FAILED || device->state == DEVICE_FAILING ||
		device->state == DEVICE_CLOSING;

	/* Retries are logged once, and each failure of a device that was served. */
	if (event == DEVICE_EV_RETRY || (device->tries && failed && from != DEVICE_LIVE))
		return TCMU_LOG_DEBUG;
	/* A device that a scan found may just have been removed. */
	if (event == DEVICE_EV_OPEN_FAILED && device->error == -ENOENT)
		return TCMU_LOG_INFO;
	/* An ordinary failover; if reopening fails, that is logged as an error. */
	if (event == DEVICE_EV_BACKEND_FAILED && device->lock.shared &&
	    atomic_load(&device->backend_fenced))
		return TCMU_LOG_INFO;
	if (device_event_is_failure(event))
		return TCMU_LOG_ERROR;
	return device->state == DEVICE_FAULTED || device->state == DEVICE_ORPHANED
		? TCMU_LOG_WARNING
		: TCMU_LOG_INFO;
}

/* One line for each change of a state: how long it lasted, and why it ended. */
static void device_log_transition(
	const struct device *device, enum device_state from, enum device_event event, uint64_t now)
{
	bool failure = device_event_is_failure(event);
	const char *id = device->state == DEVICE_ORPHANED    ? LOG_ID_DEVICE_ORPHANED
		: failure || device->state == DEVICE_FAULTED ? LOG_ID_DEVICE_FAILED
							     : LOG_ID_DEVICE_STATE;

	assert(from != device->state);
	log_full(
		device_log_level(device, from, event), device_label(device),
		device->handler->subtype, id, "%s after %.3f s -> %s: %s%s%s%s%s",
		device_state_name(from), (double) clock_since(now, device->state_since) / 1e6,
		device_state_name(device->state), device_event_name(event), failure ? ": " : "",
		failure ? device->name.config : "", failure ? ": " : "",
		failure ? device->reason.text : "");
}

static void device_enter_state(
	struct device *device, enum device_state next, enum device_event event)
{
	enum device_state from = device->state;
	uint64_t now = device->env->system->now_us(device->env);

	if (from == DEVICE_LIVE && device_has_lasted(device, device->state_since))
		device->tries = 0;
	device->state = next;
	device_log_transition(device, from, event, now);
	device->state_since = now;
	for (int i = 0; i < DEVICE_TIMER_COUNT; i++)
		if (!device_state_has_timer(next, i))
			device_timer_disarm(device, i);
	if (next == DEVICE_LIVE)
		device->reason.text[0] = '\0'; /* of an earlier failure */
}

/* Why it drains from now on, if it does. */
static void device_note_drain(struct device *device, enum device_event event, uint32_t actions)
{
	if (event == DEVICE_EV_STOP)
		device->drain = DRAIN_STOP;
	else if (event == DEVICE_EV_REOPEN && (actions & DEVICE_DO_DRAIN))
		device->drain = DRAIN_REOPEN;
	else if ((actions & DEVICE_DO_DRAIN) && device->drain != DRAIN_STOP)
		device->drain = DRAIN_END;
}

/* Invariants between any two transitions. */
static void device_assert_sound(const struct device *device)
{
	switch (device->state) {
	case DEVICE_OPENING:
		assert(!device->thread && !device->backend);
		break;
	case DEVICE_LIVE:
		assert(device->thread && device->backend && !device->owes_added);
		assert(!device->reason.text[0]);
		break;
	case DEVICE_FAULTED:
	case DEVICE_RESETTING:
		assert(device->thread);
		break;
	case DEVICE_ORPHANED:
		assert(!device->owes_removed);
		break;
	case DEVICE_FAILED:
		assert(!device->thread && !device->backend && !device->opening);
		break;
	case DEVICE_GONE:
		assert(!device->thread && !device->backend && !device->opening);
		assert(!device->owes_added && !device->owes_removed);
		assert(device->closing.state == CLOSING_NONE);
		break;
	default:
		break;
	}
}

/* The kernel does not wait for its creation any more: it takes the device down. */
static void device_drop_added(struct device *device, enum device_event event)
{
	if (!device->owes_added || (event != DEVICE_EV_REMOVED && event != DEVICE_EV_UNREGISTERED))
		return;
	device->owes_added = false;
	device->env->parent->drop_owed(device->env, TCMU_EVENT_ADDED, device->id);
}

/* Returns whether it was the last transition of a life. */
static bool device_transit(struct device *device, enum device_event event)
{
	struct device_transition transition = device_fsm(device->state, event);
	enum device_state from = device->state;

	if (!transition.defined) {
		log_dev_warning(
			device_label(device), "%s while %s: unexpected, ignored",
			device_event_name(event), device_state_name(from));
		return false;
	}
	device_note_drain(device, event, transition.actions);
	block_note_transition(device, event, transition.next);
	if (from != transition.next)
		device_enter_state(device, transition.next, event);
	device_drop_added(device, event);
	device_act(device, transition.actions & ~DEVICE_DO_FORGET);
	device_assert_sound(device);
	if (from != transition.next)
		device->env->parent->changed(device->env, device);
	return transition.actions & DEVICE_DO_FORGET;
}

/* Checks the conditions that something may have waited for. May start calls and post events. */
static void device_settle(struct device *device)
{
	block_settle(device);
	open_settle(device);
	lock_settle(device);
	closing_settle(device);
	reconfig_settle(device);
}

/* The one place that drains the queue. */
static void device_run(struct device *device)
{
	assert(env_on_main_thread(device->env));
	assert(!device->acting);
	device_ref(device);
	do {
		while (device->queue.cnt)
			device->forgets |= device_transit(
				device, device_queue_take(&device->queue));
		device_settle(device);
	} while (device->queue.cnt);
	/* A call still uses the env, which may not outlive the last device. */
	if (device->forgets && !device->calls) {
		assert(device->state == DEVICE_GONE);
		device->forgets = false;
		device->env->parent->forget(device->env, device);
	}
	device_unref(device);
}

void device_event(struct device *device, enum device_event event)
{
	device_post(device, event);
	device_run(device);
}

/* ------- signals of other threads ------- */

static void device_ring_broken(struct device *device)
{
	const char *text;
	int error = io_thread_error(device->thread, &text);

	assert(error < 0);
	device->error = reason_refuse(&device->reason, error, "%s: %s", text, strerror(-error));
	device_event(device, DEVICE_EV_RING_BROKEN);
}

static void device_backend_failed(struct device *device)
{
	device_note_backend_error(device, atomic_load(&device->backend_error));
	device_event(device, DEVICE_EV_BACKEND_FAILED);
	if (device_reopens(device))
		lock_event(device, LOCK_EV_FENCED);
}

/* A device that is not shared, as far as is known, may have got port groups since they were read.
 */
static void device_lock_lost(struct device *device)
{
	lock_event(device, LOCK_EV_LOST);
	if (!device->lock.shared && device_is_served(device))
		lu_info_need(device);
}

/* For EXTENDED COPY other devices find this one by its serial, even before initiators read it. */
static void device_attached(struct device *device)
{
	device_event(device, DEVICE_EV_ATTACHED);
	if (device->env->settings->extended_copy == XCOPY_ALL)
		lu_info_need(device);
}

static void device_take_thread_signals(struct device *device, uint32_t signals)
{
	if (signals & IO_SIGNAL_ATTACHED)
		device_attached(device);
	if (signals & IO_SIGNAL_RING_RESET)
		device_event(device, DEVICE_EV_RING_RESET);
	if (signals & IO_SIGNAL_RING_IDLE)
		block_ring_idle(device);
	if (signals & IO_SIGNAL_WRITE_CACHE)
		reconfig_write_cache_set(device);
	if (signals & IO_SIGNAL_NEEDS_LU_INFO)
		lu_info_need(device);
	if (signals & IO_SIGNAL_DEFERRED)
		lu_info_run_deferred(device);
	if (signals & IO_SIGNAL_FORMAT)
		device->env->parent->mark_format(
			device->env, device, io_thread_format_state(device->thread));
	if (signals & IO_SIGNAL_WANTS_LOCK)
		lock_event(device, LOCK_EV_WANTED);
	if (signals & IO_SIGNAL_TIMED_OUT)
		lock_doubt(device);
}

/* In the order in which they can have been sent. For IO_SIGNAL_IDLE device_run() is enough. */
static void device_take_signals(struct post *post)
{
	struct device *device = container_of(post, struct device, post);
	uint32_t signals = atomic_exchange(&device->signals, 0);

	assert(!device->acting && device->queue.cnt == 0);
	device_ref(device);
	if (device->thread)
		device_take_thread_signals(device, signals);
	if (signals & DEVICE_SIGNAL_BACKEND_RESIZED)
		reconfig_log_backend_size(device);
	if (signals & DEVICE_SIGNAL_LOCK_LOST)
		device_lock_lost(device);
	if (signals & DEVICE_SIGNAL_BACKEND_FAILED)
		device_backend_failed(device);
	if ((signals & IO_SIGNAL_RING_BROKEN) && device->thread)
		device_ring_broken(device);
	if (signals & IO_SIGNAL_UNREGISTERED)
		device_event(device, DEVICE_EV_UNREGISTERED);
	if ((signals & IO_SIGNAL_ENDED) && device->thread)
		device_thread_ended(device);
	device_run(device);
	device_unref(device);
}

/* ------- for the parent ------- */

struct device *device_new(struct device_env *env, const struct device_start *start)
{
	struct device *device = g_new0(struct device, 1);

	assert(env_on_main_thread(env));
	assert(start->handler && start->origin < DEVICE_ORIGIN_COUNT);
	list_init(&device->all_alarms);
	device->env = env;
	device->run = device_run;
	device->refs = 1;
	device->stats = memory_map(sizeof(*device->stats));
	if (!device->stats)
		g_error("no memory for the counters of a device");
	device->name = start->name;
	device->minor = start->minor;
	device->id = start->id;
	device->origin = start->origin;
	device->stack = stack_new(start->handler, start->name.config);
	device->handler = device->stack ? stack_handler(device->stack) : start->handler;
	device->owes_added = start->origin == DEVICE_ORIGIN_ADDED;
	device->clean = start->clean || start->origin == DEVICE_ORIGIN_ADDED;
	device->attributes.replies = true;
	device->state = DEVICE_OPENING;
	device->state_since = env->system->now_us(env);
	device->post.run = device_take_signals;
	device_host_init(device);
	device_init_timers(device);
	block_init(device, !device->clean);
	lock_init(device);
	lu_info_init(device);
	reconfig_init(device);
	env->parent->load_store(env, device, &device->store);
	return device;
}

void device_release(struct device *device)
{
	device_unref(device);
}

void device_open(struct device *device)
{
	assert(device->state == DEVICE_OPENING && !device->acting);
	open_start(device);
	device_run(device);
}

void device_removed(struct device *device, uint32_t id)
{
	device->id = id;
	device->owes_removed = true;
	device_note_deleted(device);
	device_event(device, DEVICE_EV_REMOVED);
}

void device_reconfig(struct device *device, const struct tcmu_event *event)
{
	assert(event->kind == TCMU_EVENT_RECONFIG && !device->acting);
	reconfig_handle(device, event);
	device_run(device);
}

int device_reopen(struct device *device)
{
	bool served = device->state == DEVICE_LIVE || device->state == DEVICE_FAULTED;
	bool failed = device->state == DEVICE_FAILED && !device->revoke.call.running;

	if (device->reconfig.state != RECONFIG_NONE || !(served || failed))
		return -EBUSY;
	device->tries = 0;
	device_event(device, DEVICE_EV_REOPEN);
	return 0;
}

void device_refresh(struct device *device)
{
	if (!device_is_served(device))
		return;
	lu_info_need(device);
	device_run(device);
}

/* The kernel gives no two creations the same number. A kernel without numbers says 0. */
bool device_is_addition(const struct device *device, const struct tcmu_event *event)
{
	return event->kind == TCMU_EVENT_ADDED && event->device_id &&
		device->origin == DEVICE_ORIGIN_ADDED && device->minor == event->minor &&
		device->id == event->device_id;
}

bool device_added_again(struct device *device, unsigned minor, uint32_t id)
{
	if (!open_added_again(device, minor, id))
		return false;
	if (device_state_has_timer(device->state, DEVICE_TIMER_OPEN))
		device_timer_arm(device, DEVICE_TIMER_OPEN, device->env->settings->open_timeout_ms);
	else if (device->state == DEVICE_FAILED)
		device_timer_arm(device, DEVICE_TIMER_RETRY, 0); /* its result is the answer */
	else
		device_answer_added(device);
	device_run(device);
	return true;
}

void device_claim_changed(struct device *device)
{
	open_claim_changed(device);
	device_run(device);
}
