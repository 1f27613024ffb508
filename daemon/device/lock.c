/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out what the table of device/lock-fsm.h says: the handler's lock and unlock, and closing
 * and opening its backend while the kernel's device and its ring stay. Commands wait outside
 * meanwhile (io_thread_set_permission()).
 *
 * Each call of the handler is a job on a thread of its own, one at a time; beside it only the
 * question who has the lock. The backend is never closed while one of them runs. A device that was
 * once found to be shared stays so until it is deleted: a group that is emptied for a moment must
 * not let two hosts write.
 */
#include "device/device-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/reason.h"

#define PAUSE_MS        UINT64_C(1000)
#define PAUSE_DOUBLINGS 3u

/* Only then something comes of what is started. */
static bool is_served(const struct device *device)
{
	return device->thread && !device->io_ended &&
		(device->state == DEVICE_ATTACHING || device->state == DEVICE_LIVE ||
		 device->state == DEVICE_FAULTED);
}

bool device_reopens(const struct device *device)
{
	return (device->handler->flags & TCMU_HANDLER_REOPENS) ||
		atomic_load(&device->backend_fenced);
}

bool device_lock_uses_backend(const struct device *device)
{
	return device->lock.call.running || device->lock.look.running;
}

/* ------- what commands may do ------- */

struct access {
	enum io_permission access;
	uint8_t not_ready;
};

static struct access access_of(const struct device_lock *ownership)
{
	uint8_t refused = ownership->by_initiators ? SCSI_ASCQ_STANDBY : SCSI_ASCQ_UNAVAILABLE;

	switch (ownership->state) {
	case LOCK_UNSHARED:
	case LOCK_LOCKED:
		return (struct access){IO_PERMIT_ALL, 0};
	case LOCK_UNLOCKED:
		return (struct access){IO_PERMIT_READS, ownership->by_initiators ? refused : 0};
	case LOCK_PAUSED:
		return (struct access){IO_PERMIT_READS, refused};
	case LOCK_LOCKING:
	case LOCK_UNLOCKING:
		return (struct access){IO_PERMIT_READS, 0};
	default:
		/* Who has another way takes it when this one stays closed; who has none tries
		 * again. */
		return (struct access){
			IO_PERMIT_NONE,
			ownership->shared && ownership->tries ? SCSI_ASCQ_UNAVAILABLE : 0};
	}
}

static void enforce(struct device *device)
{
	struct access access = access_of(&device->lock);

	if (device->thread && !device->io_ended)
		io_thread_set_permission(device->thread, access.access, access.not_ready);
}

/* ------- actions ------- */

static void step(struct device *device, enum lock_event event);
static void lock_done(struct job *job);
static void unlock_done(struct job *job);
static void close_done(struct job *job);
static void open_done(struct job *job);

static void do_lock(struct job *job)
{
	struct device_lock *ownership = (struct device_lock *) job;
	struct device *device = ownership->call.device;

	ownership->reason.text[0] = '\0';
	ownership->call.result = device->handler->lock(
		device->backend, ownership->call_group, &ownership->reason);
}

static void do_unlock(struct job *job)
{
	struct device_lock *ownership = (struct device_lock *) job;
	struct device *device = ownership->call.device;

	ownership->call.result = device->handler->unlock(device->backend);
}

static void do_close(struct job *job)
{
	struct device *device = ((struct device_call *) job)->device;

	device->handler->close(device->backend);
}

static void do_open(struct job *job)
{
	struct device_lock *ownership = (struct device_lock *) job;
	struct device *device = ownership->call.device;
	struct tcmu_config config = *options_config(device->options);

	config.size = ownership->call_size;
	config.block_size = device->attributes.block_size;
	ownership->info = (struct tcmu_backend_info){0};
	ownership->backend = NULL;
	ownership->reason.text[0] = '\0';
	ownership->call.result = device->handler->open(
		&config, &device_host, &device->host_device, &ownership->info, &ownership->backend,
		&ownership->reason);
}

