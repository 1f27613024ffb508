/* SPDX-License-Identifier: Apache-2.0 */
/* See device.h. */
#include "device.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include <tcmur_cmd_handler.h>

/* The devices whose next open is a reopen: the handler has reported that their store is gone. */
struct lost_device {
	struct lost_device *next;
	char name[];
};

static pthread_mutex_t lost_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lost_device *lost_devices;

static const char *device_name(const struct tcmu_host *host, struct tcmu_host_device *host_device)
{
	return TCMU_HOST_HAS(host, name) ? host->name(host_device) : "";
}

static void lost_note(const char *name)
{
	size_t size = strlen(name) + 1;
	struct lost_device *lost = malloc(sizeof(*lost) + size);

	if (!lost)
		return;
	memcpy(lost->name, name, size);
	pthread_mutex_lock(&lost_lock);
	lost->next = lost_devices;
	lost_devices = lost;
	pthread_mutex_unlock(&lost_lock);
}

/* Whether the device was lost. It no longer is, then. */
static bool lost_take(const char *name)
{
	struct lost_device **at = &lost_devices, *lost;
	bool found = false;

	pthread_mutex_lock(&lost_lock);
	while ((lost = *at)) {
		if (strcmp(lost->name, name) == 0) {
			*at = lost->next;
			free(lost);
			found = true;
		} else {
			at = &lost->next;
		}
	}
	pthread_mutex_unlock(&lost_lock);
	return found;
}

/* ------- open, close, resize ------- */

static void device_free(struct tcmu_device *dev)
{
	assert(!dev->next);
	pthread_mutex_destroy(&dev->runner.state_lock);
	free(dev->zeros);
	free(dev);
}

static struct tcmu_device *device_new(
	const struct tcmur_handler *handler, const struct tcmu_config *config)
{
	struct tcmu_device *dev = calloc(1, sizeof(*dev));

	assert(config->block_size);
	if (!dev)
		return NULL;
	pthread_mutex_init(&dev->runner.state_lock, NULL);
	dev->runner.dev = dev;
	dev->runner.lock_state = TCMUR_DEV_LOCK_UNLOCKED;
	dev->zeros = calloc(1, config->block_size);
	dev->handler = handler;
	dev->block_size = config->block_size;
	dev->num_lbas = config->size / config->block_size;
	dev->write_cache_enabled = handler->flush != NULL;
	dev->write_protect_enabled = config->read_only;
	dev->unmap_enabled = handler->unmap != NULL;
	(void) snprintf(
		dev->config, sizeof(dev->config), "%s/%s", handler->subtype, config->target);
	if (!dev->zeros) {
		device_free(dev);
		return NULL;
	}
	return dev;
}

/* The block size and the number of blocks that the handler has set must fit to the kernel's device.
 */
static int device_check(
	const struct tcmu_device *dev, const struct tcmu_config *config, struct tcmu_reason *reason)
{
	if (dev->block_size != config->block_size) {
		(void) snprintf(
			reason->text, sizeof(reason->text),
			"the handler has blocks of %u bytes, the device of %u: create it with "
			"hw_block_size=%u",
			dev->block_size, config->block_size, dev->block_size);
		return -EINVAL;
	}
	if (dev->num_lbas < config->size / config->block_size) {
		(void) snprintf(
			reason->text, sizeof(reason->text),
			"the handler has %llu blocks, the device %llu: create it smaller",
			(unsigned long long) dev->num_lbas,
			(unsigned long long) (config->size / config->block_size));
		return -EINVAL;
	}
	return 0;
}

static uint64_t device_caps(const struct tcmu_device *dev)
{
	const struct tcmur_handler *handler = dev->handler;
	uint64_t caps = TCMU_IO_CAP(TCMU_IO_READ);

	if (handler->handle_cmd)
		caps |= TCMU_CAP_COMMANDS;
	if (handler->write && !dev->write_protect_enabled)
		caps |= TCMU_IO_CAP(TCMU_IO_WRITE);
	if (handler->flush)
		caps |= TCMU_IO_CAP(TCMU_IO_FLUSH);
	if (dev->write_protect_enabled)
		return caps;
	if (handler->unmap && dev->unmap_enabled)
		caps |= TCMU_IO_CAP(TCMU_IO_UNMAP);
	/* It may refuse a block that is not zero. The daemon has a way without it for zeros alone.
	 */
	if (handler->writesame)
		caps |= TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES);
	if (handler->caw)
		caps |= TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE);
	return caps;
}

bool device_falls_back(const struct tcmur_handler *handler)
{
	assert(handler->open);
	return handler->read || handler->write || handler->flush;
}

static uint32_t device_bytes(const struct tcmu_device *dev, uint32_t blocks)
{
	uint64_t bytes = (uint64_t) blocks * dev->block_size;

	return bytes > UINT32_MAX ? 0 : (uint32_t) bytes;
}

