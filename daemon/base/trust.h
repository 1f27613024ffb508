/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which users may control the daemon, by any way: root, and the user as which the daemon runs.
 * The control socket, the bus and the check of the single instance ask here.
 *
 * Any thread. Nothing here allocates memory.
 */
#pragma once

#include <stdbool.h>

#include <sys/types.h>

/* Whether a process of this user may. uid: by the kernel's word (SO_PEERCRED and the like), never
 * by the process's own. */
bool trust_user(uid_t uid);
