/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open backend of the file handler.
 *
 * file_open() makes a backend. Afterwards `size` belongs to the thread that calls file_resize(),
 * the members under "I/O thread" to the device's I/O thread, and the others do not change until
 * file_close().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include "queue.h"

struct file_exclusive;

struct file_backend {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	int fd;          /* READ, WRITE; with O_DIRECT if direct=1 */
	int sync_fd;     /* FLUSH only, so that each failed write-back is reported to FLUSH */
	int buffered_fd; /* READ, WRITE that do not fit direct I/O; -1: no direct I/O */
	int zero_fd; /* /dev/zero, for reads past the end of a regular file; -1: a block device */
	struct file_exclusive *exclusive; /* NULL: a regular file, or read-only */
	bool block;
	bool memory;         /* the file is in memory */
	bool discard;        /* UNMAP, and WRITE_ZEROES with MAY_UNMAP, free space */
	uint32_t block_size; /* bytes, of the device */
	uint32_t
		granularity; /* bytes: alignment of the ranges of calls other than READ and WRITE */
	uint32_t offset_align; /* direct I/O: alignment of offsets and lengths of buffers */
	uint32_t memory_align; /* direct I/O: alignment of addresses of buffers */
	struct tcmu_backend_info info;
	uint64_t size; /* bytes, of the device */

	/* I/O thread */
	bool failed;               /* acknowledged data may be lost: nothing is written any more */
	bool no_punch;             /* learned: WRITE_ZEROES cannot free space */
	bool no_zeroing;           /* learned: WRITE_ZEROES cannot keep space */
	bool alone;                /* a buffered request beside direct I/O is in flight */
	unsigned shared;           /* other reads and writes in flight */
	struct file_queue waiting; /* reads and writes that wait for `alone` or `shared` */
	struct file_queue flush_waiting; /* for the next fdatasync() */
	struct file_queue flush_running; /* for the one in flight, which the first has started */
};
