/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel module target_core_user
 *
 * The functions load the module, and set the parameters that block and reset netlink commands
 * (/sys/module/target_core_user/parameters). They keep no state and any thread may call them.
 */
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads target_core_user by libkmod unless the kernel has it already: loaded, built in, or loaded
 * by the host of a container. May wait for the disk.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: this kernel has no such module.
 * -ENOMEM: there is not enough memory.
 * -EPERM: loading a module is not permitted. */
int tcmu_module_load(void);

/* Sets block_netlink. While it is set, the kernel fails new netlink commands with EAGAIN.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: the module is not loaded, or the kernel is too old to have the parameter. */
int tcmu_module_block_netlink(bool block);

/* Sets reset_netlink: ends all netlink commands that wait for a reply.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: the module is not loaded, or the kernel is too old to have the parameter.
 * -EBUSY: commands wait and block_netlink is not set. */
int tcmu_module_reset_netlink(void);

/* Ends the netlink commands that wait for a reply: their callers get EINTR. Blocks new commands
 * only if there are some to end, and only for the duration of the reset; a command that arrives
 * meanwhile gets EAGAIN.
 *
 * Returns 0 or a negative errno:
 * -ENOENT: the module is not loaded, or the kernel is too old to have the parameters. */
int tcmu_module_end_commands(void);

#ifdef __cplusplus
}
#endif
