/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command needs done that only the owner of the loop can do, for it waits for configfs or
 * for a disk: keeping mode parameters for good, changing the states of target port groups. One at a
 * time; who comes meanwhile is told BUSY.
 *
 * The command may leave (aborted, or the loop ends); the errand goes on without it. Everything runs
 * on the device's thread under the ring_lock, but for deferred_leave(), which runs outside of it,
 * and what the owner calls.
 */
#include "io/exec.h"

#include <errno.h>

void deferred_begin(
	struct command *waiter, const struct deferred_request *errand,
	const struct scsi_mode_values *before, bool planned)
{
	struct io_thread *thread = waiter->thread;

	if (thread->deferred_in_flight) {
		if (errand->kind == DEFERRED_SAVE)
			thread->lu.saved = *before;
		command_end(waiter, SCSI_BUSY, NULL);
		return;
	}
	thread->deferred_in_flight = true;
	thread->deferred_waiter = waiter;
	thread->deferred_before = *before;
	thread->deferred_planned = planned;
	pthread_mutex_lock(&thread->control_lock);
	thread->errand = *errand;
	pthread_mutex_unlock(&thread->control_lock);
	thread->setup.signal(thread->setup.owner, IO_SIGNAL_DEFERRED);
}

void deferred_leave(struct command *waiter)
{
	waiter->thread->deferred_waiter = NULL;
	command_end(waiter, SCSI_TASK_ABORTED, NULL);
}

/* What the command planned beside comes after it: turning a cache off is saved first and then
 * flushed. */
static void go_on(struct command *waiter, bool planned)
{
	if (!planned)
		command_end_good(waiter);
	else if (exec_prepare(waiter))
		command_list_add(&waiter->thread->ready, waiter);
}

void deferred_end(struct io_thread *thread, int error)
{
	struct command *waiter = thread->deferred_waiter;
	struct scsi_result result = {.status = SCSI_GOOD};

	if (!thread->deferred_in_flight)
		return;
	thread->deferred_in_flight = false;
	thread->deferred_waiter = NULL;
	if (thread->errand.kind == DEFERRED_SET_GROUPS)
		scsi_groups_end(error, &result);
	else if (error)
		scsi_save_failed(&thread->lu, &thread->deferred_before, &result);
	if (waiter && result.status == SCSI_GOOD)
		go_on(waiter, thread->deferred_planned);
	else if (waiter)
		command_end(waiter, result.status, &result.sense);
}

void io_thread_deferred(struct io_thread *thread, struct deferred_request *errand)
{
	pthread_mutex_lock(&thread->control_lock);
	*errand = thread->errand;
	pthread_mutex_unlock(&thread->control_lock);
}
