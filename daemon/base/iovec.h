/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of a buffer. Pure functions; any thread. */
#pragma once

#include <sys/uio.h>

/* Joins pieces that are neighbours in memory. Returns how many are left. Any thread. */
unsigned iovec_join(struct iovec *iov, unsigned cnt);
