/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel.h: the module target_core_user, which comes and goes. */
#include <errno.h>

#include <tcmu/module.h>

#include "fds.h"
#include "kernel-private.h"
#include "sim.h"
#include "threads.h"

#define FAMILY_FIRST 0x1c
#define GROUP_FIRST  0x12
#define MINORS_OTHER 4 /* of drivers that use uio, too */

void kernel_load(void)
{
	struct kernel *kernel = sim->kernel;

	if (kernel->loaded)
		return;
	kernel->loaded = true;
	kernel->loads++;
	/* Numbers of families are not used twice soon; those of groups and minors may be. */
	kernel->family = FAMILY_FIRST + (int) kernel->loads;
	kernel->group = GROUP_FIRST;
	if (kernel->loads == 1)
		return;
	kernel->group += (int) sim_choose(3);
	kernel->minor_first = sim_choose(MINORS_OTHER);
	/* Devices are numbered by target_core_mod. Was it unloaded, too? */
	if (sim_chance(2))
		kernel->id_last = 0;
	sim_trace("the module is loaded: family %d, group %d", kernel->family, kernel->group);
	genl_announce(true);
}

bool kernel_is_loaded(void)
{
	return sim->kernel->loaded;
}

bool kernel_waits_for_answers(void)
{
	return genl_listener() && sim->kernel->replies;
}

/* Each device holds it, also one that is not released. */
bool kernel_unload(void)
{
	struct kernel *kernel = sim->kernel;
	const struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->registered || !kdev->released || kdev->netlink.waits)
			return false;
	if (!kernel->loaded)
		return false;
	sim_trace("the module is unloaded");
	kernel->loaded = kernel->replies = false;
	sim->report->unloads++;
	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		kernel->sockets[i].config = false;
	genl_announce(false);
	return true;
}

/* ------- functions of libtcmu, replaced ------- */

int tcmu_module_block_netlink(bool block)
{
	(void) block;
	return sim->kernel->loaded ? 0 : -ENOENT;
}

int tcmu_module_reset_netlink(void)
{
	return tcmu_module_end_commands();
}

int tcmu_module_end_commands(void)
{
	struct kdev *kdev;

	sim_preempt();
	if (!sim->kernel->loaded)
		return -ENOENT;
	sim_trace("netlink is reset");
	sim->kernel->disturbed = true;
	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->netlink.waits)
			kernel_answer(kdev, -EINTR);
	return 0;
}

/* A daemon that starts loads it, where it can. */
int tcmu_module_load(void)
{
	if (!sim->kernel->loaded && sim_chance(3))
		return -ENOENT;
	kernel_load();
	return 0;
}
