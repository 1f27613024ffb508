/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out the plans of the SCSI code with the operations that the handler has, and emulates the
 * others.
 *
 * A plan is a short program: each step submits one request to the handler and names the step that
 * follows when it has completed. Everything runs on the I/O thread, outside of the ring lock, but
 * for exec_prepare(), which touches the ring's pages and runs under it. It copies the data-out that
 * the daemon itself reads (data to compare, a block to repeat), so that no later step
 * depends on the ring being there.
 */
#pragma once

#include "io/command.h"
#include "io/submit.h"

/* Under the ring lock, once command->plan is set: makes the command ready to begin. False: no
 * memory; it has ended. */
bool exec_prepare(struct command *command);

/* Starts the plan of a command that was made ready. */
void exec_begin(struct command *command);

/* command->bounce: the block of data, repeated, as many as are written at once. data: a block, or
 * NULL for zeros. False: no memory. */
bool exec_fill_same(struct command *command, const uint8_t *data);
