/* SPDX-License-Identifier: Apache-2.0 */
/* See host/wake.h. */
#include "host/wake.h"

#include <assert.h>
#include <sys/eventfd.h>

static __thread const struct tcmu_disk *host_wake_disk;

void host_wake_begin(const struct tcmu_disk *disk)
{
	assert(!host_wake_disk);
	host_wake_disk = disk;
}

bool host_thread_is_current(const struct tcmu_disk *disk)
{
	return host_wake_disk == disk;
}

void host_thread_wake(struct tcmu_disk *disk)
{
	assert(disk->wake_fd >= 0);
	if (atomic_load(&disk->asleep) && atomic_exchange(&disk->asleep, false))
		(void) eventfd_write(disk->wake_fd, 1);
}

void host_thread_post(struct tcmu_disk *disk, struct host_message *message)
{
	assert(message->run);
	mpsc_push(&disk->inbox, &message->node);
	host_thread_wake(disk);
}
