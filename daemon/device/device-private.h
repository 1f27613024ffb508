/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's members, for the files that carry out its actions: device/device.c (events, timers,
 * the end), device/open.c (the beginning), device/reconfig.c (what the kernel tells meanwhile).
 * Main thread, but for what a job's or the loop's thread says it touches.
 */
#pragma once

#include <stdatomic.h>

#include <systemd/sd-event.h>

#include "base/jobs.h"
#include "config/options.h"
#include "device/device.h"
#include "device/health.h"
#include "device/lock-fsm.h"
#include "device/manager.h"
#include "io/thread.h"

/* What the kernel says of the device, read when it is opened. */
struct device_attributes {
	uint64_t size; /* bytes */
	uint32_t block_size;
	uint32_t max_sectors; /* blocks of one command */
	bool write_cache;     /* the attribute emulate_write_cache */
	bool no_reservations; /* the attribute emulate_pr is 0 */
	bool no_port_groups;  /* the attribute alua_support is 0 */
	bool replies;         /* nl_reply_supported: somebody waits for our answers */
	bool configured;      /* false: its creation waits for an answer */
};

/* Opening takes two jobs, and a third when the backend is refused after all. */
enum opening_stage {
	OPENING_CLAIM,
	OPENING_OPEN,
	OPENING_DISCARD,
};

/* The result of opening, filled by the job's thread and taken over on the main thread; only adopts
 * is looked at before. */
struct opening {
	struct job job;
	struct device *device;
	struct tcmu_name
		name; /* copies: the thread touches nothing of the device but host_device */
	enum device_origin origin;
	const struct tcmu_handler *handler;
	uint32_t id;
	uint64_t max_transfer; /* bytes, where nobody has said how much */
	enum opening_stage stage;
	atomic_bool known;  /* what the kernel says of it has been read */
	atomic_bool adopts; /* found waiting for the answer to its creation; id is valid */
	const char *state_dir;
	struct device_attributes attributes;
	struct scsi_lu_info lu_info;
	struct options *options;
	struct tcmu_backend_info info;
	void *backend;
	int error;
	struct tcmu_reason reason;
};

/* A call of the handler or of configfs on a thread of its own, for a device that is held meanwhile.
 */
struct device_call {
	struct job job;
	struct device *device;
	bool running;
	int result; /* of the call, where it has one */
};

/* What its owner may set at any time: the unit serial, ports and their groups. */
struct device_lu_info {
	struct device_call call;
	struct scsi_lu_info
		*read; /* the call's own while it runs; NULL: there was no memory for it */
	struct scsi_lu_info known; /* what the last call found */
	sd_event_source *timer;
};

/* What a command needs done on a thread that may wait. */
struct device_deferred {
	struct device_call call;
	struct deferred_request what;
	struct io_thread *thread; /* that has asked; NULL: it is not there any more */
};

/* Whether this host may use the backing store; device/lock.c. The call's thread looks at call_
 * and device->backend, sets backend, info and reason; the look's thread sets look_. */
struct device_lock {
	struct device_call call; /* lock, unlock, close or open */
	struct device_call look; /* lock_state */
	enum lock_state state;
	bool shared; /* other hosts may serve the same store */
	bool by_initiators;
	uint16_t group;      /* of this host's ports */
	uint16_t tag;        /* of the lock, as last looked at */
	unsigned tries;      /* to lock or to open, since that has succeeded last */
	bool fenced;         /* told while a call was under way */
	bool deferred_waits; /* for the end of the call */
	uint16_t call_group;
	uint64_t call_size;
	struct tcmu_backend_info info;
	void *backend;
	struct tcmu_reason reason;
	bool look_locked; /* we had the lock when the look began */
	bool look_ours;
	uint16_t look_tag;
	sd_event_source *timer;
};

/* Signals from other threads beyond IO_THREAD_*. */
#define DEVICE_SIGNAL_BACKEND_FAILED  (1u << 16)
#define DEVICE_SIGNAL_BACKEND_RESIZED (1u << 17)
#define DEVICE_SIGNAL_LOCK_LOST       (1u << 18)

/* What the handler is given to name its device. */
struct tcmu_host_device {
	struct device *device;
	char label[TCMU_NAME_MAX + 16];
};

