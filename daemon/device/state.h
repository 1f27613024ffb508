/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device from inside: its members, and the functions that the modules of its life stand on. Each
 * module owns one of the sub-structs:
 *
 *   device -> open, reconfig, lu-info -> lock, block -> status -> state -> env, fsm
 *
 * Everything is the main thread's, except where a job's work() or another thread is named.
 *
 * How a device runs. An entry is a call of the parent, a post, a job's end or a timer. The module
 * notes the news and posts events; then device_run() takes the events from the queue, one at a
 * time. Each is a transition, whose actions may post events and never feed one in. When the queue
 * is empty it checks the conditions that something may have waited for: a close, a fenced backend,
 * a claim, an early reconfiguration. A job that cannot be started ends later, as one that has
 * failed.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/jobs.h"
#include "base/list.h"
#include "base/log.h"
#include "config/options.h"
#include "device/env.h"
#include "device/fsm.h"
#include "device/status.h"
#include "io/thread.h"

/* An entry posts at most two events before they are taken; so do the actions of a transition. */
#define DEVICE_QUEUE_MAX 16u

/* Events that wait, first in, first out. */
struct device_queue {
	uint8_t events[DEVICE_QUEUE_MAX];
	unsigned first;
	unsigned cnt;
};

/* A timer of a device, which is disarmed when the device is freed. */
struct device_alarm {
	struct list_node node; /* of the device's */
	struct env_timer timer;
	struct device *device;
	void (*fired)(struct device *device);
};

/* A call of the handler or of configfs, which is a job. The device is held until done. */
struct device_call {
	struct job job;
	struct post not_started; /* ends the call where no thread could be started */
	struct device *device;
	void (*work)(struct device_call *call); /* on the job's thread; sets result */
	void (*done)(struct device_call *call);
	bool running;
	int result; /* 0 or -errno; -EAGAIN where no thread could be started */
};

/* open.c: opening takes two calls; one more where the ring has to be reset, and one more when the
 * backend is refused after all. */
enum opening_stage {
	OPENING_CLAIM,      /* reads the attributes and asks the handler for the claim */
	OPENING_CLAIM_WAIT, /* another device still holds the claim */
	OPENING_OPEN,       /* the handler's open */
	OPENING_OPEN_WAIT,  /* another device still holds the claim, which open has found out */
	OPENING_STORE_WAIT, /* the store is missing, and may come: it was served before */
	OPENING_BLOCK_WAIT, /* the kernel does not answer BUSY yet, as it must for a reset */
	OPENING_RESET,      /* resets a ring that its last user has left in disorder */
	OPENING_DISCARD,    /* the handler's close: the backend is refused */
	OPENING_STAGE_COUNT,
};

/* Filled by the call's thread, which touches nothing else of the device but host_device, and taken
 * over by the main thread. */
struct device_opening {
	struct device_call call;
	struct tcmu_name name;
	enum device_origin origin;
	const struct tcmu_handler *handler;
	uint64_t max_transfer; /* bytes */
	bool local_reservations;
	bool creates;    /* the device was just created, so its store may be, too */
	bool deleted;    /* a backstore of this name was deleted since the boot */
	bool must_exist; /* struct tcmu_config; the call's */
	char claim[128]; /* as the last call has found it; "": not known */
	struct device_alarm again;
	enum opening_stage stage;
	atomic_bool known;    /* reading the attributes has ended, perhaps with an error */
	bool attributes_read; /* all of them; the call's. If not, their values mean nothing */
	atomic_bool adopts;   /* the creation waits for its answer; attributes.id is valid */
	struct device_attributes attributes;
	struct scsi_lu_info lu_info;
	struct options *options;
	struct tcmu_backend_info info;
	void *backend;
	int error;
	struct tcmu_reason reason;
};

/* lu-info.c: the unit serial, ports and their groups, and cmd_time_out, which administrators may
 * set at any time. */
struct device_lu_info {
	struct device_call call;
	struct scsi_lu_info *read; /* the call's, while it runs */
	uint64_t command_timeout;  /* likewise; ns */
	struct scsi_lu_info known; /* read by the last call */
	struct device_alarm late;
};

/* lu-info.c: the request of a deferred command (io/thread.h). */
struct device_deferred {
	struct device_call call;
	struct deferred_request request;
	struct log_limit log;     /* initiators send as many as they like */
	struct io_thread *thread; /* waits for the call's result; NULL: that thread has ended */
};

/* As io_thread_set_permission() takes it. */
struct lock_permission {
	enum io_permission permission;
	uint8_t not_ready; /* SCSI_ASCQ_ of NOT READY (SPC-4 6.37), or 0 for BUSY */
};

/* lock.c: whether this host may use the backing store. The call's thread reads call_ and the
 * device's backend, and sets backend, info and reason; the query's thread sets query_. */
