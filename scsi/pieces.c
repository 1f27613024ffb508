/* SPDX-License-Identifier: Apache-2.0 */
/* See scsi/pieces.h. */
#include <scsi/pieces.h>

#include <string.h>

uint64_t scsi_pieces_length(const struct iovec *iov, unsigned cnt)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < cnt; i++)
		length += iov[i].iov_len;
	return length;
}

size_t scsi_pieces_fill(const struct iovec *iov, unsigned cnt, const void *data, size_t length)
{
	size_t done = 0;

	for (unsigned i = 0; i < cnt && done < length; i++) {
		size_t n = iov[i].iov_len < length - done ? iov[i].iov_len : length - done;

		memcpy(iov[i].iov_base, (const char *) data + done, n);
		done += n;
	}
	return done;
}

size_t scsi_pieces_copy(
	const struct iovec *iov, unsigned cnt, uint64_t offset, void *data, size_t length)
{
	size_t done = 0;

	for (unsigned i = 0; i < cnt && done < length; i++) {
		size_t n;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		n = iov[i].iov_len - offset;
		if (n > length - done)
			n = length - done;
		memcpy((char *) data + done, (const char *) iov[i].iov_base + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

void scsi_pieces_zero(const struct iovec *iov, unsigned cnt, size_t skip)
{
	for (unsigned i = 0; i < cnt; i++) {
		size_t from = skip < iov[i].iov_len ? skip : iov[i].iov_len;

		memset((char *) iov[i].iov_base + from, 0, iov[i].iov_len - from);
		skip -= from;
	}
}
