/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out what the state machine says (device/fsm.h): threads, timers, answers, and the end of
 * a device.
 */
#include "device/device-private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"

/* Memory or threads are short: they may be there in a moment. */
#define REVOKE_AGAIN_MS 100
#define RETRY_MS        2000u
#define RETRY_MAX_MS    60000u

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* ------- holding ------- */

struct device *device_ref(struct device *device)
{
	device->refs++;
	return device;
}

void device_unref(struct device *device)
{
	assert(device->refs > 0);
	if (--device->refs)
		return;
	for (int i = 0; i < DEVICE_TIMER_COUNT; i++)
		sd_event_source_disable_unref(device->timers[i]);
	sd_event_source_disable_unref(device->lu_info.timer);
	sd_event_source_disable_unref(device->lock.timer);
	options_free(device->options);
	memory_unmap(device->stats, sizeof(*device->stats));
	free(device);
}

int device_start_call(
	struct device *device, struct device_call *call, void (*work)(struct job *),
	void (*done)(struct job *), const char *name)
{
	int r;

	assert(!call->running);
	call->device = device_ref(device);
	call->job.work = work;
	call->job.done = done;
	call->running = true;
	r = job_start(manager_setup(device->manager)->mailbox, &call->job, name);
	if (r < 0) {
		call->running = false;
		device_unref(device);
	}
	return r;
}

/* ------- timers ------- */

static const enum device_event timer_events[DEVICE_TIMER_COUNT] = {
	[DEVICE_TIMER_OPEN] = DEVICE_EV_OPEN_TIMEOUT,
	[DEVICE_TIMER_RELEASE] = DEVICE_EV_RELEASE_DEADLINE,
	[DEVICE_TIMER_REPLY] = DEVICE_EV_REPLY_DEADLINE,
	[DEVICE_TIMER_RETRY] = DEVICE_EV_RETRY,
};

void device_disarm(struct device *device, enum device_timer timer)
{
	device->timers[timer] = sd_event_source_disable_unref(device->timers[timer]);
}

static void open_timed_out(struct device *device)
{
	if (device->opening && device->opening->adopts) {
		device->owes_added = true;
		device->id = device->opening->id;
	}
	if (!device->owes_added) {
		log_dev_warning(
			device_label(device), "the %s backend is still opening after %g s",
			device->handler->subtype,
			(double) manager_setup(device->manager)->settings->open_timeout_ms / 1000);
		return;
	}
	device->error = -ETIMEDOUT;
	snprintf(
		device->reason.text, sizeof(device->reason.text),
		"the %s backend did not open within %g s", device->handler->subtype,
		(double) manager_setup(device->manager)->settings->open_timeout_ms / 1000);
	device_event(device, DEVICE_EV_OPEN_TIMEOUT);
}

/* The kernel may have dropped a failed device without a word: look before trying again. */
static void retry(struct device *device)
{
	struct tcmu_scan_entry entry;

	if (tcmu_scan_minor(device->minor, &entry) < 0 ||
	    strcmp(entry.name.config, device->name.config) != 0 ||
	    strcmp(entry.name.name, device->name.name) != 0 || entry.name.hba != device->name.hba)
		device_event(device, DEVICE_EV_UNREGISTERED);
	else if (device->thread)
		device_arm(device, DEVICE_TIMER_RETRY, RETRY_MS);
	else
		device_event(device, DEVICE_EV_RETRY);
}

static int timer_fired(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct device *device = userdata;

	(void) usec;
	for (int i = 0; i < DEVICE_TIMER_COUNT; i++) {
		if (device->timers[i] != source)
			continue;
		device_ref(device);
		device_disarm(device, i);
		if (i == DEVICE_TIMER_OPEN)
			open_timed_out(device);
		else if (i == DEVICE_TIMER_RETRY)
			retry(device);
		else
			device_event(device, timer_events[i]);
		device_unref(device);
		break;
	}
	return 0;
}

void device_arm(struct device *device, enum device_timer timer, uint64_t ms)
{
	sd_event *event = manager_setup(device->manager)->event;
	int r;

	device_disarm(device, timer);
	r = sd_event_add_time_relative(
		event, &device->timers[timer], CLOCK_MONOTONIC, ms * 1000, 1000, timer_fired,
		device);
	if (r < 0)
		log_dev_error(device_label(device), "no timer could be made: %s", strerror(-r));
}

