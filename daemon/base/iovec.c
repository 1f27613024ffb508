/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iovec.h"

#include <assert.h>

unsigned iovec_join(struct iovec *iov, unsigned cnt)
{
	unsigned joined = 0;

	for (unsigned i = 1; i < cnt; i++) {
		struct iovec *last = &iov[joined];

		assert(joined < i);
		if ((char *) last->iov_base + last->iov_len == iov[i].iov_base)
			last->iov_len += iov[i].iov_len;
		else
			iov[++joined] = iov[i];
	}
	return cnt ? joined + 1 : 0;
}
