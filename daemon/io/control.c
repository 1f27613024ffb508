/* SPDX-License-Identifier: Apache-2.0 */
/* See io/control.h. */
#include "io/control.h"

#include <assert.h>

void control_init(struct control *control, struct wait *wait)
{
	assert(wait && !control->request.changes);
	control->wait = wait;
	pthread_mutex_init(&control->lock, NULL);
}

void control_destroy(struct control *control)
{
	assert(control->wait);
	pthread_mutex_destroy(&control->lock);
}

/* Under the lock. */
static void control_merge(struct control *control, const struct control_request *request)
{
	struct control_request *into = &control->request;

	into->changes |= request->changes;
	if (request->changes & CONTROL_PERMISSION) {
		into->permission = request->permission;
		into->not_ready = request->not_ready;
		into->generation = ++control->permission_generation;
	}
	if (request->changes & CONTROL_BACKEND)
		into->backend = request->backend;
	if (request->changes & (CONTROL_BACKEND | CONTROL_SIZE))
		into->info = request->info;
	if (request->changes & CONTROL_SIZE)
		into->size = request->size;
	if (request->changes & CONTROL_WRITE_CACHE)
		into->write_cache = request->write_cache;
	if (request->changes & CONTROL_LU_INFO)
		into->lu_info = request->lu_info;
	if (request->changes & CONTROL_LIMITS)
		into->limits = request->limits;
	if (request->changes & CONTROL_DEFERRED_DONE)
		into->deferred_error = request->deferred_error;
}

void control_post(struct control *control, const struct control_request *request)
{
	assert(request->changes);
	assert(!(request->changes & CONTROL_CANCEL) || (request->changes & CONTROL_DRAIN));
	pthread_mutex_lock(&control->lock);
	control_merge(control, request);
	atomic_store(&control->pending, true);
	pthread_mutex_unlock(&control->lock);
	wait_interrupt(control->wait);
}

bool control_take(struct control *control, struct control_request *request)
{
	if (!atomic_load(&control->pending) || !atomic_exchange(&control->pending, false))
		return false;
	pthread_mutex_lock(&control->lock);
	*request = control->request;
	control->request.changes = 0;
	pthread_mutex_unlock(&control->lock);
	assert(!(request->changes & ~(2 * CONTROL_LAST - 1)));
	return request->changes;
}

unsigned control_permission_generation(struct control *control)
{
	unsigned generation;

	pthread_mutex_lock(&control->lock);
	generation = control->permission_generation;
	pthread_mutex_unlock(&control->lock);
	return generation;
}