static void device_describe(const struct tcmu_device *dev, struct tcmu_backend_info *info)
{
	assert(dev->handler->read || dev->handler->handle_cmd);
	info->caps = device_caps(dev);
	info->volatile_cache = dev->write_cache_enabled && dev->handler->flush;
	info->fua = !info->volatile_cache;
	info->rotational = !dev->solid_state_media;
	info->thin = info->caps & TCMU_IO_CAP(TCMU_IO_UNMAP);
	info->maximum_transfer = device_bytes(dev, dev->max_xfer_len);
	info->optimal_transfer = device_bytes(dev, dev->opt_xcopy_rw_len);
	info->unmap_granularity = device_bytes(dev, dev->opt_unmap_gran);
	info->maximum_unmap = (uint64_t) dev->max_unmap_len * dev->block_size;
	/* Such handlers do not say what their store is: equal texts are the same. */
	if (strlen(dev->config) < sizeof(info->claim))
		memcpy(info->claim, dev->config, strlen(dev->config) + 1);
}

int device_open(
	const struct tcmur_handler *handler, const struct tcmu_config *config,
	const struct tcmu_host *host, struct tcmu_host_device *host_device,
	struct tcmu_backend_info *info, struct tcmu_device **opened, struct tcmu_reason *reason)
{
	struct tcmu_device *dev = device_new(handler, config);
	bool reopen = lost_take(device_name(host, host_device));
	int r;

	if (!dev) {
		(void) snprintf(reason->text, sizeof(reason->text), "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	if (handler->handle_cmd && !TCMU_HOST_KNOWS(host, io, cdb)) {
		(void) snprintf(
			reason->text, sizeof(reason->text),
			"the handler is for raw CDBs, which need a newer tcmud");
		device_free(dev);
		return -ENOTSUP;
	}
	dev->host = host;
	dev->host_device = host_device;
	log_enter(dev);
	r = handler->open(dev, reopen);
	log_leave();
	if (r != 0) {
		r = r < -1 ? r : -EIO;
		log_reason(reason, "the handler cannot open it", r);
		if (reopen) /* the daemon tries again */
			lost_note(device_name(host, host_device));
		device_free(dev);
		return r;
	}
	/* A handler that answers READ CAPACITY decides about the blocks. */
	r = handler->handle_cmd ? 0 : device_check(dev, config, reason);
	if (r < 0) {
		log_enter(dev);
		handler->close(dev);
		log_leave();
		device_free(dev);
		return r;
	}
	if (!handler->handle_cmd)
		dev->num_lbas = config->size / config->block_size;
	device_describe(dev, info);
	log_add(dev);
	atomic_store(&dev->opened, true);
	*opened = dev;
	return 0;
}

void device_close(struct tcmu_device *dev)
{
	assert(atomic_load(&dev->opened));
	log_enter(dev);
	dev->handler->close(dev);
	log_leave();
	log_remove(dev);
	device_free(dev);
}

int device_resize(
	struct tcmu_device *dev, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct tcmulib_cfg_info change = {
		.type = TCMULIB_CFG_DEV_SIZE, .data.dev_size = config->size};
	int r;

	assert(dev->handler->reconfig && config->block_size);
	log_enter(dev);
	r = dev->handler->reconfig(dev, &change);
	log_leave();
	if (r != 0) {
		r = r < 0 ? r : -EIO;
		log_reason(reason, "the handler cannot take the new size", r);
		return r;
	}
	dev->num_lbas = config->size / config->block_size;
	device_describe(dev, info);
	return 0;
}

/* ------- events ------- */

void device_report(struct tcmu_device *dev, enum tcmu_backend_event event, int64_t value)
{
	if (atomic_load(&dev->opened))
		dev->host->event(dev->host_device, event, value);
}

static void device_lose(struct tcmu_device *dev, int error)
{
	assert(error < 0);
	if (!atomic_load(&dev->opened))
		return;
	lost_note(device_name(dev->host, dev->host_device));
	device_report(dev, TCMU_BACKEND_FAILED, error);
}

void tcmu_notify_conn_lost(struct tcmu_device *dev)
{
	__atomic_fetch_add(&dev->runner.conn_lost_cnt, 1, __ATOMIC_RELAXED);
	device_lose(dev, -ENOTCONN);
}

void tcmu_notify_cmd_timed_out(struct tcmu_device *dev)
{
	__atomic_fetch_add(&dev->runner.cmd_timed_out_cnt, 1, __ATOMIC_RELAXED);
	device_lose(dev, -ETIMEDOUT);
}

void tcmu_notify_lock_lost(struct tcmu_device *dev)
{
	__atomic_fetch_add(&dev->runner.lock_lost_cnt, 1, __ATOMIC_RELAXED);
	device_report(dev, TCMU_BACKEND_LOCK_LOST, 0);
}

int tcmur_dev_update_size(struct tcmu_device *dev, uint64_t size)
{
	device_report(dev, TCMU_BACKEND_RESIZED, (int64_t) size);
	return 0;
}
