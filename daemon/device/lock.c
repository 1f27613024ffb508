/* SPDX-License-Identifier: Apache-2.0 */
#include "device/lock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "base/log.h"
#include "config/handler-call.h"
#include "device/state.h"
#include "device/status.h"

#define PAUSE_US        UINT64_C(1000000)
#define PAUSE_DOUBLINGS 3u

/* A reopening that the cluster answers is done by then. */
#define LOCK_OUTAGE_US UINT64_C(2000000)

/* A takeover from a host that has died waits for its lease, 12 s with rbd. Its BUSY must last: the
 * other path is dead, and initiators that find none alive fail the commands. */
#define LOCK_CALL_US UINT64_C(15000000)

/* ------- permissions of commands ------- */

/* Whether the state lets commands through to a cluster that may not answer. */
static bool lock_serves(enum lock_state state)
{
	assert(state < LOCK_STATE_COUNT);
	return state == LOCK_LOCKED || state == LOCK_UNLOCKED;
}

static struct lock_permission lock_permission_of(const struct device_lock *lock)
{
	uint8_t refused = lock->by_initiators ? SCSI_ASCQ_STANDBY : SCSI_ASCQ_UNAVAILABLE;
	/* A backend that was reopened is for a moment in the state of one that is not shared. */
	enum lock_state state = lock->state == LOCK_UNSHARED && lock->shared ? LOCK_UNLOCKED
									     : lock->state;

	assert(lock->state < LOCK_STATE_COUNT);
	assert(!lock->unconfirmed || lock_serves(lock->state));
	if (lock->unconfirmed)
		return (struct lock_permission){IO_PERMIT_NONE, SCSI_ASCQ_UNAVAILABLE};
	switch (state) {
	case LOCK_UNSHARED:
		/* A shared backend that was reopened is UNLOCKED next. */
		return (struct lock_permission){lock->shared ? IO_PERMIT_NONE : IO_PERMIT_ALL, 0};
	case LOCK_LOCKED:
		return (struct lock_permission){IO_PERMIT_ALL, 0};
	case LOCK_UNLOCKED:
		return (struct lock_permission){IO_PERMIT_READS, lock->by_initiators ? refused : 0};
	case LOCK_PAUSED:
		return (struct lock_permission){IO_PERMIT_READS, refused};
	case LOCK_ELSEWHERE:
		/* BUSY would have initiators repeat their writes for ever. */
		return (struct lock_permission){IO_PERMIT_READS, SCSI_ASCQ_UNAVAILABLE};
	case LOCK_LOCKING:
	case LOCK_UNLOCKING:
	case LOCK_CALL_FENCED:
		return (struct lock_permission){
			IO_PERMIT_READS, lock->unavailable ? SCSI_ASCQ_UNAVAILABLE : 0};
	case LOCK_RELEASING:
		return (struct lock_permission){IO_PERMIT_NONE, 0};
	default:
		/* Multipath initiators fail over; others retry. */
		return (struct lock_permission){
			IO_PERMIT_NONE,
			lock->shared && (lock->tries || lock->unavailable) ? SCSI_ASCQ_UNAVAILABLE
									   : 0};
	}
}

/* Only what is new: each permission has a number, and a command that waits loses its own with the
 * next. */
static void lock_enforce(struct device *device)
{
	struct lock_permission to = lock_permission_of(&device->lock);

	assert(!device->lock.shared || device->lock.state == LOCK_LOCKED ||
	       to.permission != IO_PERMIT_ALL);
	if (!device->thread ||
	    (to.permission == device->lock.enforced.permission &&
	     to.not_ready == device->lock.enforced.not_ready))
		return;
	device->lock.enforced = to;
	io_thread_set_permission(device->thread, to.permission, to.not_ready);
}

/* ------- on the job's thread ------- */

static struct device_lock *lock_of(struct device_call *call)
{
	return container_of(call, struct device_lock, call);
}

static void lock_work_lock(struct device_call *call)
{
	call->result = handler_call_lock(
		call->device->handler, call->device->backend, lock_of(call)->call_group,
		&lock_of(call)->reason);
}

