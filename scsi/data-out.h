/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data-out, which is always copied: the initiator may change it while the command runs.
 */
#pragma once

#include <scsi/pieces.h>
#include <scsi/scsi.h>

/* Copies length bytes of data-out, from offset on. False: there are fewer; the buffer is then
 * unspecified. */
static inline bool scsi_data_out(
	const struct scsi_task *task, uint64_t offset, void *buffer, size_t length)
{
	if (offset > task->data_length || length > task->data_length - offset)
		return false;
	return scsi_pieces_copy(task->iov, task->iov_cnt, offset, buffer, length) == length;
}
