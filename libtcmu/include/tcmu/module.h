/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel module target_core_user: loading it, and its parameters that block and reset netlink
 * commands.
 */
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads target_core_user by libkmod unless it is there already (also built in, or loaded by a
 * container's host). -ENOENT: this kernel has no such module. */
int tcmu_module_load(void);

/* /sys/module/target_core_user/parameters: block_netlink and reset_netlink. -ENOENT: older kernel
 * without them. */
int tcmu_module_block_netlink(bool block);
int tcmu_module_reset_netlink(void);

/* Ends the commands that wait for an answer, with EINTR, as a reset between a block and its end
 * does. Whoever sends another in between gets EAGAIN, so nothing is blocked where nothing waits,
 * and else for no longer than it has to be. -ENOENT: as above. */
int tcmu_module_end_commands(void);

#ifdef __cplusplus
}
#endif