static void lock_work_unlock(struct device_call *call)
{
	call->result = call->device->handler->unlock(call->device->backend);
}

static void lock_work_close(struct device_call *call)
{
	call->device->handler->close(call->device->backend);
	call->result = 0;
}

static void lock_work_open(struct device_call *call)
{
	struct device_lock *lock = lock_of(call);
	struct device *device = call->device;
	struct tcmu_config config = *options_config(device->options);

	config.size = lock->call_size;
	config.block_size = device->attributes.block_size;
	config.must_exist = true;
	device_host_begin(device);
	call->result = handler_call_open(
		device->handler, &config, &device_host, &device->host_device, &lock->info,
		&lock->backend, &lock->reason);
}

static void lock_work_query(struct device_call *call)
{
	struct device_lock *lock = &call->device->lock;

	call->result = call->device->handler->lock_state(
		call->device->backend, &lock->query_ours, &lock->query_tag);
}

/* ------- the ends of calls ------- */

static void lock_step(struct device *device, enum lock_event event);

static const char *lock_failure(const struct device_lock *lock, int error)
{
	assert(error < 0);
	return lock->reason.text[0] ? lock->reason.text : strerror(-error);
}

static void lock_resume_waiter(struct device *device, int error)
{
	void (*waiter)(struct device * device, int error) = device->lock.waiter;

	device->lock.waiter = NULL;
	if (waiter)
		waiter(device, error);
}

static void lock_log_locked(const struct device *device, int error)
{
	const struct device_lock *lock = &device->lock;

	if (!error)
		log_dev_info(
			device_label(device),
			"has locked its backing store for target port group %u", lock->call_group);
	else if (error != -ESHUTDOWN)
		/* Retries are logged once. */
		log_dev(device_label(device), lock->tries ? TCMU_LOG_DEBUG : TCMU_LOG_ERROR,
			"cannot lock its backing store: %s", lock_failure(lock, error));
}

static void lock_note_loss(struct device *device)
{
	device->lock.lost_at = device->env->system->now_us(device->env);
}

static void lock_locked(struct device_call *call)
{
	struct device_lock *lock = lock_of(call);
	struct device *device = call->device;
	int error = call->result;

	lock_log_locked(device, error);
	if (!error) {
		lock->tries = 0;
		lock->tag = lock->call_group;
		lock->takeovers++;
		lock->damping = false;
		/* Another host has taken it before the call returned. */
		if (lock->state == LOCK_CALL_FENCED)
			lock_note_loss(device);
	} else if (error == -ESHUTDOWN) {
		atomic_store(&device->backend_fenced, true);
		lock_step(device, LOCK_EV_FENCED);
	}
	lock_step(device, error ? LOCK_EV_LOCK_FAILED : LOCK_EV_LOCKED);
	if (!error && lock->state != LOCK_LOCKED)
		error = -EAGAIN;
	lock_resume_waiter(device, error);
}

static void lock_unlocked(struct device_call *call)
{
	struct device *device = call->device;

	if (call->result < 0)
		log_dev_warning(
			device_label(device), "cannot unlock its backing store: %s",
			strerror(-call->result));
	lock_step(device, LOCK_EV_UNLOCKED);
	lock_resume_waiter(device, 0);
}

/* Whether the backend was reopened just now and has failed again. An ordinary failover between
 * hosts is no failure. */
static bool lock_closes_soon(struct device *device)
{
	struct device_lock *lock = &device->lock;

	if (!lock->shared && lock->reopened && !device_has_lasted(device, lock->reopened_at))
		return true;
	lock->tries = 0;
	return false;
}

/* A backend that is not closed, for want of a thread, stays open: it has been fenced, nothing of it
 * lands any more. */
static void lock_closed(struct device_call *call)
{
	struct device *device = call->device;

	if (call->result < 0)
		log_dev_error(device_label(device), "no thread to close the fenced backend");
	device->backend = NULL;
	lock_step(device, lock_closes_soon(device) ? LOCK_EV_CLOSED_SOON : LOCK_EV_CLOSED);
}

