/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other threads tell the device's thread to do: put down under `control_lock`, and taken by it
 * in its next turn (take_orders() in io/thread.c, permission_take_requests() in io/permission.c),
 * for which it is woken.
 */
#include "io/thread-private.h"

#include "io/xcopy-peer.h"

static struct control_requests *begin_orders(struct io_thread *thread)
{
	pthread_mutex_lock(&thread->control_lock);
	return &thread->control;
}

static void give_orders(struct io_thread *thread)
{
	atomic_store(&thread->has_control, true);
	pthread_mutex_unlock(&thread->control_lock);
	io_thread_leave_cpu(thread);
	io_thread_wake(thread);
}

void io_thread_drain(struct io_thread *thread, bool cancel)
{
	struct control_requests *requests = begin_orders(thread);

	requests->drain = true;
	requests->cancel |= cancel;
	give_orders(thread);
	xcopy_peer_close(thread->peer);
}

void io_thread_fail(struct io_thread *thread)
{
	begin_orders(thread)->fail = true;
	give_orders(thread);
}

void io_thread_set_lu_info(struct io_thread *thread, const struct scsi_lu_info *identity)
{
	struct control_requests *requests = begin_orders(thread);

	requests->lu_info_set = true;
	requests->identity = *identity;
	give_orders(thread);
}

void io_thread_deferred_done(struct io_thread *thread, int error)
{
	struct control_requests *requests = begin_orders(thread);

	requests->deferred_done = true;
	requests->deferred_error = error;
	give_orders(thread);
}

void io_thread_set_size(
	struct io_thread *thread, uint64_t size, const struct tcmu_backend_info *info)
{
	struct control_requests *requests = begin_orders(thread);

	requests->size_set = true;
	requests->size = size;
	requests->info = *info;
	give_orders(thread);
}

void io_thread_set_write_cache(struct io_thread *thread, bool on)
{
	struct control_requests *requests = begin_orders(thread);

	requests->write_cache_set = true;
	requests->write_cache = on;
	give_orders(thread);
}

void io_thread_set_limits(struct io_thread *thread, const struct rate_limits *limits)
{
	struct control_requests *requests = begin_orders(thread);

	requests->limits_set = true;
	requests->limits = *limits;
	give_orders(thread);
}

void io_thread_set_permission(
	struct io_thread *thread, enum io_permission access, uint8_t not_ready)
{
	struct control_requests *requests = begin_orders(thread);

	requests->permission_set = true;
	requests->access = access;
	requests->not_ready = not_ready;
	requests->permission_generation = ++thread->permission_generations;
	give_orders(thread);
}

void io_thread_set_backend(
	struct io_thread *thread, void *backend, const struct tcmu_backend_info *info)
{
	struct control_requests *requests = begin_orders(thread);

	requests->backend_set = true;
	requests->backend = backend;
	requests->backend_info = *info;
	give_orders(thread);
}

/* IO_SIGNAL_RING_IDLE is not signalled yet. */
void io_thread_reattach(struct io_thread *thread)
{
	(void) thread;
}
