/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One uio device: descriptor and mapping. The caller owns both and serialises; nothing is shared
 * between devices.
 *
 * The kernel's late release waits for the last mapping and the last descriptor, therefore the
 * mapping is not inherited by children, the descriptor is closed on exec, and either replacement
 * drops the mapping's reference at once.
 */
#include <tcmu/uio.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tcmu/scan.h>

#include "kernel-file.h"

/* Converts the errors of open, mmap, read and write on an unregistered device to -ENODEV. */
static int uio_error(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
	case EINVAL:
	case EIO:
		return -ENODEV;
	default:
		return -error;
	}
}

int tcmu_uio_open(struct tcmu_uio *uio, unsigned minor)
{
	char path[TCMU_PATH_SIZE];
	int r;

	*uio = (struct tcmu_uio) TCMU_UIO_INIT;
	r = tcmu_path(path, "/dev/uio%u", minor);
	if (r < 0)
		return r;
	uio->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (uio->fd < 0)
		return uio_error(errno);
	uio->minor = minor;
	return 0;
}

int tcmu_uio_map(struct tcmu_uio *uio)
{
	size_t size;
	void *base;
	int r;

	assert(uio->fd >= 0 && !uio->base);
	r = tcmu_scan_map_size(uio->minor, &size);
	if (r < 0)
		return r;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, uio->fd, 0);
	if (base == MAP_FAILED)
		return uio_error(errno);
	if (madvise(base, size, MADV_DONTFORK) < 0) {
		r = -errno;
		munmap(base, size);
		return r;
	}
	uio->base = base;
	uio->length = size;
	return 0;
}

int tcmu_uio_doorbell(struct tcmu_uio *uio)
{
	const uint32_t value = 0;
	ssize_t n;

	do
		n = write(uio->fd, &value, sizeof(value));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return uio_error(errno);
	return n == sizeof(value) ? 0 : -EIO;
}

int tcmu_uio_ack(struct tcmu_uio *uio)
{
	uint32_t count;
	ssize_t n;

	do
		n = read(uio->fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return uio_error(errno);
	return n == sizeof(count) ? 0 : -EIO;
}

bool tcmu_uio_revents_gone(uint32_t revents)
{
	return (revents & (POLLERR | POLLHUP)) != 0;
}

int tcmu_uio_replace_inaccessible(struct tcmu_uio *uio)
{
	void *base;

	if (!uio->base)
		return -EINVAL;
	base = mmap(
		uio->base, uio->length, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	return base == MAP_FAILED ? -errno : 0;
}

/* Copies through the kernel: for a page that the kernel has reclaimed that fails with EFAULT,
 * where a plain access would raise SIGBUS. */
static void copy_range(uint8_t *to, uint8_t *from, size_t length)
{
	while (length > 0) {
		struct iovec local = {.iov_base = to, .iov_len = length};
		struct iovec remote = {.iov_base = from, .iov_len = length};
		ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

		if (n < 0 && errno != EFAULT) { /* a sandbox may forbid the call */
			memcpy(to, from, length);
			return;
		}
		if (n <= 0)
			return;
		assert((size_t) n <= length);
		to += n;
		from += n;
		length -= (size_t) n;
	}
}

static int copy_ranges(
	struct tcmu_uio *uio, uint8_t *fresh, const struct iovec *keep, size_t keep_cnt)
{
	for (size_t i = 0; i < keep_cnt; i++) {
		uintptr_t offset = (uintptr_t) keep[i].iov_base - (uintptr_t) uio->base;

		if (offset > uio->length || keep[i].iov_len > uio->length - offset)
			return -EINVAL;
		copy_range(fresh + offset, keep[i].iov_base, keep[i].iov_len);
	}
	return 0;
}

int tcmu_uio_replace_private(struct tcmu_uio *uio, const struct iovec *keep, size_t keep_cnt)
{
	void *fresh;
	int r;

	if (!uio->base)
		return -EINVAL;
	fresh = mmap(
		NULL, uio->length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fresh == MAP_FAILED)
		return -errno;
	r = copy_ranges(uio, fresh, keep, keep_cnt);
	if (r == 0 && madvise(fresh, uio->length, MADV_DONTFORK) < 0)
		r = -errno;
	if (r == 0 &&
	    mremap(fresh, uio->length, uio->length, MREMAP_MAYMOVE | MREMAP_FIXED, uio->base) ==
		    MAP_FAILED)
		r = -errno;
	if (r < 0)
		munmap(fresh, uio->length);
	return r;
}

void tcmu_uio_unmap(struct tcmu_uio *uio)
{
	if (!uio->base)
		return;
	assert(uio->length > 0);
	munmap(uio->base, uio->length);
	uio->base = NULL;
	uio->length = 0;
}

void tcmu_uio_close(struct tcmu_uio *uio)
{
	if (uio->fd < 0)
		return;
	close(uio->fd);
	uio->fd = -1;
}
