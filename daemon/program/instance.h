/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only one daemon may serve a kernel. Two locks enforce it: a lock on /run/tcmu.lock, which
 * excludes tcmu-runner's record lock as well, and the name of an abstract socket, which also
 * excludes a daemon in another container of the same network namespace.
 *
 * Any user can bind an abstract name, so only a holder that is root or our own user counts
 * (program/instance-name.h).
 *
 * Main thread. Nothing here allocates memory.
 */
#pragma once

#include <sys/types.h>

#define INSTANCE_LOCK_FILE "/run/tcmu.lock"
#define INSTANCE_SOCKET    "tcmud"

struct instance {
	int lock;   /* the file, or -1 */
	int socket; /* or -1 */
};
#define INSTANCE_INIT \
	{ \
		.lock = -1, .socket = -1 \
	}

/* Takes both locks, until instance_release() or the end of the process. -EBUSY: another daemon
 * runs; *other: its pid, or 0 if it is unknown. Another -errno: the lock file cannot be made, or it
 * cannot be found out whether another daemon runs. */
int instance_acquire(
	struct instance *instance, const char *lock_file, const char *socket_name, pid_t *other);

/* Releases what is held; an instance without locks too. */
void instance_release(struct instance *instance);
