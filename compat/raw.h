/* SPDX-License-Identifier: Apache-2.0 */
/* SCSI commands as they came, for handlers with handle_cmd: which data they move, and how they end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

/* The request is about to be given to the handler: its room for data-in is cleared, so that no
 * bytes of earlier commands reach the initiator. */
void raw_prepare(struct tcmu_io *io);

/* Sets the answer of the request. status: TCMU_STS_; sense: the handler's, with
 * TCMU_STS_PASSTHROUGH_ERR. Returns the error to complete it with. falls_back: what the handler
 * leaves is the daemon's. */
int raw_answer(struct tcmu_io *io, int status, const uint8_t *sense, bool falls_back);