struct device_lock {
	struct device_call call;  /* lock, unlock, close or open */
	struct device_call query; /* lock_state */
	enum lock_state state;
	struct lock_permission enforced; /* that the I/O thread has been given last */
	bool shared;                     /* other hosts may serve the same store */
	bool by_initiators;
	uint16_t group; /* of this host's ports */
	uint16_t tag;   /* of the lock, as last queried */
	unsigned tries; /* to lock or to open, since that has succeeded last, or lasted */
	/* Called once, when the running lock or unlock has ended; NULL: no command waits. */
	void (*waiter)(struct device *device, int error);
	void (*queried)(struct device *device); /* called when the query has ended */
	uint16_t call_group;
	uint64_t call_size;
	struct tcmu_backend_info info;
	void *backend;
	struct tcmu_reason reason;
	bool query_locked; /* this host had the lock when the query began */
	bool query_ours;
	uint16_t query_tag;
	struct device_alarm pause;
	struct log_limit elsewhere_log;
	uint64_t lost_at;     /* µs of the env's clock: when another host has taken it; 0: never */
	bool reopened;        /* the backend, since the I/O thread began */
	uint64_t reopened_at; /* then: when that was last */
	bool unavailable;     /* the backend cannot be used, or a lock or unlock runs; that lasts */
	bool unconfirmed;     /* LOCKED or UNLOCKED, and the cluster does not answer */
	uint64_t call_limit_us; /* a lock or unlock that runs for longer makes it unavailable */
	uint64_t takeovers;     /* times that this host has taken the lock */
	uint64_t damped;        /* commands that did not take it back so soon after its loss */
	bool damping;           /* logged, since this host has had the lock last */
	struct device_alarm away;
};

/* reconfig.c: a change that the kernel has announced. */
enum reconfig_state {
	RECONFIG_NONE,
	RECONFIG_WAITS,   /* until the device is served, or is not going to be */
	RECONFIG_CALLS,   /* the handler resizes; the answer is owed */
	RECONFIG_LATE,    /* the handler resizes; the answer was -ETIMEDOUT */
	RECONFIG_FLUSHES, /* the I/O thread turns the write cache off; the answer is owed */
};

struct device_reconfig {
	struct device_call call;
	enum reconfig_state state;
	struct tcmu_event event;
	struct tcmu_backend_info info;
	struct tcmu_config config;
	struct tcmu_reason reason;
	struct device_alarm late;
};

/* device.c: the handler's close. */
enum closing_state {
	CLOSING_NONE,
	CLOSING_WAITS, /* until no other call uses the backend, or a thread can be started */
	CLOSING_CALLS,
};

struct device_closing {
	struct device_call call;
	enum closing_state state;
	struct device_alarm again;
};

/* block.c: the kernel's block state, and the reset of a ring that somebody else has reset. */
struct device_blocking {
	struct device_call call;   /* block_dev or reset_ring */
	struct device_alarm again; /* after a failure */
	bool configured;           /* the kernel takes action/ of the device */
	bool interrupted;          /* see device_state_block() */
	enum device_block written; /* what the kernel has; KEEP: not known */
	enum device_block writing; /* the call's; KEEP: it resets the ring */
	int error;                 /* of the last call; 0 or -errno */
	unsigned tries;            /* that have failed, one after the other */
	bool idle;                 /* RESETTING: nothing of the old ring is in flight */
	bool reset;                /* RESETTING: the ring was reset, the I/O thread attaches it */
};

/* device.c: the ring is taken away from a thread that is stuck. */
struct device_revoke {
	struct device_call call;
	struct io_thread *thread; /* the call's, while it runs: it is not freed meanwhile */
};

/* Why a device drains; STOP wins over the others. */
enum drain_reason {
	DRAIN_NONE,
	DRAIN_END,    /* the kernel's device or the ring ends: requests are cancelled */
	DRAIN_REOPEN, /* the backend is reopened: commands are given time, the ring stays usable */
	DRAIN_STOP,   /* the daemon stops: likewise */
};

/* status.c: the log lines about late commands and the backend's errors. */
struct health {
	bool late;         /* logged that commands are late, and not yet that they have ended */
	uint64_t late_at;  /* ns, when that was logged last; 0: never */
	uint64_t errors;   /* so many errors have been logged */
	uint64_t error_at; /* ns, when that was logged last; 0: never */
	uint64_t expired;  /* writes that ended too late, as was logged last */
	bool advised;      /* logged that commands are large */
	uint64_t commands; /* reads and writes before the sample that shows how large they are */
	uint64_t bytes;    /* of them */
};

/* Signals of the handler, beyond IO_SIGNAL_. */
#define DEVICE_SIGNAL_BACKEND_FAILED  (1u << 16)
#define DEVICE_SIGNAL_BACKEND_RESIZED (1u << 17)
#define DEVICE_SIGNAL_LOCK_LOST       (1u << 18)

/* The device as its handler knows it; any thread. */
struct tcmu_host_device {
	struct device *device;
	char label[TCMU_NAME_MAX + 16];
	uint64_t *counters; /* of the handler's table, atomic; NULL: it is empty */
	pthread_mutex_t lock;
	char health[DEVICE_HEALTH_SIZE]; /* under the lock; "": all is well */
};

