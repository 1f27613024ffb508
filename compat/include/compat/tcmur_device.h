/* SPDX-License-Identifier: Apache-2.0 */
/* The handler's own data of a device, and what it reports of its backing store. */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_device;

#define TCMU_INVALID_LOCK_TAG USHRT_MAX

enum {
	TCMUR_DEV_LOCK_UNLOCKED,
	TCMUR_DEV_LOCK_WRITE_LOCKING,
	TCMUR_DEV_LOCK_WRITE_LOCKED,
	TCMUR_DEV_LOCK_READ_LOCKING,
	TCMUR_DEV_LOCK_READ_LOCKED,
	TCMUR_DEV_LOCK_UNKNOWN,
};

/* Of a device, by tcmu_dev_get_private(): the members that handlers have been seen to use. */
struct tcmur_device {
	struct tcmu_device *dev;
	void *hm_private;
	uint8_t lock_state;     /* tcmud uses no locks of such handlers: TCMUR_DEV_LOCK_UNLOCKED */
	uint64_t lock_lost_cnt; /* how often the handler has reported it */
	uint64_t conn_lost_cnt;
	uint64_t cmd_timed_out_cnt;
	bool lock_lost;
	pthread_mutex_t state_lock;
};

void *tcmur_dev_get_private(struct tcmu_device *dev);
void tcmur_dev_set_private(struct tcmu_device *dev, void *data);

/* Any thread. The daemon lets the requests in flight end, closes the device and opens it again. */
void tcmu_notify_conn_lost(struct tcmu_device *dev);
void tcmu_notify_cmd_timed_out(struct tcmu_device *dev);
void tcmu_notify_lock_lost(struct tcmu_device *dev);

#ifdef __cplusplus
}
#endif
