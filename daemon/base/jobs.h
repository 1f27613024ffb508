/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: calls that may never return (open, close, check_config and resize of a handler; configfs),
 * each on its own thread. And posts: functions that any thread sends to the event loop.
 *
 * A job that never returns costs one thread and delays nothing else. Its end comes back as a post.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/mpsc.h"

struct mailbox;

/* A function that the event loop runs. Embedded in the sender's object; in the mailbox at most once
 * at a time. */
struct post {
	void (*run)(struct post *post); /* may free the object, and may post it again */
	struct mpsc_node node;
};

/* Main thread. The event loop's mailbox. priority: as for sd_event_source_set_priority(). -errno:
 * no memory or descriptor. */
int mailbox_new(sd_event *event, int64_t priority, struct mailbox **mailbox);

/* Main thread, not from within a post. Posts that have not run are dropped. A job may end later;
 * its done is not called then. No other thread may post any more. Takes NULL. */
void mailbox_free(struct mailbox *mailbox);

/* Any thread; never blocks, never fails. The event loop runs posts in the order of this call. */
void mailbox_post(struct mailbox *mailbox, struct post *post);

/* Main thread. Runs work(job) on a new detached thread, then done(job) on the event loop. The
 * caller owns the job and keeps it until done. name: the thread's, cut at 15 characters. -EAGAIN:
 * no thread can be started; done is not called. */
struct job {
	void (*work)(struct job *job);
	void (*done)(struct job *job);
	struct mailbox *mailbox;
	struct post post;
};
int job_start(struct mailbox *mailbox, struct job *job, const char *name);
