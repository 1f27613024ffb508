/* SPDX-License-Identifier: Apache-2.0 */
/* See device.h. */
#include "device.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <tcmu/configfs.h>
#include <unistd.h>

/* ------- the thread ------- */

static void device_report(struct device *device, enum device_state state, int result)
{
	pthread_mutex_lock(&device->ring_lock.mutex);
	assert(device->state < state);
	device->state = state;
	if (state == DEVICE_SERVED)
		device->result = result;
	pthread_mutex_unlock(&device->ring_lock.mutex);
	(void) eventfd_write(device->wake_fd, 1);
}

/* A device that was found may be one whose creation still waits for its reply. */
static void device_adopt(struct device *device)
{
	uint32_t id;

	if (device->added_id || tcmu_configfs_enabled(&device->at.name) != 0 ||
	    tcmu_configfs_device_id(&device->at.name, &id) != 0)
		return;
	pthread_mutex_lock(&device->ring_lock.mutex);
	device->added_id = id;
	pthread_mutex_unlock(&device->ring_lock.mutex);
}

/* Not where the device is being deleted meanwhile: the kernel would wait for the unmapping. */
static int device_map(struct device *device)
{
	int r = -ECANCELED;

	pthread_mutex_lock(&device->ring_lock.mutex);
	if (!device->stopping && !device->ring_lock.revoked)
		r = tcmu_uio_open(&device->uio, device->at.minor);
	if (r == 0)
		r = tcmu_uio_map(&device->uio);
	if (r == 0)
		r = tcmu_ring_attach(&device->ring, device->uio.base, device->uio.length);
	pthread_mutex_unlock(&device->ring_lock.mutex);
	return r;
}

static void device_unmap(struct device *device)
{
	pthread_mutex_lock(&device->ring_lock.mutex);
	if (!device->ring_lock.revoked) {
		tcmu_uio_unmap(&device->uio);
		tcmu_uio_close(&device->uio);
		device->ring_lock.revoked = true;
	}
	pthread_mutex_unlock(&device->ring_lock.mutex);
}

/* A device that was found without a directory is being deleted. Its event comes, or the server sees
 * that it does not. */
static void device_await_removal(const struct device *device)
{
	struct pollfd stop = {.fd = device->stop_fd, .events = POLLIN};

	(void) poll(&stop, 1, 2 * DEVICE_LOST_MS);
}

static int device_open(struct device *device, void **store)
{
	const struct tcmu_server_functions *functions = device->functions;
	int r;

	device_adopt(device);
	r = tcmu_scsi_open(&device->at.name, &functions->store, NULL, &device->scsi);
	if (r == -ENOENT && !device->added_id)
		device_await_removal(device);
	if (r < 0)
		return r;
	device_report(device, DEVICE_OPENING, 0);
	r = functions->open(
		device->userdata, &device->at.name, tcmu_scsi_size(device->scsi), store);
	if (r < 0)
		return r;
	device->scsi->store = *store;
	r = device_map(device);
	if (r < 0) {
		device_unmap(device);
		functions->close(*store);
	}
	return r;
}

/* Until the device is gone or is to stop. */
static void device_serve(struct device *device)
{
	struct pollfd fds[] = {
		{.fd = device->stop_fd, .events = POLLIN},
		{.fd = device->uio.fd, .events = POLLIN},
	};
	int r;

	do {
		r = serve_ring(device->scsi, &device->ring, &device->uio, &device->ring_lock);
		if (r < 0)
			return;
		do
			r = poll(fds, 2, -1);
		while (r < 0 && errno == EINTR);
		if (fds[0].revents || tcmu_uio_revents_gone((uint32_t) fds[1].revents))
			return;
		r = tcmu_uio_ack(&device->uio);
	} while (r == 0 || r == -EAGAIN);
}

static void *device_thread(void *argument)
{
	struct device *device = argument;
	void *store = NULL;
	int r = device_open(device, &store);

	device_report(device, DEVICE_SERVED, r);
	if (r == 0) {
		device_serve(device);
		device_unmap(device);
		device->functions->close(store);
	}
	device_report(device, DEVICE_ENDED, 0);
	return NULL;
}

/* ------- for the server ------- */

struct device *device_start(
	const struct tcmu_scan_entry *at, uint32_t added_id,
	const struct tcmu_server_functions *functions, void *userdata, int wake_fd)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->at = *at;
	device->functions = functions;
	device->userdata = userdata;
	device->wake_fd = wake_fd;
	device->added_id = added_id;
	device->state = DEVICE_ASKS;
	device->uio = (struct tcmu_uio) TCMU_UIO_INIT;
	device->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void) pthread_mutex_init(&device->ring_lock.mutex, NULL);
	if (device->stop_fd >= 0 &&
	    pthread_create(&device->thread, NULL, device_thread, device) == 0)
		return device;
	if (device->stop_fd >= 0)
		(void) close(device->stop_fd);
	(void) pthread_mutex_destroy(&device->ring_lock.mutex);
	free(device);
	return NULL;
}

void device_stop(struct device *device)
{
	pthread_mutex_lock(&device->ring_lock.mutex);
	device->stopping = true;
	pthread_mutex_unlock(&device->ring_lock.mutex);
	(void) eventfd_write(device->stop_fd, 1);
}

enum device_state device_state(struct device *device, int *result, uint32_t *added_id)
{
	enum device_state state;

	pthread_mutex_lock(&device->ring_lock.mutex);
	state = device->state;
	*result = device->result;
	*added_id = device->added_id;
	pthread_mutex_unlock(&device->ring_lock.mutex);
	return state;
}

/* A lack of memory for the copy takes the bytes away instead: a store that touches them ends the
 * process, so they are replaced by what a system call refuses, only if nothing else is possible. */
void device_detach(struct device *device)
{
	pthread_mutex_lock(&device->ring_lock.mutex);
	device->stopping = true;
	if (!device->ring_lock.revoked && device->uio.base) {
		if (tcmu_uio_replace_private(
			    &device->uio, device->scsi->iov, device->ring_lock.iov_cnt) < 0)
			(void) tcmu_uio_replace_inaccessible(&device->uio);
		tcmu_uio_close(&device->uio);
	}
	device->ring_lock.revoked = true;
	pthread_mutex_unlock(&device->ring_lock.mutex);
	(void) eventfd_write(device->stop_fd, 1);
}

void device_free(struct device *device)
{
	(void) pthread_join(device->thread, NULL);
	assert(device->state == DEVICE_ENDED);
	tcmu_uio_unmap(&device->uio);
	tcmu_uio_close(&device->uio);
	tcmu_scsi_free(device->scsi);
	(void) close(device->stop_fd);
	(void) pthread_mutex_destroy(&device->ring_lock.mutex);
	free(device);
}
