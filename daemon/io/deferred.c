/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command needs done that only the owner of the loop can do, for it waits for configfs or
 * for a disk: keeping mode parameters for good, changing the states of target port groups. One at a
 * time; who comes meanwhile is told BUSY.
 *
 * The command may leave (aborted, or the loop ends); the errand goes on without it. Everything runs
 * on the device's thread under the gate, but for errand_leave(), which runs outside of it, and what
 * the owner calls.
 */
#include "io/exec.h"

#include <errno.h>

void errand_begin(
	struct command *asker, const struct loop_errand *errand,
	const struct scsi_mode_values *before, bool planned)
{
	struct loop *loop = asker->loop;

	if (loop->errand_under_way) {
		if (errand->kind == LOOP_ERRAND_SAVE)
			loop->lu.saved = *before;
		io_end(asker, SCSI_BUSY, NULL);
		return;
	}
	loop->errand_under_way = true;
	loop->errand_asker = asker;
	loop->errand_before = *before;
	loop->errand_planned = planned;
	pthread_mutex_lock(&loop->orders_lock);
	loop->errand = *errand;
	pthread_mutex_unlock(&loop->orders_lock);
	loop->setup.signal(loop->setup.owner, LOOP_ERRAND);
}

void errand_leave(struct command *asker)
{
	asker->loop->errand_asker = NULL;
	io_end(asker, SCSI_TASK_ABORTED, NULL);
}

/* What the command planned beside comes after it: turning a cache off is saved first and then
 * flushed. */
static void go_on(struct command *asker, bool planned)
{
	if (!planned)
		io_end_good(asker);
	else if (plan_prepare(asker))
		command_list_add(&asker->loop->ready, asker);
}

void errand_end(struct loop *loop, int error)
{
	struct command *asker = loop->errand_asker;
	struct scsi_result result = {.status = SCSI_GOOD};

	if (!loop->errand_under_way)
		return;
	loop->errand_under_way = false;
	loop->errand_asker = NULL;
	if (loop->errand.kind == LOOP_ERRAND_SET_GROUPS)
		scsi_groups_end(error, &result);
	else if (error)
		scsi_save_failed(&loop->lu, &loop->errand_before, &result);
	if (asker && result.status == SCSI_GOOD)
		go_on(asker, loop->errand_planned);
	else if (asker)
		io_end(asker, result.status, &result.sense);
}

void loop_errand(struct loop *loop, struct loop_errand *errand)
{
	pthread_mutex_lock(&loop->orders_lock);
	*errand = loop->errand;
	pthread_mutex_unlock(&loop->orders_lock);
}
