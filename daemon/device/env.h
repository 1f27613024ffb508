/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that a device and the manager reach outside themselves: a struct device_env of
 * functions and facts. A device knows no manager, no event loop, no clock and no file of the
 * kernel. A simulation replaces them here and runs in one thread, with a virtual clock and a model
 * of the kernel. The I/O thread (io/thread.h) is the other seam of a device.
 *
 *   system: clock, timers, jobs, posts. device_env_init() sets the real one.
 *   kernel: configfs, sysfs, saved mode parameters. Likewise.
 *   parent: answers, other devices, marks, the end. The manager, or a test's fixture.
 *
 * The env outlives every device that has it, and every job of them. Functions run on the main
 * thread. Functions of the kernel that say "job" may wait, and run on a job's thread.
 *
 * A function of the parent must not feed an event into any device, because the device is in the
 * middle of a transition. The parent notes the news and acts on it later, from its event loop.
 *
 * Memory: on the control side, the main thread's part of device/, a failed allocation aborts (glib,
 * timers). Jobs, handlers and threads report what they lack.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <scsi/scsi.h>
#include <systemd/sd-event.h>
#include <tcmu/netlink.h>
#include <tcmu/scan.h>

#include "base/jobs.h"
#include "config/settings.h"
#include "device/configfs.h"
#include "device/marks.h"

struct device;
struct device_env;

/* A one-shot timer, embedded in the structure that needs it. Zeroed, it is not armed. */
struct env_timer {
	void (*fired)(struct env_timer *timer); /* it is not armed any more; may arm it again */
	struct device_env *env;                 /* set when it is armed; NULL: it is not armed */
	void *handle;                           /* the system's */
	uint64_t accuracy_us;                   /* may fire so much late; 0: 1 ms */
};

struct env_system {
	/* Microseconds; never goes back. */
	uint64_t (*now_us)(const struct device_env *env);
	/* Fires once after delay_us, from the event loop, never from within this call. The timer is
	 * not armed yet. */
	void (*timer_arm)(struct device_env *env, struct env_timer *timer, uint64_t delay_us);
	void (*timer_disarm)(struct device_env *env, struct env_timer *timer); /* it is armed */
	/* As job_start() and mailbox_post() of base/jobs.h; post runs on any thread. */
	int (*job_start)(struct device_env *env, struct job *job, const char *name);
	void (*post)(struct device_env *env, struct post *post);
};

struct env_kernel {
	/* As tcmu_scan_minor(). */
	int (*scan_minor)(
		const struct device_env *env, unsigned minor, struct tcmu_scan_entry *entry);
	/* Job. As configfs_read_attributes(). */
	int (*read_attributes)(
		const struct device_env *env, const struct tcmu_name *name,
		enum device_origin origin, uint64_t max_transfer,
		struct device_attributes *attributes, struct tcmu_reason *reason);
	/* Job. As configfs_prepare(), configfs_block() and configfs_reset_ring(). */
	void (*prepare)(const struct device_env *env, const struct tcmu_name *name);
	int (*block)(const struct device_env *env, const struct tcmu_name *name, bool on);
	int (*reset_ring)(const struct device_env *env, const struct tcmu_name *name);
	/* Job. Serial, saved mode parameters, ports and groups. As configfs_read_lu_info();
	 * *lu_info may hold anything before. */
	int (*read_lu_info)(
		const struct device_env *env, const struct tcmu_name *name,
		struct scsi_lu_info *lu_info);
	/* Job. As configfs_read_command_timeout(). */
	int (*read_command_timeout)(
		const struct device_env *env, const struct tcmu_name *name, uint64_t *timeout);
	/* Job. As configfs_set_groups() and marks_save_modes(). */
	int (*set_groups)(
		const struct device_env *env, const struct tcmu_name *name,
		const struct scsi_group_states *states);
	int (*save_modes)(
		const struct device_env *env, const char *serial,
		const struct scsi_mode_values *values);
	/* Job. As configfs_check_mappings(). */
	int (*check_mappings)(const struct device_env *env, const struct tcmu_name *name);
	/* Job. As configfs_check_copy(). */
	int (*check_copy)(
		const struct device_env *env, const struct tcmu_name *name,
		const struct tcmu_name *other, bool writes);
	/* Job. As marks_was_served() and marks_set_served(). */
	bool (*was_served)(const struct device_env *env, const struct tcmu_name *name);
	void (*note_served)(const struct device_env *env, const struct tcmu_name *name);
};

