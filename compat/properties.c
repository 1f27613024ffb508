/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of libtcmu_common.h and tcmur_device.h that read and set what a device is. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "device.h"
#include <libtcmu_common.h>

#define PROPERTY(type, name) \
	type tcmu_dev_get_##name(struct tcmu_device *dev) \
	{ \
		return dev->name; \
	} \
	void tcmu_dev_set_##name(struct tcmu_device *dev, type value) \
	{ \
		dev->name = value; \
	}

PROPERTY(uint64_t, num_lbas)
PROPERTY(uint32_t, block_size)
PROPERTY(uint32_t, max_xfer_len)
PROPERTY(uint32_t, opt_xcopy_rw_len)
PROPERTY(uint32_t, max_unmap_len)
PROPERTY(uint32_t, unmap_gran_align)
PROPERTY(bool, write_cache_enabled)
PROPERTY(bool, write_protect_enabled)
PROPERTY(bool, unmap_enabled)
PROPERTY(bool, solid_state_media)

uint32_t tcmu_dev_get_opt_unmap_gran(struct tcmu_device *dev)
{
	return dev->opt_unmap_gran;
}

/* The daemon splits an UNMAP only where maximum_unmap asks for it. */
void tcmu_dev_set_opt_unmap_gran(struct tcmu_device *dev, uint32_t length, bool split)
{
	(void) split;
	dev->opt_unmap_gran = length;
}

void *tcmu_dev_get_private(struct tcmu_device *dev)
{
	return &dev->runner;
}

char *tcmu_dev_get_cfgstring(struct tcmu_device *dev)
{
	return dev->config;
}

void *tcmur_dev_get_private(struct tcmu_device *dev)
{
	return dev->runner.hm_private;
}

void tcmur_dev_set_private(struct tcmu_device *dev, void *data)
{
	dev->runner.hm_private = data;
}

uint64_t tcmu_lba_to_byte(struct tcmu_device *dev, uint64_t lba)
{
	return lba * dev->block_size;
}

uint64_t tcmu_byte_to_lba(struct tcmu_device *dev, uint64_t byte)
{
	return byte / dev->block_size;
}

int tcmu_set_thread_name(const char *prefix, struct tcmu_device *dev)
{
	char name[TCMU_THREAD_NAME_LEN];

	(void) dev;
	(void) snprintf(name, sizeof(name), "%s", prefix);
	return -pthread_setname_np(pthread_self(), name);
}

void tcmu_thread_cancel(pthread_t thread)
{
	if (pthread_cancel(thread) == 0)
		(void) pthread_join(thread, NULL);
}
