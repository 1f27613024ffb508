/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of libtcmu_common.h for iovecs. */
#include <assert.h>
#include <string.h>

#include <libtcmu_common.h>

off_t tcmu_iovec_compare(void *memory, struct iovec *iovec, size_t size)
{
	const uint8_t *expected = memory;
	size_t done = 0;

	for (; done < size; iovec++) {
		size_t length = iovec->iov_len < size - done ? iovec->iov_len : size - done;
		const uint8_t *found = iovec->iov_base;

		if (memcmp(expected + done, found, length) != 0)
			for (size_t i = 0; i < length; i++)
				if (expected[done + i] != found[i])
					return (off_t) (done + i);
		done += length;
	}
	return -1;
}

size_t tcmu_iovec_seek(struct iovec *iovec, size_t count)
{
	size_t used = 0;

	while (count) {
		if (count < iovec->iov_len) {
			iovec->iov_base = (uint8_t *) iovec->iov_base + count;
			iovec->iov_len -= count;
			break;
		}
		count -= iovec->iov_len;
		iovec->iov_base = (uint8_t *) iovec->iov_base + iovec->iov_len;
		iovec->iov_len = 0;
		iovec++;
		used++;
	}
	return used;
}

void tcmu_iovec_zero(struct iovec *iovec, size_t iov_cnt)
{
	for (size_t i = 0; i < iov_cnt; i++)
		memset(iovec[i].iov_base, 0, iovec[i].iov_len);
}

static bool is_zeroed(const uint8_t *bytes, size_t length)
{
	return !length || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

bool tcmu_iovec_zeroed(struct iovec *iovec, size_t iov_cnt)
{
	for (size_t i = 0; i < iov_cnt; i++)
		if (!is_zeroed(iovec[i].iov_base, iovec[i].iov_len))
			return false;
	return true;
}

size_t tcmu_iovec_length(struct iovec *iovec, size_t iov_cnt)
{
	size_t length = 0;

	for (size_t i = 0; i < iov_cnt; i++)
		length += iovec[i].iov_len;
	return length;
}

size_t tcmu_memcpy_into_iovec(struct iovec *iovec, size_t iov_cnt, void *src, size_t len)
{
	const uint8_t *from = src;
	size_t done = 0;

	for (size_t i = 0; i < iov_cnt && done < len; i++) {
		size_t length = iovec[i].iov_len < len - done ? iovec[i].iov_len : len - done;

		memcpy(iovec[i].iov_base, from + done, length);
		done += length;
	}
	assert(done <= len);
	return done;
}

size_t tcmu_memcpy_from_iovec(void *dest, size_t len, struct iovec *iovec, size_t iov_cnt)
{
	uint8_t *to = dest;
	size_t done = 0;

	for (size_t i = 0; i < iov_cnt && done < len; i++) {
		size_t length = iovec[i].iov_len < len - done ? iovec[i].iov_len : len - done;

		memcpy(to + done, iovec[i].iov_base, length);
		done += length;
	}
	assert(done <= len);
	return done;
}

void tcmu_cmd_seek(struct tcmulib_cmd *cmd, size_t count)
{
	size_t used = tcmu_iovec_seek(cmd->iovec, count);

	assert(used <= cmd->iov_cnt);
	cmd->iovec += used;
	cmd->iov_cnt -= used;
}
