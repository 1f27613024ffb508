/* SPDX-License-Identifier: Apache-2.0 */
/* See pieces.h. */
#include "pieces.h"

#include <assert.h>
#include <string.h>

uint64_t pieces_length(const struct iovec *iov, unsigned cnt)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < cnt; i++)
		length += iov[i].iov_len;
	return length;
}

size_t pieces_fill(const struct iovec *iov, unsigned cnt, const void *data, size_t length)
{
	size_t done = 0;

	for (unsigned i = 0; i < cnt && done < length; i++) {
		size_t n = iov[i].iov_len < length - done ? iov[i].iov_len : length - done;

		memcpy(iov[i].iov_base, (const char *) data + done, n);
		done += n;
	}
	return done;
}

void pieces_copy(const struct iovec *iov, unsigned cnt, void *data, size_t length)
{
	size_t done = 0;

	for (unsigned i = 0; i < cnt && done < length; i++) {
		size_t n = iov[i].iov_len < length - done ? iov[i].iov_len : length - done;

		memcpy((char *) data + done, iov[i].iov_base, n);
		done += n;
	}
	assert(done == length);
}
