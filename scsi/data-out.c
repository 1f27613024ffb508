/* SPDX-License-Identifier: Apache-2.0 */
/* See data-out.h. */
#include "data-out.h"

#include <scsi/pieces.h>

bool scsi_data_out(const struct scsi_task *task, uint64_t offset, void *buffer, size_t length)
{
	if (offset > task->data_length || length > task->data_length - offset)
		return false;
	return scsi_pieces_copy(task->iov, task->iov_cnt, offset, buffer, length) == length;
}