struct device {
	struct device_env *env;
	void (*run)(struct device *device); /* device_run() of device.c */
	unsigned refs;                      /* the parent's, and those of running calls */
	unsigned calls;                     /* that run */
	bool forgets;                       /* it is GONE: forgotten when no call runs */
	struct device_queue queue;
	bool acting; /* an action is being carried out */

	struct tcmu_name name;
	unsigned minor;
	uint32_t id; /* for answers */
	enum device_origin origin;
	struct stack *stack;                /* NULL: the config string has no filter */
	const struct tcmu_handler *handler; /* of the stack, if there is one */
	struct tcmu_host_device host_device;

	enum device_state state;
	uint64_t state_since; /* µs of the env's clock */
	unsigned tries;       /* to open it again, since it was last served for a while */
	enum drain_reason drain;
	bool owes_added;
	bool owes_removed;
	int error; /* why it failed, for the answer to ADDED_DEVICE */
	struct tcmu_reason reason;

	struct device_attributes attributes;
	struct rate_limits limits; /* in force since it was served last */
	struct options *options;
	struct tcmu_backend_info info;
	void *backend;            /* open; NULL: not */
	struct io_thread *thread; /* has not ended; NULL: there is none */
	struct stats *stats;      /* of all its I/O threads */
	struct notes *notes;      /* while the backend is open; NULL: none are made */
	struct health health;
	bool clean;    /* the ring needs no recovery */
	bool was_open; /* its backend has been open */
	bool existed;  /* before this daemon: it was served by an earlier one, perhaps by its rules
			*/
	struct marks_store store; /* known of its backing store since the boot */

	struct device_opening *opening; /* NULL: it is not being opened */
	struct device_lu_info lu_info;
	struct device_deferred deferred;
	struct device_lock lock;
	struct device_reconfig reconfig;
	struct device_closing closing;
	struct device_blocking blocking;
	struct device_revoke revoke;
	struct device_alarm alarms[DEVICE_TIMER_COUNT];
	struct list all_alarms; /* these, and those of its parts */

	/* Set by the handler's threads. */
	atomic_int backend_error;
	atomic_bool backend_fenced;
	_Atomic(int64_t) backend_size;
	atomic_uint signals;
	struct post post; /* takes the signals; set by device.c */
};

/* Holds the device. Returns it. */
struct device *device_ref(struct device *device);

/* Releases it; the last one frees it. */
void device_unref(struct device *device);

/* Queues an event. For actions; an entry calls device_event(). */
void device_post(struct device *device, enum device_event event);

/* The oldest queued event; there is one. */
enum device_event device_queue_take(struct device_queue *queue);

/* Starts work(call) on a thread; done(call) follows on the main thread, always, and then
 * device_run(). The call is not running. name: the thread's. */
void device_call_start(
	struct device *device, struct device_call *call, void (*work)(struct device_call *call),
	void (*done)(struct device_call *call), const char *name);

/* Whether a call of reconfig or lock uses the backend now: it must not be closed. */
bool device_backend_in_use(const struct device *device);

/* Disarms an alarm that ends before the device does. */
void device_alarm_end(struct device_alarm *alarm);

/* Nobody uses them: there is no I/O thread. */
void device_close_notes(struct device *device);

/* Binds an alarm to its function, once. fired runs as an entry: device_run() follows. */
void device_alarm_init(
	struct device *device, struct device_alarm *alarm, void (*fired)(struct device *device));

/* Arms it, again if it is armed. */
void device_alarm_arm(struct device_alarm *alarm, uint64_t delay_us);

/* The timers of fsm.h; the state must have the timer. */
void device_timer_arm(struct device *device, enum device_timer timer, uint64_t ms);
void device_timer_disarm(struct device *device, enum device_timer timer);

/* Sends signals to the main thread. userdata: the device. Any thread; does not block. */
void device_signal(void *userdata, uint32_t bits);

/* The reason for DEVICE_EV_BACKEND_FAILED, which follows. */
void device_note_backend_error(struct device *device, int error);

/* Whether the handler is to close and open a failed backend while the ring stays. */
bool device_reopens(const struct device *device);

/* Whether service that began then, by the env's clock in µs, has lasted, so that an earlier failure
 * is over. Until it does, each attempt to serve again waits longer. */
bool device_has_lasted(const struct device *device, uint64_t since);

/* ATTACHING, LIVE, RESETTING or FAULTED with an I/O thread: calls for commands make sense. */
bool device_is_served(const struct device *device);

/* Whether opening waits for another device's claim. */
bool device_waits_for_claim(const struct device *device);

/* Sets up and ends what a handler sees of a device whose name is known. */
void device_host_init(struct device *device);
void device_host_destroy(struct device *device);

/* The handler's health text: copied to text, DEVICE_HEALTH_SIZE bytes. */
void device_host_health(const struct device *device, char *text);

/* A new backend begins without a health text. Any thread. */
void device_host_begin(struct device *device);

/* Given to handlers. */
extern const struct tcmu_host device_host;
