/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that may take for ever (open, close, check_config, resize of a handler; configfs), each on
 * its own thread, and mail from any thread to the main loop.
 *
 * A job that never returns costs one thread and delays nobody else. Results come back as posts:
 * functions that the main loop runs.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/mpsc.h"

struct mailbox;

/* A function to be run on the main loop, embedded in the sender's object, posted at most once at a
 * time. */
struct post {
	void (*run)(struct post *post); /* may free the object, and may post it again */
	struct mpsc_node node;
};

/* The main loop's mailbox. priority: as sd_event_source_set_priority(). */
int mailbox_new(sd_event *event, int64_t priority, struct mailbox **mailbox);

/* On the main loop, not from within a post. A post that has not run by then never runs; a job that
 * still runs may end later, without its done. Nobody else may post any more. Takes NULL. */
void mailbox_free(struct mailbox *mailbox);

/* Any thread; never blocks, never fails. Posts run on the main loop in the order they were sent. */
void mailbox_post(struct mailbox *mailbox, struct post *post);

/* Runs work(job) on a new detached thread, then done(job) on the main loop. The caller owns job and
 * keeps it until done. name: the thread's, at most 15 characters are used. -EAGAIN: no thread could
 * be made; done is not called. */
struct job {
	void (*work)(struct job *job);
	void (*done)(struct job *job);
	struct mailbox *mailbox;
	struct post post;
};
int job_start(struct mailbox *mailbox, struct job *job, const char *name);