struct device {
	struct manager *manager;
	unsigned refs; /* the manager's and those of running calls */
	struct tcmu_name name;
	unsigned minor;
	uint32_t id; /* for answers */
	enum device_origin origin;
	const struct tcmu_handler *handler;
	struct tcmu_host_device host_device;

	enum device_state state;
	uint64_t state_since; /* µs, CLOCK_MONOTONIC */
	unsigned tries;       /* to open it again, since it was last served */
	bool owes_added;
	bool owes_removed;
	bool stopping;  /* the daemon's stop is what ends it */
	bool reopening; /* the way to OPENING is wanted, and short */
	int error;      /* why it failed, for the answer to ADDED_DEVICE */
	struct tcmu_reason reason;

	struct device_attributes attributes;
	struct options *options;
	struct tcmu_backend_info info;
	void *backend; /* open; NULL: not */
	struct io_thread *thread;
	struct stats *stats; /* of all its loops; NULL: out of memory */
	struct health health;
	bool io_ended;
	bool clean; /* the ring needs no recovery */
	struct device_lu_info lu_info;
	struct device_deferred deferred;
	struct device_lock lock;

	struct opening *opening; /* the job that is under way */
	bool waits_for_claim; /* it is done, but somebody who is ending still has the backing store
			       */
	struct device_call closing;
	struct device_call revoking;
	struct device_reconfig *reconfig; /* a change that is under way */
	bool reconfig_waits;              /* until the device is served: */
	struct tcmu_event reconfig_event;
	bool close_waits;              /* for its end, or that of a call of ownership */
	atomic_int backend_error;      /* as the handler told it */
	atomic_bool backend_fenced;    /* so did it: it is to be opened anew */
	_Atomic(int64_t) backend_size; /* as the handler told it last */

	sd_event_source *timers[DEVICE_TIMER_COUNT];
	atomic_uint signals;
	struct post post;
};

/* Sends signals to the main thread. Any thread. */
void device_signal(void *device, uint32_t bits);

void device_arm(struct device *device, enum device_timer timer, uint64_t ms);
void device_disarm(struct device *device, enum device_timer timer);

/* Runs work on a thread of its own; the device is held until done, which releases it. -EAGAIN: it
 * does not run. */
int device_start_call(
	struct device *device, struct device_call *call, void (*work)(struct job *),
	void (*done)(struct job *), const char *name);

/* Starts to close the handler, when no other call of it is under way. */
void device_close_backend(struct device *device);

/* Answers ADDED_DEVICE if that is owed: 0 when it is served, else the error. */
void device_answer_added(struct device *device);

/* What handlers are given. */
extern const struct tcmu_host device_host;

/* ------- device/open.c ------- */

/* Properties of the logical unit from what is known. */
void device_init_lu(const struct device *device, struct scsi_lu *lu);

/* ------- device/lu-info.c ------- */

/* Commands wait for what others set. */
void device_need_lu_info(struct device *device);

/* Answers who waits for what is known. */
void device_report_lu_info(struct device *device);

/* A command needs something done. */
void device_run_deferred(struct device *device);

/* What the errand had to wait for is done, or has failed with -errno. */
void device_resume_deferred(struct device *device, int error);

/* ------- device/lock.c ------- */

/* Before the loop is started: what it lets through. */
void device_lock_begin(struct device *device, struct io_thread_setup *setup);

/* What is known of ports has changed. */
void device_lock_learn(struct device *device);

void device_lock_event(struct device *device, enum lock_event event);

/* Something that used the backend has ended, or the loop is quiet. */
void device_lock_idle(struct device *device);

bool device_lock_uses_backend(const struct device *device);

/* Whether the backend, which has failed, is opened anew by itself. */
bool device_reopens(const struct device *device);

/* Whether an errand about target port groups waits for the ownership, or has been answered. */
bool device_lock_keeps_deferred(struct device *device);

/* Whether device_report_lu_info() will be called when it is known who has the lock. */
bool device_lock_queries(struct device *device);

/* The states of the groups as the ownership has them. */
void device_lock_states(const struct device *device, struct scsi_ports *ports);

/* ------- device/reconfig.c ------- */

/* A change that came while the device was being opened is made now, if it is not any more. */
void device_reconfig_goes_on(struct device *device);

/* The handler has found another size of its backend. */
void device_backend_resized(struct device *device);