/* ------- signals of other threads ------- */

void device_signal(void *owner, uint32_t bits)
{
	struct device *device = owner;

	if (atomic_fetch_or(&device->signals, bits) == 0)
		mailbox_post(manager_setup(device->manager)->mailbox, &device->post);
}

static void drop_loop(struct device *device)
{
	io_thread_free(device->thread);
	device->thread = NULL;
	device->deferred.thread = NULL;
}

static void io_ended(struct device *device)
{
	device->io_ended = true;
	if (device->reopening)
		device->clean = io_thread_ended_clean(device->thread);
	if (device->stopping && !device->owes_removed && io_thread_ended_clean(device->thread))
		manager_mark_clean(device->manager, device);
	if (!device->revoking.running)
		drop_loop(device);
	device_event(device, DEVICE_EV_IO_ENDED);
}

static void loop_broken(struct device *device)
{
	const char *text;

	device->error = io_thread_error(device->thread, &text);
	snprintf(
		device->reason.text, sizeof(device->reason.text), "%s: %s", text,
		strerror(-device->error));
	device_event(device, DEVICE_EV_RING_BROKEN);
}

static void backend_failed(struct device *device)
{
	device->error = atomic_load(&device->backend_error);
	snprintf(
		device->reason.text, sizeof(device->reason.text), "%s; %s",
		atomic_load(&device->backend_fenced) ? "another host has shut this one out"
						     : strerror(-device->error),
		device_reopens(device) ? "it is opened anew"
				       : "commands fail until it is deleted and created again");
	device_event(device, DEVICE_EV_BACKEND_FAILED);
	if (device_reopens(device))
		device_lock_event(device, LOCK_EV_FENCED);
}

/* Others that copy find the device by its serial, also when no initiator has asked for it yet. */
static void attached(struct device *device)
{
	device_event(device, DEVICE_EV_ATTACHED);
	if (manager_setup(device->manager)->settings->extended_copy == XCOPY_ALL)
		device_need_lu_info(device);
}

/* Takes the signals in the order in which they can have been sent. */
static void take_signals(struct post *post)
{
	struct device *device = (struct device *) ((char *) post - offsetof(struct device, post));
	uint32_t signals = atomic_exchange(&device->signals, 0);

	device_ref(device);
	if (signals & IO_SIGNAL_ATTACHED)
		attached(device);
	if (signals & IO_SIGNAL_NEEDS_LU_INFO)
		device_need_lu_info(device);
	if ((signals & IO_SIGNAL_DEFERRED) && device->thread)
		device_run_deferred(device);
	if ((signals & IO_SIGNAL_FORMAT) && device->thread)
		manager_mark_format(
			device->manager, device, io_thread_format_state(device->thread));
	if (signals & DEVICE_SIGNAL_BACKEND_RESIZED)
		device_backend_resized(device);
	if (signals & IO_SIGNAL_IDLE)
		device_lock_idle(device);
	if (signals & IO_SIGNAL_WANTS_LOCK)
		device_lock_event(device, LOCK_EV_WANTED);
	if (signals & DEVICE_SIGNAL_LOCK_LOST)
		device_lock_event(device, LOCK_EV_LOST);
	if (signals & DEVICE_SIGNAL_BACKEND_FAILED)
		backend_failed(device);
	if (signals & IO_SIGNAL_RING_BROKEN)
		loop_broken(device);
	if (signals & IO_SIGNAL_UNREGISTERED)
		device_event(device, DEVICE_EV_UNREGISTERED);
	if (signals & IO_SIGNAL_ENDED)
		io_ended(device);
	device_unref(device);
}

static void host_log(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message)
{
	log_dev(dev->label, (int) level, "%s", message);
}

static void host_event(struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value)
{
	switch (event) {
	case TCMU_BACKEND_LOCK_LOST:
		device_signal(dev->device, DEVICE_SIGNAL_LOCK_LOST);
		break;
	case TCMU_BACKEND_FENCED:
		atomic_store(&dev->device->backend_fenced, true);
		__attribute__((fallthrough));
	case TCMU_BACKEND_FAILED:
		atomic_store(&dev->device->backend_error, (int) value);
		device_signal(dev->device, DEVICE_SIGNAL_BACKEND_FAILED);
		break;
	case TCMU_BACKEND_RESIZED:
		atomic_store(&dev->device->backend_size, value);
		device_signal(dev->device, DEVICE_SIGNAL_BACKEND_RESIZED);
		break;
	}
}

