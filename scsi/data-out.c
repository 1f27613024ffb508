/* SPDX-License-Identifier: Apache-2.0 */
/* See data-out.h. */
#include "data-out.h"

#include <string.h>

bool scsi_data_out(const struct scsi_task *task, uint64_t offset, void *buffer, size_t length)
{
	uint8_t *to = buffer;

	if (offset > task->data_length || length > task->data_length - offset)
		return false;
	for (unsigned i = 0; i < task->iov_cnt && length; i++) {
		const struct iovec *iov = &task->iov[i];
		size_t n;

		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		n = iov->iov_len - offset < length ? iov->iov_len - offset : length;
		memcpy(to, (const uint8_t *) iov->iov_base + offset, n);
		to += n;
		length -= n;
		offset = 0;
	}
	return length == 0;
}
