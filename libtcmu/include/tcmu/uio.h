/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uio device behind a command ring
 *
 * The functions open and map a uio device, ring its doorbell, and detect that the kernel has
 * unregistered it.
 *
 * The kernel signals that a device is unregistered in several ways: EIO from read, EIO or EINVAL
 * from write, POLLERR or POLLHUP from poll. The functions report all of them as -ENODEV, or as true
 * from tcmu_uio_revents_gone().
 *
 * The caller serialises the calls for one device. No call blocks on storage. Unmapping may free up
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

/* An open device. The caller owns it; the functions below set its members. */
struct tcmu_uio {
	int fd;        /* -1: closed. O_NONBLOCK, O_CLOEXEC */
	void *base;    /* NULL: not mapped */
	size_t length; /* bytes */
	unsigned minor;
};

/* A device that is closed and not mapped. */
#define TCMU_UIO_INIT \
	{ \
		.fd = -1 \
	}

/* Opens /dev/uio<minor>. The node is never created. *uio need not be initialised.
 *
 * Returns 0, or a negative errno and leaves *uio closed:
 * -EBUSY: another process has the device open.
 * -ENODEV: the device is unregistered. */
int tcmu_uio_open(struct tcmu_uio *uio, unsigned minor);

/* Maps the device's memory (map0) shared, readable and writable. Child processes do not inherit the
 * mapping. The length comes from sysfs.
 *
 * Returns 0 and sets base and length, or a negative errno:
 * -ENODEV: the device is unregistered.
 * -ENOMEM: the address space is exhausted. */
int tcmu_uio_map(struct tcmu_uio *uio);

/* Rings the doorbell: the kernel consumes the published completions within the call.
 *
 * Returns 0 or a negative errno:
 * -ENODEV: the device is unregistered. */
int tcmu_uio_doorbell(struct tcmu_uio *uio);

/* Reads the event count, after which poll no longer reports the same event.
 *
 * Returns 0 or a negative errno:
 * -EAGAIN: there was no event.
 * -ENODEV: the device is unregistered. */
int tcmu_uio_ack(struct tcmu_uio *uio);

/* Whether the events of poll or epoll mean that the device is unregistered. Linux 6.1 sets IN, ERR
 * and HUP; Linux 7.2 sets ERR alone.
 *
 * Returns true if it is unregistered. */
bool tcmu_uio_revents_gone(uint32_t revents);

/* Replaces the mapping atomically by inaccessible memory at the same addresses. The kernel's
 * reference on the ring is released at once, and a late system call on a buffer there fails with
 * EFAULT. The addresses stay reserved until tcmu_uio_unmap().
 *
 * Returns 0 or a negative errno:
 * -EINVAL: nothing is mapped.
 * -ENOMEM: nothing has changed. */
int tcmu_uio_replace_inaccessible(struct tcmu_uio *uio);

/* Replaces the mapping atomically by private memory at the same addresses, for backends that access
 * buffers in user space. The memory holds the bytes of the ranges in keep and is zero elsewhere.
 * The ranges are addresses inside the mapping that the kernel no longer uses. The addresses stay
 * reserved until tcmu_uio_unmap().
 *
 * Returns 0, or a negative errno and changes nothing:
 * -EINVAL: nothing is mapped, or a range is not inside the mapping.
 * -ENOMEM: there is not enough memory. */
int tcmu_uio_replace_private(struct tcmu_uio *uio, const struct iovec *keep, size_t keep_cnt);

/* Unmaps the ring or its replacement. Does nothing if nothing is mapped. */
void tcmu_uio_unmap(struct tcmu_uio *uio);

/* Closes the descriptor. Unmap or replace the mapping first: some kernels free the device on the
 * last close. Does nothing if the device is closed. */
void tcmu_uio_close(struct tcmu_uio *uio);

#ifdef __cplusplus
}
#endif
