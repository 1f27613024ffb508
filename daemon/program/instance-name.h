/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second lock of the single instance: the name of a listening abstract socket, which excludes a
 * daemon in another container of the same network namespace.
 *
 * Any user can bind an abstract name and fill the backlog of its listener. So the holder's user
 * decides, by the kernel's list of sockets (sock_diag), which needs no connection; and where
 * another user holds the name, the daemon takes the name with a random suffix, which the next
 * daemon finds in that list.
 *
 * Main thread. Nothing here allocates memory.
 */
#pragma once

#include <sys/types.h>

/* Takes the name for as long as the socket is open; *ret: the socket. -EBUSY: a daemon of a trusted
 * user (base/trust.h) has it; *other: its pid, or unchanged if that is unknown. Another -errno:
 * that cannot be found out, which does not mean that there is none. */
int instance_name_take(const char *name, int *ret, pid_t *other);
