/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the SCSI code decide each command, and passes it on: it is answered, or its plan goes to
 * exec, to an operation (format, xcopy), or to the main thread.
 *
 * Two kinds of commands wait for the main thread, because they need configfs or a disk. Commands
 * that report the LU info are pending until it is set, and are then decided again. A deferred
 * command needs something done: mode parameters saved, the states of target port groups changed,
 * the guard of the LUN checked (SCSI_NEEDS_GUARD; the command is then decided again).
 * One is deferred at a time; another that comes meanwhile is answered BUSY. A deferred command may
 * leave (aborted, or the service ends); the work goes on without it.
 *
 * Both cost a thread and files of the kernel or a disk, and initiators send as many as they like.
 * So the LU info is asked for 100 times as often as commands need it, and then five times a second;
 * until the next answer the last one is used, but for SET TARGET PORT GROUPS. Work is deferred 20
 * times, and then five times a second; other commands that need it are answered BUSY. Values on the
 * disk are not saved again.
 *
 * Everything runs on the I/O thread under the ring lock, but for dispatch_read_deferred().
 */
#pragma once

#include <stdlib.h>

#include "base/list.h"
#include "base/rate-limit.h"
#include "io/command.h"
#include "io/format.h"
#include "io/xcopy.h"

/* The work that a deferred command needs on the main thread. */
enum deferred_kind {
	DEFERRED_SAVE = 1,   /* keep mode parameters for good */
	DEFERRED_SET_GROUPS, /* change states of target port groups */
	DEFERRED_GUARD,      /* check whether a mapping is write protected, or the LUN reserved */
	DEFERRED_COPY_GUARD, /* check whether initiators may use the other LUNs of a copy */
};

struct deferred_request {
	enum deferred_kind kind;
	char serial[256]; /* SAVE */
	struct scsi_mode_values saved;
	struct scsi_group_states states; /* SET_GROUPS */
	unsigned other_cnt;              /* COPY_GUARD */
	struct xcopy_other *others;      /* allocated; NULL in other requests */
};

/* Frees what the request has. */
static inline void deferred_request_clear(struct deferred_request *request)
{
	free(request->others);
	request->others = NULL;
	request->other_cnt = 0;
}

struct dispatch {
	struct core *core;
	struct format *format;
	struct xcopy_disk *xcopy_disk;
	struct list pending;            /* commands that wait for the LU info */
	bool lu_info_known;             /* and nothing has changed it here since */
	struct rate_limit lu_info_rate; /* of asking for it */

	bool deferred;                  /* the main thread has been asked */
	struct command *waiter;         /* the command that waits for it, or NULL */
	bool waiter_planned;            /* it has a plan, to be carried out then */
	struct scsi_mode_values before; /* the mode parameters that were saved before it */
	struct rate_limit deferred_rate;
	bool has_saved; /* saved and saved_serial are on the disk */
	struct scsi_mode_values saved;
	char saved_serial[256];
	pthread_mutex_t lock; /* of request */
	struct deferred_request request;
};

/* Any thread, before the I/O thread starts. disk: this device. */
void dispatch_init(
	struct dispatch *dispatch, struct core *core, struct format *format,
	struct xcopy_disk *disk);

/* Any thread, after the I/O thread has ended. */
void dispatch_destroy(struct dispatch *dispatch);

/* Decides a command that was fetched. */
void dispatch_command(struct dispatch *dispatch, struct command *command);

/* An aborted command does not wait for LU info, which may take as long as configfs hangs. */
void dispatch_cancel_pending(struct dispatch *dispatch, struct command *command);

/* Decides the pending commands again; where the kernel has answered them already, they just end. */
void dispatch_pending(struct dispatch *dispatch);

/* The LU info has been set: the pending commands are decided. */
void dispatch_lu_info_set(struct dispatch *dispatch);

/* The main thread has done the deferred work. error: 0 or -errno. */
void dispatch_deferred_done(struct dispatch *dispatch, int error);

/* The work that IO_SIGNAL_DEFERRED asks for; to be cleared. Any thread. -ENOMEM: request is empty.
 */
int dispatch_read_deferred(struct dispatch *dispatch, struct deferred_request *request);
