/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only one daemon serves a kernel. Two locks: a record lock on /run/tcmu.lock, which tcmu-runner
 * takes as well, and an abstract socket's name, which also excludes a daemon in another container
 * of the same network namespace.
 *
 * Anybody can take an abstract name, so only one that is held by our own user or root counts.
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

/* Held until instance_release() or the end of the process. -EBUSY: another daemon runs; *other: its
 * pid, or 0 when it is not known. Another -errno: the lock file cannot be made. */
int instance_acquire(
	struct instance *instance, const char *lock_file, const char *socket_name, pid_t *other);
void instance_release(struct instance *instance);
