/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uio device behind a ring: open, map, ring the doorbell, notice that the kernel has
 * unregistered it, let go.
 *
 * The unregister signal has several faces: EIO from read, EIO or EINVAL from write, POLLERR or
 * POLLHUP from poll. All come out of this file as -ENODEV or as true from tcmu_uio_revents_gone(),
 * so that callers know one word for it.
 *
 * The caller serialises calls on one device. Nothing here blocks on storage; unmapping may free up
 * to 1 GiB in the kernel and takes milliseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_uio {
	int fd;        /* -1: closed. O_NONBLOCK, O_CLOEXEC */
	void *base;    /* NULL: not mapped */
	size_t length; /* bytes */
	unsigned minor;
};

#define TCMU_UIO_INIT \
	{ \
		.fd = -1 \
	}

/* Opens /dev/uio<minor>, creating nothing. -EBUSY: somebody else has it open. -ENODEV:
 * unregistered. */
int tcmu_uio_open(struct tcmu_uio *uio, unsigned minor);

/* Maps map0 (its size from sysfs) shared, not inherited by children. -ENODEV: unregistered. */
int tcmu_uio_map(struct tcmu_uio *uio);

/* Tells the kernel that completions are there; it consumes them inside the call. -ENODEV:
 * unregistered. */
int tcmu_uio_doorbell(struct tcmu_uio *uio);

/* Reads the event count so that a level-triggered poll becomes quiet. 0; -EAGAIN: no event;
 * -ENODEV: unregistered. */
int tcmu_uio_ack(struct tcmu_uio *uio);

/* Whether the events of poll or epoll say that the device is unregistered (6.1: IN|ERR|HUP, 7.2:
 * ERR alone).
 */
bool tcmu_uio_revents_gone(uint32_t revents);

/* Atomically replaces the mapping by inaccessible memory at the same addresses: the kernel's
 * reference on the ring goes at once, a late system call on a buffer there ends in -EFAULT. The
 * addresses stay reserved until tcmu_uio_unmap(). */
int tcmu_uio_replace_inaccessible(struct tcmu_uio *uio);

/* Atomically replaces the mapping by private memory at the same addresses, zero but for the byte
 * ranges in keep, which are copied first (addresses inside the mapping; the caller sees to it that
 * they are not in use by the kernel). For backends that touch buffers themselves. -ENOMEM: nothing
 * changed. */
int tcmu_uio_replace_private(struct tcmu_uio *uio, const struct iovec *keep, size_t keep_cnt);

/* Unmaps what is at the addresses, the ring or its replacement. */
void tcmu_uio_unmap(struct tcmu_uio *uio);

/* Closes the descriptor. Unmap or replace first: some kernels free on the last close. Takes a
 * closed one. */
void tcmu_uio_close(struct tcmu_uio *uio);

#ifdef __cplusplus
}
#endif
