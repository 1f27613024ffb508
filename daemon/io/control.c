/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other threads tell the device's thread to do: put down under `orders_lock`, and taken by it
 * in its next turn (take_orders() in io/thread.c, access_take_orders() in io/permission.c), for
 * which it is woken.
 */
#include "io/thread-private.h"

#include "io/xcopy-peer.h"

static struct loop_orders *begin_orders(struct loop *loop)
{
	pthread_mutex_lock(&loop->orders_lock);
	return &loop->orders;
}

static void give_orders(struct loop *loop)
{
	atomic_store(&loop->has_orders, true);
	pthread_mutex_unlock(&loop->orders_lock);
	loop_leave_place(loop);
	loop_wake(loop);
}

void loop_drain(struct loop *loop, bool cancel)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->drain = true;
	orders->cancel |= cancel;
	give_orders(loop);
	peer_close(loop->peer);
}

void loop_sicken(struct loop *loop)
{
	begin_orders(loop)->sicken = true;
	give_orders(loop);
}

void loop_set_identity(struct loop *loop, const struct scsi_identity *identity)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->identity_set = true;
	orders->identity = *identity;
	give_orders(loop);
}

void loop_errand_done(struct loop *loop, int error)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->errand_done = true;
	orders->errand_error = error;
	give_orders(loop);
}

void loop_set_size(struct loop *loop, uint64_t size, const struct tcmu_backend_info *info)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->size_set = true;
	orders->size = size;
	orders->info = *info;
	give_orders(loop);
}

void loop_set_write_cache(struct loop *loop, bool on)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->write_cache_set = true;
	orders->write_cache = on;
	give_orders(loop);
}

void loop_set_limits(struct loop *loop, const struct throttle_limits *limits)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->limits_set = true;
	orders->limits = *limits;
	give_orders(loop);
}

void loop_set_access(struct loop *loop, enum loop_access access, uint8_t not_ready)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->access_set = true;
	orders->access = access;
	orders->not_ready = not_ready;
	orders->access_turn = ++loop->access_turns;
	give_orders(loop);
}

void loop_set_backend(struct loop *loop, void *backend, const struct tcmu_backend_info *info)
{
	struct loop_orders *orders = begin_orders(loop);

	orders->backend_set = true;
	orders->backend = backend;
	orders->backend_info = *info;
	give_orders(loop);
}
