/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to a backend of the file handler. The device's I/O thread alone uses it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

struct file_backend;

/* A request, at io->priv. */
struct file_request {
	struct tcmu_aio aio;
	struct tcmu_io *io;
	struct file_backend *backend;
	struct file_request *next; /* in a queue of the backend */
	uint64_t done;             /* bytes that are transferred */
	struct iovec *iov;         /* the buffers that remain */
	unsigned iov_cnt;
	bool alone;      /* no other read or write may be in flight with it */
	bool not_direct; /* the kernel has refused direct I/O for it */
	bool past_end;   /* the rest is past the end of the file */
	bool cancelled;
};