/* A call that cannot be made is one that has failed. */
static void call(
	struct device *device, void (*work)(struct job *), void (*done)(struct job *),
	const char *name)
{
	struct device_lock *ownership = &device->lock;
	int r;

	ownership->call_group = ownership->group;
	ownership->call_size = device->attributes.size;
	r = device_start_call(device, &ownership->call, work, done, name);
	if (r >= 0)
		return; /* from here on the result is the thread's */
	ownership->call.result = reason_refuse(&ownership->reason, r, "no thread for it");
	device_ref(device);
	done(&ownership->call.job);
}

static int pause_ended(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct device *device = userdata;

	(void) source;
	(void) usec;
	device->lock.timer = sd_event_source_disable_unref(device->lock.timer);
	if (is_served(device)) {
		step(device, LOCK_EV_TIMER);
		enforce(device);
	}
	return 0;
}

/* Longer each time. */
static void arm_pause(struct device *device)
{
	struct device_lock *ownership = &device->lock;
	unsigned tries = ownership->tries < PAUSE_DOUBLINGS ? ownership->tries : PAUSE_DOUBLINGS;

	ownership->tries++;
	ownership->timer = sd_event_source_disable_unref(ownership->timer);
	(void) sd_event_add_time_relative(
		manager_setup(device->manager)->event, &ownership->timer, CLOCK_MONOTONIC,
		(PAUSE_MS << tries) * 1000, 1000, pause_ended, device);
}

static void carry_out(struct device *device, uint32_t actions)
{
	if (actions & LOCK_DO_LOCK)
		call(device, do_lock, lock_done, "lock");
	if (actions & LOCK_DO_UNLOCK)
		call(device, do_unlock, unlock_done, "unlock");
	if (actions & LOCK_DO_CLOSE)
		call(device, do_close, close_done, "close");
	if (actions & LOCK_DO_OPEN) {
		device->lock.fenced = false;
		atomic_store(&device->backend_fenced, false);
		call(device, do_open, open_done, "reopen");
	}
	if (actions & LOCK_DO_PAUSE)
		arm_pause(device);
	if (actions & LOCK_DO_RETURN)
		device_event(device, DEVICE_EV_REOPENED);
}

static void step(struct device *device, enum lock_event event)
{
	struct device_lock *ownership = &device->lock;
	struct lock_transition transition = lock_fsm(ownership->state, event);

	if (!transition.defined)
		return;
	log_dev_debug(
		device_label(device), "its backing store: %s -> %s",
		lock_state_name(ownership->state), lock_state_name(transition.next));
	ownership->state = transition.next;
	if (is_served(device))
		carry_out(device, transition.actions);
}

/* The backend has to be opened anew, as soon as nothing is with it. */
static void check_quiet(struct device *device)
{
	if (device->lock.state != LOCK_FENCED || !is_served(device) || device->reconfig ||
	    device_lock_uses_backend(device) || !io_thread_is_idle(device->thread))
		return;
	step(device, LOCK_EV_IDLE);
	enforce(device);
}

/* ------- the ends of calls ------- */

/* What every call ends with: what came meanwhile, and who waits for the backend. */
static void call_ended(struct device *device)
{
	struct device_lock *ownership = &device->lock;

	if (ownership->fenced && !lock_is_calling(ownership->state)) {
		ownership->fenced = false;
		ownership->tries = 0;
		device_event(device, DEVICE_EV_BACKEND_FAILED);
		step(device, LOCK_EV_FENCED);
	}
	enforce(device);
	check_quiet(device);
	if (device->close_waits)
		device_close_backend(device);
	device_unref(device);
}

static void end_errand(struct device *device, int error)
{
	if (!device->lock.deferred_waits)
		return;
	device->lock.deferred_waits = false;
	device_resume_deferred(device, error);
}