static void lock_opened(struct device_call *call)
{
	struct device_lock *lock = lock_of(call);
	struct device *device = call->device;

	assert(!device->backend);
	if (call->result < 0) {
		log_dev(device_label(device), lock->tries ? TCMU_LOG_DEBUG : TCMU_LOG_ERROR,
			"cannot be reopened: %s: %s; it is tried again", device->name.config,
			lock_failure(lock, call->result));
		lock_step(device, LOCK_EV_OPEN_FAILED);
		return;
	}
	device->backend = lock->backend;
	device->info = lock->info;
	lock->reopened = true;
	lock->reopened_at = device->env->system->now_us(device->env);
	if (lock->shared)
		lock->tries = 0;
	if (device->thread)
		io_thread_set_backend(device->thread, device->backend, &device->info);
	lock_step(device, LOCK_EV_OPENED);
	if (lock->shared)
		lock_step(device, LOCK_EV_SHARED);
}

/* Only a gateway keeps a tag with the lock. Another client may have released it: a write tries. */
static void lock_elsewhere_queried(struct device *device, int error)
{
	struct device_lock *lock = &device->lock;

	assert(lock->state == LOCK_ELSEWHERE);
	if (!error && !lock->query_ours && lock->query_tag) {
		device_signal(device, DEVICE_SIGNAL_LOCK_LOST);
		return;
	}
	lock->tries = 0;
	lock_event(device, LOCK_EV_TIMER);
}

static void lock_queried(struct device_call *call)
{
	struct device *device = call->device;
	struct device_lock *lock = &device->lock;
	void (*queried)(struct device * device);

	/* The cluster does not answer: then nobody knows whether this host still has the lock. */
	lock->unconfirmed = lock->shared && lock_serves(lock->state) && call->result < 0 &&
		call->result != -ESHUTDOWN && call->result != -EAGAIN;
	if (lock->unconfirmed)
		device_alarm_arm(&lock->away, LOCK_OUTAGE_US);
	if (call->result >= 0)
		lock->tag = lock->query_tag;
	else if (call->result == -ESHUTDOWN)
		lock->tag = 0; /* another host has it; which one is known after reopening */
	/* A host that writes nothing does not learn otherwise that it has lost the lock. */
	if (call->result >= 0 && !lock->query_ours && lock->query_locked)
		lock_event(device, LOCK_EV_LOST);
	if (lock->state == LOCK_ELSEWHERE)
		lock_elsewhere_queried(device, call->result < 0 ? call->result : 0);
	if (device_is_served(device))
		lock_enforce(device);
	queried = lock->queried;
	lock->queried = NULL;
	if (queried)
		queried(device);
}

static void lock_start_query(struct device *device)
{
	assert(!device->lock.query.running);
	device->lock.query_locked = device->lock.state == LOCK_LOCKED;
	device_call_start(device, &device->lock.query, lock_work_query, lock_queried, "lock-state");
}

/* A backend that is away for this long is not just being reopened. A lock that the cluster did not
 * confirm is queried again. */
static void lock_away_ended(struct device *device)
{
	struct device_lock *lock = &device->lock;

	if (!device_is_served(device))
		return;
	lock->unavailable = !lock_has_backend(lock->state) || lock_is_calling(lock->state);
	if (lock->unconfirmed && lock_serves(lock->state) && !lock->query.running)
		lock_start_query(device);
	lock_enforce(device);
}

/* ------- actions ------- */

static void lock_call(
	struct device *device, void (*work)(struct device_call *call),
	void (*done)(struct device_call *call), const char *name)
{
	struct device_lock *lock = &device->lock;

	lock->call_group = lock->group;
	lock->call_size = device->attributes.size;
	lock->info = (struct tcmu_backend_info){0};
	lock->backend = NULL;
	lock->reason.text[0] = '\0';
	device_call_start(device, &lock->call, work, done, name);
}