const struct tcmu_host device_host = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(struct tcmu_host),
	.complete = submit_complete,
	.aio = submit_aio,
	.log = host_log,
	.event = host_event,
};

/* ------- actions ------- */

/* An operation that was cut short has failed. */
static void take_erasure(struct scsi_lu *lu, unsigned erasure)
{
	lu->format_failed = erasure & FORMAT_STATE_FORMAT;
	lu->sanitize_failed = erasure & FORMAT_STATE_SANITIZE;
	lu->sanitize_exit = erasure & FORMAT_STATE_EXIT;
}

/* On the device's thread, and only at the level that asks for it. */
static void told(void *owner, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length)
{
	const struct device *device = owner;
	char hex[3 * TCMU_CDB_MAX + 1] = "";

	for (unsigned i = 0; i < cdb_length; i++)
		(void) snprintf(hex + (size_t) 3 * i, 4, " %02x", cdb[i]);
	log_dev(device_label(device), LOG_LEVEL_SCSI, "%s:%s, %llu bytes", scsi_opcode_name(cdb),
		hex, (unsigned long long) data_length);
}

static void start_loop(struct device *device)
{
	const struct settings *settings = manager_setup(device->manager)->settings;
	struct io_thread_setup setup = {
		.name = device->name.name,
		.device = device->name,
		.minor = device->minor,
		.start = device->clean ? IO_THREAD_FRESH : IO_THREAD_RECOVERED,
		.aio = settings->io_engine,
		.depth = settings->queue_depth,
		.busy_poll = settings->busy_poll,
		.handler = device->handler,
		.backend = device->backend,
		.host = &device_host,
		.host_device = &device->host_device,
		.info = device->info,
		.stats = device->stats,
		.tracing = log_scsi(),
		.trace = told,
		.signal = device_signal,
		.userdata = device,
	};
	int r;

	device_init_lu(device, &setup.lu);
	scsi_set_lu_info(&setup.lu, &device->lu_info.known);
	options_limits(device->options, &setup.limits);
	take_erasure(&setup.lu, manager_format_state(device->manager, device));
	device_lock_begin(device, &setup);
	device->clean = false;
	device->io_ended = false;
	r = io_thread_new(&setup, &device->thread);
	if (r >= 0)
		return;
	/* Without a thread it ends as one that broke while attaching. */
	device->error = r;
	snprintf(
		device->reason.text, sizeof(device->reason.text),
		"its I/O thread cannot be started: %s", strerror(-r));
	device_event(device, DEVICE_EV_RING_BROKEN);
	device_event(device, DEVICE_EV_IO_ENDED);
}

static void drain(struct device *device)
{
	const struct settings *settings = manager_setup(device->manager)->settings;

	bool patient = device->stopping || device->reopening;

	if (!device->thread)
		return;
	io_thread_drain(device->thread, !patient);
	device_arm(
		device, DEVICE_TIMER_RELEASE,
		patient ? settings->stop_timeout_ms : settings->release_deadline_ms);
}

static void do_revoke(struct job *job)
{
	struct device_call *call = (struct device_call *) job;

	call->result = io_thread_revoke(call->device->thread);
}

static void revoked(struct job *job)
{
	struct device_call *call = (struct device_call *) job;
	struct device *device = call->device;

	call->running = false;
	if (device->io_ended) {
		/* It had ended by itself meanwhile: nothing was taken away. */
		drop_loop(device);
	} else if (call->result < 0) {
		device_arm(device, DEVICE_TIMER_RELEASE, REVOKE_AGAIN_MS);
	} else {
		log_dev_warning(
			device_label(device),
			"%u requests are stuck in the backend; the ring was given back without "
			"them",
			io_thread_in_flight(device->thread));
		device_event(device, DEVICE_EV_REVOKED);
	}
	device_unref(device);
}

static void take_ring_away(struct device *device)
{
	if (!device->thread || device->io_ended || device->revoking.running)
		return;
	if (device_start_call(device, &device->revoking, do_revoke, revoked, "revoke") < 0)
		device_arm(device, DEVICE_TIMER_RELEASE, REVOKE_AGAIN_MS);
}

