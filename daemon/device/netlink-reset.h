/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's commands that no device answers: those that a dead daemon has left, and those for
 * devices that are gone or were created without replies.
 *
 * A creation that waits is adopted and answered by its device. Other commands that wait for a dead
 * daemon cannot be distinguished; the module ends them all at once, and only while it refuses new
 * ones: a creation fails with EAGAIN then. Nothing can prevent that, so it is short and rare. It
 * lasts for one system call, and does not occur where no command waits (tcmu/module.h). It is done
 * once, when no creation is being answered, no command is unread, and the commands pause: the next
 * command of a restore follows the last answer at once. Where they never pause, it is done after 5
 * s. Creations delay it until those that were there first are over, which is after open_timeout_ms
 * at the latest: those that wait then were sent later, and fail.
 *
 * Main thread. The manager reports the commands, and is asked about its devices.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>
#include <tcmu/netlink.h>
#include <tcmu/scan.h>

#include "device/env.h"

struct netlink_owed;

struct netlink_reset {
	struct device_env *env;
	int fd; /* of the kernel's commands, to poll */
	/* Whether a device may still answer a command. unknown: a device whose attributes have not
	 * been read counts as one. */
	bool (*is_answering)(struct netlink_reset *reset, bool unknown);
	struct netlink_owed *owed; /* forgotten with the reset; NULL: nothing */
	bool wanted;               /* still to be done */
	uint64_t began;            /* µs */
	uint64_t max;              /* µs; so long after that it is done whatever comes */
	uint64_t active;           /* µs, of the last command or answer; 0: none yet */
	struct env_timer known;    /* until the attributes of every device should be read */
	struct env_timer paused;   /* until the commands should have paused */
	struct env_timer last;     /* until then */
	GSList *late;              /* struct netlink_late: answers that may be due in a moment */
};

/* At the start, when the devices that the kernel has are being opened. fd: has POLLIN while a
 * command of the kernel has not been read; it stays the caller's. */
void netlink_reset_start(
	struct netlink_reset *reset, struct device_env *env, int fd,
	bool (*is_answering)(struct netlink_reset *reset, bool unknown));

/* A command came, or was answered. */
void netlink_reset_note_command(struct netlink_reset *reset);

/* Something has changed: the reset is done now, if it still is to be done and nothing is in its
 * way. */
void netlink_reset_check(struct netlink_reset *reset);

/* Does it now: the daemon ends. */
void netlink_reset_run(struct netlink_reset *reset);

/* It is not done any more: the daemon stops. */
void netlink_reset_cancel(struct netlink_reset *reset);

/* Logs an error of tcmu_netlink_receive(), and one that is seen again only once. Returns whether
 * nothing can be received for now; else the next call may. */
bool netlink_reset_log_error(int error, bool again);

/* Answers REMOVED_DEVICE by the env in a moment, if the kernel still has the device then: it waits
 * for the answer. */
void netlink_reset_answer_late(
	struct netlink_reset *reset, const struct tcmu_name *name, unsigned minor, uint32_t id);

/* Drops the reset and the answers that are pending. */
void netlink_reset_clear(struct netlink_reset *reset);

/* ------- the ledger ------- */

/* The ledger of answers that are owed to the kernel: every netlink command that was received, or
 * found waiting by a scan, is in it until it is answered, or nobody waits for it any more. A
 * command that is not in it is not answered. So each is answered at most once, and what is left at
 * the end is known.
 *
 * The kernel has one command in flight for each device at most; another one means that nobody waits
 * for the one before it. It must not get that one's answer: the kernel would forget the command
 * that waits, and never end it. */
struct netlink_owed {
	GHashTable *commands; /* of uint64_t */
};

void netlink_owed_init(struct netlink_owed *owed);

/* Frees it; nothing is owed any more. Takes one that was never initialised. */
void netlink_owed_clear(struct netlink_owed *owed);

/* The command of this device waits. */
void netlink_owed_add(struct netlink_owed *owed, enum tcmu_event_kind kind, uint32_t id);

/* It is answered now, or nobody waits for it. False: it was not owed. */
bool netlink_owed_take(struct netlink_owed *owed, enum tcmu_event_kind kind, uint32_t id);

/* Nobody waits for any of them: the kernel has ended them all. */
void netlink_owed_forget(struct netlink_owed *owed);

/* Any command that is owed. False: there is none. */
bool netlink_owed_any(const struct netlink_owed *owed, enum tcmu_event_kind *kind, uint32_t *id);
