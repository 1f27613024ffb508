/* SPDX-License-Identifier: Apache-2.0 */
/* The ways of an engine that is built without io_uring. See aio-fixture.h. */
#include "aio-fixture.h"

#include <sys/epoll.h>

const struct aio_way aio_ways[] = {
	{"threads", AIO_THREADS, 0, EPOLLET},
	{"threads, level-triggered", AIO_THREADS, 0, 0},
};
const size_t aio_way_cnt = sizeof(aio_ways) / sizeof(aio_ways[0]);

void fail_submissions(unsigned cnt, int error)
{
	(void) cnt, (void) error;
}

unsigned count_pending_failures(void)
{
	return 0;
}

void disturb_reads(unsigned cnt)
{
	(void) cnt;
}