static void lock_done(struct job *job)
{
	struct device_lock *ownership = (struct device_lock *) job;
	struct device *device = ownership->call.device;
	int error = ownership->call.result;

	ownership->call.running = false;
	if (!error) {
		ownership->tries = 0;
		ownership->tag = ownership->call_group;
		log_dev_info(
			device_label(device),
			"has taken its backing store over for target port group %u",
			ownership->call_group);
	} else if (error != -ESHUTDOWN) {
		/* What is tried again and again is told once. */
		log_dev(device_label(device), ownership->tries ? TCMU_LOG_DEBUG : TCMU_LOG_ERROR,
			"cannot take its backing store over: %s",
			ownership->reason.text[0] ? ownership->reason.text : strerror(-error));
	}
	if (error == -ESHUTDOWN) {
		ownership->fenced = true;
		atomic_store(&device->backend_fenced, true);
	}
	step(device, error ? LOCK_EV_LOCK_FAILED : LOCK_EV_LOCKED);
	end_errand(device, error);
	call_ended(device);
}

static void unlock_done(struct job *job)
{
	struct device_lock *ownership = (struct device_lock *) job;
	struct device *device = ownership->call.device;

	ownership->call.running = false;
	if (ownership->call.result < 0)
		log_dev_warning(
			device_label(device), "cannot give its backing store up: %s",
			strerror(-ownership->call.result));
	step(device, LOCK_EV_UNLOCKED);
	end_errand(device, 0);
	call_ended(device);
}

static void close_done(struct job *job)
{
	struct device_lock *ownership = (struct device_lock *) job;
	struct device *device = ownership->call.device;

	ownership->call.running = false;
	device->backend = NULL;
	step(device, LOCK_EV_CLOSED);
	call_ended(device);
}

static void open_failed(struct device *device, int error)
{
	struct device_lock *ownership = &device->lock;

	log_dev(device_label(device), ownership->tries ? TCMU_LOG_DEBUG : TCMU_LOG_ERROR,
		"cannot be opened anew: %s: %s", device->name.config,
		ownership->reason.text[0] ? ownership->reason.text : strerror(-error));
	step(device, LOCK_EV_OPEN_FAILED);
}

static void open_done(struct job *job)
{
	struct device_lock *ownership = (struct device_lock *) job;
	struct device *device = ownership->call.device;

	ownership->call.running = false;
	if (ownership->call.result < 0) {
		open_failed(device, ownership->call.result);
	} else {
		device->backend = ownership->backend;
		device->info = ownership->info;
		ownership->tries = 0;
		if (device->thread && !device->io_ended)
			io_thread_set_backend(device->thread, device->backend, &device->info);
		step(device, LOCK_EV_OPENED);
		if (ownership->shared)
			step(device, LOCK_EV_SHARED);
	}
	call_ended(device);
}

/* ------- what others tell ------- */

void device_lock_event(struct device *device, enum lock_event event)
{
	struct device_lock *ownership = &device->lock;

	if (!is_served(device) || (event == LOCK_EV_WANTED && ownership->by_initiators))
		return;
	if (event == LOCK_EV_LOST && ownership->state == LOCK_LOCKED)
		log_dev_warning(
			device_label(device),
			"its backing store has been taken over by another host");
	if (event == LOCK_EV_FENCED && lock_is_calling(ownership->state)) {
		ownership->fenced = ownership->state != LOCK_CLOSING;
		return;
	}
	step(device, event);
	enforce(device);
}

void device_lock_idle(struct device *device)
{
	check_quiet(device);
	if (device->close_waits)
		device_close_backend(device);
}

void device_lock_learn(struct device *device)
{
	struct device_lock *ownership = &device->lock;
	const struct scsi_ports *ports = &device->lu_info.known.ports;
	bool first = !ownership->shared;

	if (!device->handler->lock || !ports->shared)
		return;
	ownership->shared = true;
	ownership->by_initiators = ports->by_initiators;
	ownership->group = ports->host_group;
	if (!first)
		return;
	log_dev_info(
		device_label(device), "is shared with other hosts: %s which of them serves it",
		ownership->by_initiators ? "initiators say" : "who writes decides");
	step(device, LOCK_EV_SHARED);
	enforce(device);
}