/* Longer each time. */
static void lock_arm_pause(struct device_lock *lock)
{
	unsigned doublings = lock->tries < PAUSE_DOUBLINGS ? lock->tries : PAUSE_DOUBLINGS;

	lock->tries++;
	device_alarm_arm(&lock->pause, PAUSE_US << doublings);
}

static void lock_pause_ended(struct device *device)
{
	struct device_lock *lock = &device->lock;

	if (lock->state != LOCK_ELSEWHERE || !device_is_served(device))
		lock_event(device, LOCK_EV_TIMER);
	else if (lock->query.running)
		lock_arm_pause(lock);
	else
		lock_start_query(device);
}

static void lock_fault(struct device *device)
{
	device_note_backend_error(device, -ESHUTDOWN);
	device_post(device, DEVICE_EV_BACKEND_FAILED);
}

static void lock_act(struct device *device, uint32_t actions)
{
	assert(!device->acting);
	device->acting = true;
	if (actions & LOCK_DO_LOCK)
		lock_call(device, lock_work_lock, lock_locked, "lock");
	if (actions & LOCK_DO_UNLOCK)
		lock_call(device, lock_work_unlock, lock_unlocked, "unlock");
	if (actions & LOCK_DO_CLOSE)
		lock_call(device, lock_work_close, lock_closed, "close");
	if (actions & LOCK_DO_OPEN) {
		assert(!device->backend);
		atomic_store(&device->backend_fenced, false);
		lock_call(device, lock_work_open, lock_opened, "reopen");
	}
	if (actions & LOCK_DO_PAUSE)
		lock_arm_pause(&device->lock);
	if (actions & LOCK_DO_RETURN)
		device_post(device, DEVICE_EV_REOPENED);
	if (actions & LOCK_DO_FAULT)
		lock_fault(device);
	device->acting = false;
}

/* Notes the loss of the lock and of the backend, before the state is left. */
static void lock_note_change(struct device *device, enum lock_state next)
{
	struct device_lock *lock = &device->lock;

	assert(next < LOCK_STATE_COUNT);
	if (lock->state == LOCK_LOCKED && next != LOCK_RELEASING)
		lock_note_loss(device);
	/* A query that runs is about the lock that this host had, not about one that it gets. */
	if (lock->state == LOCK_LOCKED)
		lock->query_locked = false;
	if (!lock_serves(next))
		lock->unconfirmed = false;
	if (next == LOCK_LOCKING || next == LOCK_UNLOCKING)
		device_alarm_arm(&lock->away, lock->call_limit_us);
	if (lock_has_backend(next))
		lock->unavailable = false;
	else if (lock_has_backend(lock->state) && device_is_served(device))
		device_alarm_arm(&lock->away, LOCK_OUTAGE_US);
}

/* The end of a call is noted even where the device is not served any more; nothing follows then. */
static void lock_step(struct device *device, enum lock_event event)
{
	struct device_lock *lock = &device->lock;
	struct lock_transition transition = lock_fsm(lock->state, event);
	bool fenced;

	if (!transition.defined)
		return;
	log_dev_debug(
		device_label(device), "lock: %s -> %s", lock_state_name(lock->state),
		lock_state_name(transition.next));
	fenced = lock->state == LOCK_RELEASING && event == LOCK_EV_FENCED;
	lock_note_change(device, transition.next);
	lock->state = transition.next;
	if (!device_is_served(device))
		return;
	lock_act(device, transition.actions);
	lock_enforce(device);
	/* No call follows that would do it. */
	if (fenced)
		lock_resume_waiter(device, -ESHUTDOWN);
}

/* ------- for the device ------- */

void lock_init(struct device *device)
{
	device_alarm_init(device, &device->lock.pause, lock_pause_ended);
	device_alarm_init(device, &device->lock.away, lock_away_ended);
	device->lock.call_limit_us = LOCK_CALL_US;
	device->lock.elsewhere_log = (struct log_limit) LOG_LIMIT(1, 600);
}