static void do_close(struct job *job)
{
	struct device *device = ((struct device_call *) job)->device;

	device->handler->close(device->backend);
}

static void closed(struct job *job)
{
	struct device_call *call = (struct device_call *) job;
	struct device *device = call->device;

	call->running = false;
	device->backend = NULL;
	device->info.claim[0] = '\0';
	device_event(device, DEVICE_EV_CLOSED);
	device_unref(device);
}

void device_close_backend(struct device *device)
{
	device->close_waits = device->reconfig || device_lock_uses_backend(device);
	if (device->close_waits)
		return;
	if (!device->backend) {
		device_event(device, DEVICE_EV_CLOSED);
		return;
	}
	if (device_start_call(device, &device->closing, do_close, closed, "close") < 0) {
		log_dev_error(
			device_label(device), "no thread to close the backend on; it stays open");
		device_event(device, DEVICE_EV_CLOSED);
	}
}

void device_answer_added(struct device *device)
{
	bool served = device->state == DEVICE_LIVE || device->state == DEVICE_FAULTED;
	int status = served ? 0 : device->error ? device->error : -EIO;

	if (!device->owes_added)
		return;
	device->owes_added = false;
	device_disarm(device, DEVICE_TIMER_OPEN);
	manager_answer(device->manager, TCMU_EVENT_ADDED, device->id, status);
}

static void answer_removed(struct device *device)
{
	if (!device->owes_removed)
		return;
	device->owes_removed = false;
	if (device->attributes.replies)
		manager_answer(device->manager, TCMU_EVENT_REMOVED, device->id, 0);
	else
		manager_answer_if_waiting(
			device->manager, &device->name, device->minor, device->id);
}

