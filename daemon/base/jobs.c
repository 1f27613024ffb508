/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox is a queue that any thread pushes to and that the main loop takes as a whole. The
 * thread that finds it empty when pushing rings the eventfd; the main loop silences the eventfd
 * before it takes the queue, so that a post is either taken or rings again.
 *
 * Every job that runs holds a reference: its thread may still ring when the main loop has already
 * run the post.
 */
#include "base/jobs.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"

/* Event sources of a higher priority are served after so many posts. */
#define POSTS_AT_ONCE 32
#define NAME_SIZE     16

struct mailbox {
	atomic_uint references;
	struct mpsc pushed; /* posts */
	int fd;             /* eventfd */
	sd_event_source *source;
	struct mpsc_node *taken; /* posts, the oldest first; the main loop's */
};

struct job_thread {
	struct job *job;
	char name[NAME_SIZE];
};

static void mailbox_ring(struct mailbox *mailbox)
{
	uint64_t one = 1;
	ssize_t r = write(mailbox->fd, &one, sizeof(one));

	/* The counter cannot be full: each of 2^64 - 2 posts would have found the list empty. */
	assert(r == (ssize_t) sizeof(one));
}

static void mailbox_silence(struct mailbox *mailbox)
{
	uint64_t count;
	ssize_t r = read(mailbox->fd, &count, sizeof(count));

	assert(r == (ssize_t) sizeof(count) || errno == EAGAIN);
}

static int mailbox_run_posts(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct mailbox *mailbox = userdata;

	(void) source;
	(void) fd;
	(void) revents;
	if (!mailbox->taken) {
		mailbox_silence(mailbox);
		mailbox->taken = mpsc_take_all(&mailbox->pushed);
	}
	for (unsigned i = 0; i < POSTS_AT_ONCE && mailbox->taken; i++) {
		struct post *post = container_of(mailbox->taken, struct post, node);

		mailbox->taken = mailbox->taken->next;
		post->run(post);
	}
	if (mailbox->taken)
		mailbox_ring(mailbox);
	return 0;
}

static void mailbox_unref(struct mailbox *mailbox)
{
	if (atomic_fetch_sub_explicit(&mailbox->references, 1, memory_order_acq_rel) != 1)
		return;
	if (mailbox->fd >= 0)
		close(mailbox->fd);
	free(mailbox);
}

int mailbox_new(sd_event *event, int64_t priority, struct mailbox **ret)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
	int r;

	if (!mailbox)
		return -ENOMEM;
	atomic_init(&mailbox->references, 1);
	mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = mailbox->fd < 0 ? -errno : 0;
	if (r >= 0)
		r = sd_event_add_io(
			event, &mailbox->source, mailbox->fd, EPOLLIN, mailbox_run_posts, mailbox);
	if (r >= 0)
		r = sd_event_source_set_priority(mailbox->source, priority);
	if (r < 0) {
		mailbox_free(mailbox);
		return r;
	}
	*ret = mailbox;
	return 0;
}

void mailbox_free(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	mailbox->source = sd_event_source_disable_unref(mailbox->source);
	mailbox_unref(mailbox);
}

void mailbox_post(struct mailbox *mailbox, struct post *post)
{
	assert(post->run);
	if (mpsc_push(&mailbox->pushed, &post->node))
		mailbox_ring(mailbox);
}

static void job_ended(struct post *post)
{
	struct job *job = container_of(post, struct job, post);

	job->done(job);
}

static void *job_main(void *arg)
{
	struct job_thread *self = arg;
	struct job *job = self->job;
	struct mailbox *mailbox = job->mailbox;

	thread_set_name(self->name);
	thread_set_io_flusher(); /* for the job's flushes, and for the threads that a handler starts
				    here */
	free(self);
	job->work(job);
	/* From here on the job is the main loop's. */
	mailbox_post(mailbox, &job->post);
	mailbox_unref(mailbox);
	return NULL;
}

int job_start(struct mailbox *mailbox, struct job *job, const char *name)
{
	struct job_thread *self = malloc(sizeof(*self));
	int r;

	if (!self)
		return -EAGAIN;
	self->job = job;
	(void) snprintf(self->name, sizeof(self->name), "%s", name);
	job->mailbox = mailbox;
	job->post.run = job_ended;
	atomic_fetch_add_explicit(&mailbox->references, 1, memory_order_relaxed);
	r = thread_start(NULL, job_main, self);
	if (r < 0) {
		mailbox_unref(mailbox);
		free(self);
		return -EAGAIN;
	}
	return 0;
}