/* Another host has taken the lock a moment ago: for one stray command it is not taken back. An
 * initiator that goes on writing gets it when the minimum hold time has passed, with a retry. */
static bool lock_is_damped(struct device *device)
{
	struct device_lock *lock = &device->lock;
	uint64_t hold_us = device->env->settings->lock_hold_ms * UINT64_C(1000);
	uint64_t now = device->env->system->now_us(device->env);

	/* A clock that has gone back does not make it longer. */
	if (lock->state != LOCK_UNLOCKED || !lock->lost_at || now < lock->lost_at ||
	    clock_since(now, lock->lost_at) >= hold_us)
		return false;
	lock->damped++;
	if (!lock->damping)
		log_dev_info(
			device_label(device),
			"a command needs the lock, which another host has just taken: that host "
			"keeps it for at least %u ms; initiators that write over several gateways "
			"at once slow each other down",
			device->env->settings->lock_hold_ms);
	lock->damping = true;
	return true;
}

void lock_event(struct device *device, enum lock_event event)
{
	struct device_lock *lock = &device->lock;

	assert(event < LOCK_EVENT_COUNT);
	if (!device_is_served(device) || (event == LOCK_EV_WANTED && lock->by_initiators))
		return;
	/* A cluster that does not answer gives no lock either: BUSY would hide that. */
	if (event == LOCK_EV_WANTED && (lock->unconfirmed || lock_is_damped(device)))
		return;
	if (event == LOCK_EV_LOST && lock->state == LOCK_LOCKED)
		log_dev_warning(device_label(device), "another host has locked its backing store");
	lock_step(device, event);
}

void lock_doubt(struct device *device)
{
	struct device_lock *lock = &device->lock;

	if (!lock->shared || !device_is_served(device) || !lock_serves(lock->state))
		return;
	lock->unconfirmed = true;
	if (!lock->query.running)
		lock_start_query(device);
	lock_enforce(device);
}

void lock_settle(struct device *device)
{
	if (!device_is_served(device))
		return;
	assert(lock_is_calling(device->lock.state) == device->lock.call.running);
	/* The handler unlocks only when nothing is in flight, and nothing can be submitted. */
	if (device->lock.state != LOCK_RELEASING &&
	    (device->lock.state != LOCK_FENCED || device_backend_in_use(device)))
		return;
	if (!io_thread_is_idle(device->thread))
		return;
	assert(device->backend);
	lock_step(device, LOCK_EV_IDLE);
}

/* Returns whether it is new that the store is shared. */
static bool lock_take_ports(struct device *device)
{
	struct device_lock *lock = &device->lock;
	const struct scsi_ports *ports = &device->lu_info.known.ports;
	bool was_shared = lock->shared;

	if (!device->handler->lock || !ports->shared)
		return false;
	lock->shared = true;
	lock->by_initiators = ports->by_initiators;
	lock->group = ports->host_group;
	if (!was_shared)
		log_dev_info(
			device_label(device),
			"is shared with other hosts: %s which of them serves it",
			lock->by_initiators ? "initiators say" : "the writing host decides");
	if (!was_shared && !device->attributes.no_reservations)
		log_dev_info(
			device_label(device),
			"initiators may reserve it, but the other hosts do not know their "
			"reservations: see \"reservations\" in tcmu.conf");
	return !was_shared;
}

/* Ports that are still those of a device that is not shared. */
static void lock_log_elsewhere(struct device *device)
{
	unsigned more;

	if (device->lock.state == LOCK_ELSEWHERE &&
	    log_limit_pass(&device->lock.elsewhere_log, &more))
		log_dev_warning(
			device_label(device),
			"another host has locked its backing store, but this device has no target "
			"port group: its commands fail until it has one or the lock is released");
}

void lock_learn(struct device *device)
{
	if (!lock_take_ports(device)) {
		lock_log_elsewhere(device);
		return;
	}
	device->lock.tries = 0;
	lock_step(device, LOCK_EV_SHARED);
}

