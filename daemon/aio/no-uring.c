/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of uring.c where liburing is missing or too old: io_uring is not there. */
#include "aio/uring.h"

#include <errno.h>

const struct aio_backend aio_uring_backend = {0};

int aio_uring_new(unsigned depth, const char *name, struct aio_uring **ret)
{
	(void) depth, (void) name, (void) ret;
	return -ENOSYS;
}

int aio_uring_fd(const struct aio_uring *uring)
{
	(void) uring;
	return -1;
}