/* Later each time: it may stay broken for days. */
static void arm_retry(struct device *device)
{
	uint64_t ms = RETRY_MS << (device->tries < 5 ? device->tries : 5);

	if (device->reopening) {
		device->reopening = false;
		device_arm(device, DEVICE_TIMER_RETRY, 0);
		return;
	}
	device->tries++;
	device_arm(device, DEVICE_TIMER_RETRY, ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
}

static void carry_out(struct device *device, uint32_t actions)
{
	const struct settings *settings = manager_setup(device->manager)->settings;

	if (actions & DEVICE_DO_START)
		start_loop(device);
	if ((actions & DEVICE_DO_FAIL) && !device_reopens(device))
		io_thread_fail(device->thread);
	if (actions & DEVICE_DO_DRAIN)
		drain(device);
	if (actions & DEVICE_DO_REVOKE)
		take_ring_away(device);
	if (actions & DEVICE_DO_ANSWER_ADDED)
		device_answer_added(device);
	if (actions & DEVICE_DO_ANSWER_REMOVED)
		answer_removed(device);
	if (actions & DEVICE_DO_ARM_REPLY)
		device_arm(device, DEVICE_TIMER_REPLY, settings->reply_timeout_ms);
	if (actions & DEVICE_DO_ARM_RETRY)
		arm_retry(device);
	if (actions & DEVICE_DO_OPEN)
		device_open(device);
	if (actions & DEVICE_DO_CLOSE)
		device_close_backend(device);
	if (actions & DEVICE_DO_FORGET)
		manager_forget(device->manager, device);
}

/* Events that come with a reason. */
static bool is_failure(enum device_event event)
{
	return event == DEVICE_EV_OPEN_REFUSED || event == DEVICE_EV_OPEN_FAILED ||
		event == DEVICE_EV_OPEN_TIMEOUT || event == DEVICE_EV_RING_BROKEN ||
		event == DEVICE_EV_BACKEND_FAILED;
}

static int transition_level(const struct device *device, enum device_event event)
{
	bool failed = device->state == DEVICE_FAILED || device->state == DEVICE_FAILING ||
		device->state == DEVICE_CLOSING;

	/* What is tried again and again is told once. */
	if (event == DEVICE_EV_RETRY || (device->tries && failed))
		return TCMU_LOG_DEBUG;
	/* What a scan found may have been on its way out. */
	if (event == DEVICE_EV_OPEN_FAILED && device->error == -ENOENT)
		return TCMU_LOG_INFO;
	if (is_failure(event))
		return TCMU_LOG_ERROR;
	return device->state == DEVICE_FAULTED || device->state == DEVICE_ORPHANED
		? TCMU_LOG_WARNING
		: TCMU_LOG_INFO;
}

/* One line for each change of a state: how long it lasted, and why it ended. */
static void log_transition(
	const struct device *device, enum device_state from, enum device_event event)
{
	double seconds = (double) (now_us() - device->state_since) / 1e6;
	const char *id = device->state == DEVICE_ORPHANED              ? LOG_ID_DEVICE_ORPHANED
		: is_failure(event) || device->state == DEVICE_FAULTED ? LOG_ID_DEVICE_FAILED
								       : LOG_ID_DEVICE_STATE;

	log_full(
		transition_level(device, event), device_label(device), device->handler->subtype, id,
		"%s after %.3f s -> %s: %s%s%s%s%s", device_state_name(from), seconds,
		device_state_name(device->state), device_event_name(event),
		is_failure(event) ? ": " : "", is_failure(event) ? device->name.config : "",
		is_failure(event) ? ": " : "", is_failure(event) ? device->reason.text : "");
}

void device_event(struct device *device, enum device_event event)
{
	struct device_transition transition = device_fsm(device->state, event);
	enum device_state from = device->state;

	if (!transition.defined) {
		log_dev_warning(
			device_label(device), "%s while %s: not expected, nothing is done",
			device_event_name(event), device_state_name(from));
		return;
	}
	device_ref(device);
	device->state = transition.next;
	if (from != transition.next) {
		log_transition(device, from, event);
		device->state_since = now_us();
		for (int i = 0; i < DEVICE_TIMER_COUNT; i++)
			if (!device_state_has_timer(device->state, i))
				device_disarm(device, i);
	}
	if (event == DEVICE_EV_STOP)
		device->stopping = true;
	if (device->state == DEVICE_LIVE)
		device->tries = 0;
	carry_out(device, transition.actions);
	if (from != transition.next) {
		device_reconfig_goes_on(device);
		manager_device_changed(device->manager, device);
	}
	device_unref(device);
}

int device_reopen(struct device *device)
{
	bool served = device->state == DEVICE_LIVE || device->state == DEVICE_FAULTED;

	if (device->reconfig || !(served || (device->state == DEVICE_FAILED && !device->thread)))
		return -EBUSY;
	device->reopening = served;
	device->tries = 0;
	device->reason.text[0] = '\0'; /* what was wrong before */
	device_event(device, DEVICE_EV_REOPEN);
	return 0;
}

void device_removed(struct device *device, uint32_t id)
{
	device->id = id;
	device->owes_removed = true;
	device_event(device, DEVICE_EV_REMOVED);
}

/* ------- the beginning, and questions ------- */

struct device *device_new(struct manager *manager, const struct device_start *start)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->manager = manager;
	device->stats = memory_map(sizeof(*device->stats));
	device->refs = 1;
	device->name = start->name;
	device->minor = start->minor;
	device->id = start->id;
	device->origin = start->origin;
	device->handler = start->handler;
	device->owes_added = start->origin == DEVICE_ORIGIN_ADDED;
	device->clean = start->clean || start->origin == DEVICE_ORIGIN_ADDED;
	device->attributes.replies = true;
	device->state = DEVICE_OPENING;
	device->state_since = now_us();
	device->post.run = take_signals;
	device->host_device.device = device;
	snprintf(
		device->host_device.label, sizeof(device->host_device.label), "user_%u/%s",
		device->name.hba, device->name.name);
	return device;
}

enum device_state device_state(const struct device *device)
{
	return device->state;
}

const struct tcmu_name *device_name(const struct device *device)
{
	return &device->name;
}

unsigned device_minor(const struct device *device)
{
	return device->minor;
}

const char *device_label(const struct device *device)
{
	return device->host_device.label;
}

const char *device_claim(const struct device *device)
{
	return device->info.claim[0] ? device->info.claim : NULL;
}

bool device_is_orphan(const struct device *device, double *age, unsigned *requests)
{
	*age = (double) (now_us() - device->state_since) / 1e6;
	*requests = device->thread && !device->io_ended ? io_thread_in_flight(device->thread) : 0;
	return device->state == DEVICE_ORPHANED;
}

bool device_owes_answer(const struct device *device)
{
	return device->owes_added || (device->opening && device->opening->adopts);
}