void device_lock_begin(struct device *device, struct io_thread_setup *setup)
{
	struct device_lock *ownership = &device->lock;
	struct access access;

	ownership->state = LOCK_UNSHARED;
	ownership->tries = 0;
	ownership->fenced = false;
	ownership->deferred_waits = false;
	atomic_store(&device->backend_fenced, false);
	device_lock_learn(device);
	if (ownership->shared)
		ownership->state = LOCK_UNLOCKED;
	access = access_of(ownership);
	setup->access = access.access;
	setup->lu.not_ready = access.not_ready;
}

/* ------- SET TARGET PORT GROUPS ------- */

/* Initiators are to ask again; or to take another path, where it has not come back at the first
 * attempt. */
static int not_now(const struct device_lock *ownership)
{
	return ownership->state >= LOCK_FENCED && ownership->tries ? -EBUSY : -EAGAIN;
}

bool device_lock_keeps_deferred(struct device *device)
{
	struct device_lock *ownership = &device->lock;
	const struct scsi_group_states *states = &device->deferred.what.states;
	bool lock = false;

	if (!ownership->shared)
		return false;
	for (unsigned i = 0; i < states->cnt; i++) {
		/* Another host's group is that host's to change. */
		if (states->to[i].id != ownership->group) {
			device_resume_deferred(device, -EOPNOTSUPP);
			return true;
		}
		lock = states->to[i].state <= SCSI_ACTIVE_NONOPTIMIZED;
	}
	if (lock == (ownership->state == LOCK_LOCKED))
		return false;
	if (!lock && (ownership->state == LOCK_UNLOCKED || ownership->state == LOCK_PAUSED))
		return false;
	if (lock ? ownership->state == LOCK_UNLOCKING || ownership->state >= LOCK_FENCED
		 : ownership->state != LOCK_LOCKED) {
		device_resume_deferred(device, not_now(ownership));
		return true;
	}
	ownership->deferred_waits = true;
	device_lock_event(device, lock ? LOCK_EV_REQUESTED : LOCK_EV_RELEASED);
	return true;
}

/* ------- REPORT TARGET PORT GROUPS ------- */

static void do_look(struct job *job)
{
	struct device *device = ((struct device_call *) job)->device;
	struct device_lock *ownership = &device->lock;

	ownership->look.result = device->handler->lock_state(
		device->backend, &ownership->look_ours, &ownership->look_tag);
}

static void look_done(struct job *job)
{
	struct device *device = ((struct device_call *) job)->device;
	struct device_lock *ownership = &device->lock;

	ownership->look.running = false;
	if (ownership->look.result >= 0)
		ownership->tag = ownership->look_tag;
	else if (ownership->look.result == -ESHUTDOWN)
		ownership->tag = 0; /* another host's, but which is known only when it has been
				       opened anew */
	/* One that writes nothing does not learn of it otherwise. */
	if (ownership->look.result >= 0 && !ownership->look_ours && ownership->look_locked)
		device_lock_event(device, LOCK_EV_LOST);
	device_report_lu_info(device);
	device_lock_idle(device);
	device_unref(device);
}

bool device_lock_queries(struct device *device)
{
	struct device_lock *ownership = &device->lock;

	if (!ownership->shared || !is_served(device) || ownership->state >= LOCK_FENCED)
		return false;
	if (ownership->look.running)
		return true;
	ownership->look_locked = ownership->state == LOCK_LOCKED;
	return device_start_call(device, &ownership->look, do_look, look_done, "lock-state") >= 0;
}

void device_lock_states(const struct device *device, struct scsi_ports *ports)
{
	const struct device_lock *ownership = &device->lock;
	bool locked = ownership->state == LOCK_LOCKED;

	if (!ownership->shared)
		return;
	for (unsigned i = 0; i < ports->group_cnt; i++) {
		struct scsi_port_group *group = &ports->groups[i];
		bool active = group->id && group->id == ownership->tag;

		if (!group->access)
			continue;
		/* What is told of our own group is what commands meet: an initiator that finds it
		 * in standby activates it. */
		if (ownership->by_initiators && group->id == ownership->group)
			active = locked;
		group->state = active              ? SCSI_ACTIVE_OPTIMIZED
			: ownership->by_initiators ? SCSI_STANDBY
						   : SCSI_ACTIVE_NONOPTIMIZED;
	}
}
