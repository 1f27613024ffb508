/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which requests may go to the backend, as the owner of the loop says: all, those that only read,
 * or none; and when the last one has come back, so that the backend can be exchanged for another
 * one while the ring stays.
 *
 * Each order about the access has a number, so that a loop that was quiet under an earlier one is
 * not taken for quiet now. Everything runs on the device's thread but what the owner calls.
 */
#include "io/thread-private.h"

void access_take_orders(struct loop *loop, const struct loop_orders *orders)
{
	if (orders->backend_set) {
		loop->setup.backend = orders->backend;
		loop->info = orders->backend_info;
	}
	if (!orders->access_set)
		return;
	loop->access = orders->access;
	loop->lu.not_ready = orders->not_ready;
	loop->access_turn = orders->access_turn;
	loop->quiet_wanted = orders->access == LOOP_ACCESS_NONE;
}

bool access_allows(struct loop *loop, enum tcmu_io_op op)
{
	bool reads = op == TCMU_IO_READ || op == TCMU_IO_MAP;

	if (loop->access == LOOP_ACCESS_ALL || (loop->access == LOOP_ACCESS_READS && reads))
		return true;
	loop->setup.signal(loop->setup.owner, LOOP_WANTS_LOCK);
	return false;
}

void access_tell(struct loop *loop)
{
	if (!loop->quiet_wanted || atomic_load(&loop->in_flight))
		return;
	loop->quiet_wanted = false;
	atomic_store(&loop->quiet_turn, loop->access_turn);
	loop->setup.signal(loop->setup.owner, LOOP_QUIET);
}

/* ------- the owner's ------- */

bool loop_is_quiet(struct loop *loop)
{
	bool quiet;

	pthread_mutex_lock(&loop->orders_lock);
	quiet = atomic_load(&loop->quiet_turn) == loop->access_turns;
	pthread_mutex_unlock(&loop->orders_lock);
	return quiet;
}
