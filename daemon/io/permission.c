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

void permission_take_requests(struct io_thread *thread, const struct control_requests *requests)
{
	if (requests->backend_set) {
		thread->setup.backend = requests->backend;
		thread->info = requests->backend_info;
	}
	if (!requests->permission_set)
		return;
	thread->access = requests->access;
	thread->lu.not_ready = requests->not_ready;
	thread->permission_generation = requests->permission_generation;
	thread->idle_wanted = requests->access == IO_PERMIT_NONE;
}

bool permission_allows(struct io_thread *thread, enum tcmu_io_op op)
{
	bool reads = op == TCMU_IO_READ || op == TCMU_IO_MAP;

	if (thread->access == IO_PERMIT_ALL || (thread->access == IO_PERMIT_READS && reads))
		return true;
	thread->setup.signal(thread->setup.owner, IO_SIGNAL_WANTS_LOCK);
	return false;
}

void permission_report(struct io_thread *thread)
{
	if (!thread->idle_wanted || atomic_load(&thread->in_flight))
		return;
	thread->idle_wanted = false;
	atomic_store(&thread->idle_generation, thread->permission_generation);
	thread->setup.signal(thread->setup.owner, IO_SIGNAL_IDLE);
}

/* ------- the owner's ------- */

bool io_thread_is_idle(struct io_thread *thread)
{
	bool quiet;

	pthread_mutex_lock(&thread->control_lock);
	quiet = atomic_load(&thread->idle_generation) == thread->permission_generations;
	pthread_mutex_unlock(&thread->control_lock);
	return quiet;
}
