/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others set of a device while it is served, and what is kept for it: the unit serial, the
 * ports it is reached through and their groups (configfs), mode parameters that initiators have
 * saved (files of ours).
 *
 * Everything may wait for configfs and for storage: for threads of jobs.
 */
#pragma once

#include <scsi/scsi.h>
#include <tcmu/scan.h>

/* Never fails: what cannot be found out is not known. state_dir: see lu_info_save(). */
void lu_info_read(
	const struct tcmu_name *name, const char *state_dir, struct scsi_lu_info *identity);

/* Has the target core change the states, in their order. -errno: of the first that it refuses;
 * those before it have changed. -ENODEV: a group is not there any more. */
int lu_info_set_groups(const struct tcmu_name *name, const struct scsi_group_states *states);

/* Keeps mode parameters for whatever device has this serial, on stable storage, in a file of the
 * folder state_dir, which is made if need be. -errno. */
int lu_info_save(const char *state_dir, const char *serial, const struct scsi_mode_values *values);
