/* SPDX-License-Identifier: Apache-2.0 */
/* See calls.h. */
#include "calls.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lock.h"
#include "request.h"

/* The longest of them sends this many requests one after the other that may each time out. */
#define REQUESTS 3u

static struct image_call *call_of(struct bound_call *bound)
{
	return (struct image_call *) ((char *) bound - offsetof(struct image_call, bound));
}

unsigned image_call_limit(const struct image *image)
{
	uint64_t timeout = image->op_timeout ? image->op_timeout : IMAGE_SHARED_TIMEOUT;
	uint64_t limit = LEASE_WAIT_NS / 1000000 + REQUESTS * timeout * 1000;

	assert(timeout);
	return limit < UINT32_MAX / 2 ? (unsigned) limit : UINT32_MAX / 2;
}

void image_cut(struct image *image)
{
	pthread_mutex_lock(&image->connection_lock);
	if (image->connected && image->lease.rados)
		lease_cut(&image->lease);
	else if (image->connected)
		kill_client(image->cluster.rados, &image->cluster.kill);
	pthread_mutex_unlock(&image->connection_lock);
	atomic_store(&image->cut, true);
}

bool image_is_cut(struct image *image)
{
	return atomic_load(&image->cut) || lease_is_killed(&image->lease);
}

void image_begin_disconnect(struct image *image)
{
	pthread_mutex_lock(&image->connection_lock);
	image->connected = false;
	pthread_mutex_unlock(&image->connection_lock);
}

static void call_work(struct bound_call *bound)
{
	struct image_call *call = call_of(bound);

	call->work(call);
}

static bool call_hurries(struct bound_call *bound)
{
	return image_is_cut(call_of(bound)->image);
}

static void call_leave(struct bound_call *bound)
{
	struct image_call *call = call_of(bound);
	char text[128];

	(void) snprintf(
		text, sizeof(text),
		"the cluster does not answer (%s); the image is reopened over a new connection",
		call->name);
	image_log(call->image, TCMU_LOG_WARNING, text);
	image_cut(call->image);
	image_fence(call->image);
}

static void note_end(struct image *image)
{
	pthread_mutex_lock(&image->lock);
	assert(image->calls > 0);
	image->calls--;
	pthread_cond_broadcast(&image->calls_ended);
	pthread_mutex_unlock(&image->lock);
}

static void call_ended(struct bound_call *bound)
{
	struct image_call *call = call_of(bound);
	struct image *image = call->image;

	free(call);
	note_end(image);
}

int image_call_run(struct image *image, struct image_call *args)
{
	struct image_call *call = malloc(sizeof(*call));
	int r;

	if (!call)
		return tcmu_refuse(&args->reason, -ENOMEM, "out of memory");
	*call = *args;
	call->image = image;
	call->bound = (struct bound_call){
		.limit_ms = image_call_limit(image),
		.work = call_work,
		.hurries = call_hurries,
		.leave = call_leave,
		.ended = call_ended};
	pthread_mutex_lock(&image->lock);
	image->calls++;
	pthread_mutex_unlock(&image->lock);
	if (!bound_run(&call->bound))
		return tcmu_refuse(
			&args->reason, -ESHUTDOWN, "the cluster does not answer: %s", args->name);
	args->ours = call->ours;
	args->tag = call->tag;
	args->reason = call->reason;
	r = call->result;
	free(call);
	note_end(image);
	return r;
}

void image_call_wait(struct image *image)
{
	pthread_mutex_lock(&image->lock);
	while (image->calls)
		pthread_cond_wait(&image->calls_ended, &image->lock);
	pthread_mutex_unlock(&image->lock);
}