void lock_begin(struct device *device, struct io_thread_setup *setup)
{
	struct device_lock *lock = &device->lock;
	struct lock_permission permission;

	assert(!device->thread);
	assert(!device_backend_in_use(device));
	(void) lock_take_ports(device);
	lock->state = lock->shared ? LOCK_UNLOCKED : LOCK_UNSHARED;
	lock->tries = 0;
	lock->reopened = false;
	lock->waiter = NULL;
	env_timer_disarm(&lock->pause.timer);
	env_timer_disarm(&lock->away.timer);
	lock->unavailable = lock->unconfirmed = false;
	atomic_store(&device->backend_fenced, false);
	permission = lock->enforced = lock_permission_of(lock);
	setup->permission = permission.permission;
	setup->lu.not_ready = permission.not_ready;
}

/* ------- SET TARGET PORT GROUPS ------- */

/* Initiators retry; or take another path, where the backend was not reopened at the first
 * attempt. */
static int lock_not_now(const struct device_lock *lock)
{
	return !lock_has_backend(lock->state) && lock->tries ? -EBUSY : -EAGAIN;
}

/* Whether the lock is as wanted; -errno: it cannot become so now. */
static int lock_is_as_wanted(const struct device_lock *lock, bool locked)
{
	if (locked == (lock->state == LOCK_LOCKED))
		return 1;
	if (!locked && (lock->state == LOCK_UNLOCKED || lock->state == LOCK_PAUSED))
		return 1;
	if (locked ? lock->state == LOCK_RELEASING || lock->state == LOCK_UNLOCKING ||
			    !lock_has_backend(lock->state)
		   : lock->state != LOCK_LOCKED)
		return lock_not_now(lock);
	return 0;
}

int lock_request(
	struct device *device, const struct scsi_group_states *states,
	void (*waiter)(struct device *device, int error))
{
	struct device_lock *lock = &device->lock;
	bool locked = false;
	int r;

	assert(!lock->waiter);
	if (!lock->shared)
		return 0;
	for (unsigned i = 0; i < states->cnt; i++) {
		/* Only the other host changes its group. */
		if (states->to[i].id != lock->group)
			return -EOPNOTSUPP;
		locked = states->to[i].state <= SCSI_ACTIVE_NONOPTIMIZED;
	}
	r = lock_is_as_wanted(lock, locked);
	if (r)
		return r < 0 ? r : 0;
	lock->waiter = waiter;
	lock_event(device, locked ? LOCK_EV_REQUESTED : LOCK_EV_RELEASED);
	return 1;
}

/* ------- REPORT TARGET PORT GROUPS ------- */

bool lock_query_start(struct device *device, void (*queried)(struct device *device))
{
	struct device_lock *lock = &device->lock;

	if (!lock->shared || !device_is_served(device) || !lock_has_backend(lock->state))
		return false;
	lock->queried = queried;
	if (!lock->query.running)
		lock_start_query(device);
	return true;
}

/* Whether commands that arrive here end NOT READY, unavailable. */
static bool lock_is_away(const struct device_lock *lock)
{
	return lock_permission_of(lock).not_ready == SCSI_ASCQ_UNAVAILABLE;
}

void lock_show_states(const struct device *device, struct scsi_ports *ports)
{
	const struct device_lock *lock = &device->lock;

	assert(ports->group_cnt <= SCSI_PORT_GROUPS_MAX);
	for (unsigned i = 0; lock->shared && i < ports->group_cnt; i++) {
		struct scsi_port_group *group = &ports->groups[i];
		bool active = group->id && group->id == lock->tag;

		if (!group->access)
			continue;
		/* Our own group is reported as commands find it: an initiator that sees it in
		 * standby activates it. */
		if (lock->by_initiators && group->id == lock->group)
			active = lock->state == LOCK_LOCKED;
		group->state = active         ? SCSI_ACTIVE_OPTIMIZED
			: lock->by_initiators ? SCSI_STANDBY
					      : SCSI_ACTIVE_NONOPTIMIZED;
		if (group->id == lock->group && lock_is_away(lock))
			group->state = SCSI_UNAVAILABLE;
	}
}