struct env_parent {
	/* Answers a netlink command, if that is owed (device/netlink-reset.h); status 0 or -errno.
	 */
	void (*answer)(struct device_env *env, enum tcmu_event_kind kind, uint32_t id, int status);
	/* A command that was not received waits all the same: the device answers it. */
	void (*note_owed)(struct device_env *env, enum tcmu_event_kind kind, uint32_t id);
	/* Nobody waits for the answer to a command. */
	void (*drop_owed)(struct device_env *env, enum tcmu_event_kind kind, uint32_t id);
	/* Answers REMOVED_DEVICE only if the kernel turns out to wait for it: it still has the
	 * device a moment later. For devices that were created without replies. */
	void (*answer_if_waiting)(
		struct device_env *env, const struct tcmu_name *name, unsigned minor, uint32_t id);
	/* A device other than except that holds the claim and that the kernel does not have any
	 * more; an orphan before others; NULL: there is none. */
	struct device *(*find_claimant)(
		struct device_env *env, const char *claim, const struct device *except);
	/* Another device that the kernel has and that uses the same backing store, or is to use it:
	 * is open, or is older than this device. after: the one before it; NULL: the first. NULL:
	 * there is none. */
	struct device *(*find_sharer)(
		struct device_env *env, const char *claim, const struct device *device,
		const struct device *after);
	/* The device has entered another state. */
	void (*changed)(struct device_env *env, struct device *device);
	/* The device is GONE. Releases the parent's reference. The last call for this device. */
	void (*forget)(struct device_env *env, struct device *device);
	/* As marks.h. */
	void (*mark_clean)(struct device_env *env, const struct device *device);
	struct notes *(*open_notes)(
		struct device_env *env, const struct device *device, const char *claim);
	void (*mark_format)(
		struct device_env *env, const struct device *device, unsigned format_state);
	unsigned (*format_state)(struct device_env *env, const struct device *device);
	void (*load_store)(
		struct device_env *env, const struct device *device, struct marks_store *store);
	void (*save_store)(
		struct device_env *env, const struct device *device,
		const struct marks_store *store);
};

struct device_env {
	const struct env_system *system;
	const struct env_kernel *kernel;
	const struct env_parent *parent;
	const struct settings *settings; /* in force now; read at each use */
	const char *state_dir;           /* marks.h, e.g. /var/lib/tcmud */
	pthread_t main_thread;           /* set by device_env_init() */
	sd_event *event;                 /* the real system's */
	struct mailbox *mailbox;         /* likewise */
};

/* The real system and the real kernel; the calling thread is the main thread. The other members are
 * the caller's to set. */
void device_env_init(struct device_env *env, sd_event *event, struct mailbox *mailbox);

/* Whether the calling thread is the main thread; for assertions. */
bool env_on_main_thread(const struct device_env *env);

/* Arms the timer, again if it is armed. */
void env_timer_arm(struct device_env *env, struct env_timer *timer, uint64_t delay_us);

/* Takes a timer that is not armed. */
void env_timer_disarm(struct env_timer *timer);

static inline bool env_timer_is_armed(const struct env_timer *timer)
{
	return timer->env;
}

/* Whether both name one backstore, whatever its config string is. */
static inline bool env_same_name(const struct tcmu_name *a, const struct tcmu_name *b)
{
	return a->hba == b->hba && strcmp(a->name, b->name) == 0;
}
