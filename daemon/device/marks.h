/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files that outlive a device's I/O thread and the daemon: marks of clean stops and of
 * formats that were cut short (in the run directory), mode parameters that initiators have saved
 * (in the state directory).
 *
 * Stateless. A mark names the device and its config string, so that it means nothing for another
 * device of the same name. Marks are the main thread's, on tmpfs; mode parameters are written to
 * stable storage, on a job's thread.
 */
#pragma once

#include <stdbool.h>

#include <scsi/scsi.h>
#include <tcmu/scan.h>

/* The device stopped with nothing of its ring in flight: the next daemon goes on where it ended.
 * Returns 0 or -errno, which is logged. */
int marks_set_clean(const char *run_dir, const struct tcmu_name *name, unsigned minor);

/* Whether this very device has the mark. Removes it. */
bool marks_take_clean(const char *run_dir, const struct tcmu_name *name, unsigned minor);

/* FORMAT_STATE_ bits of io/format.h: the medium is being formatted or sanitized, or that has
 * failed; 0 removes the mark. Returns 0 or -errno, which is logged. */
int marks_set_format(const char *run_dir, const struct tcmu_name *name, unsigned format_state);
unsigned marks_get_format(const char *run_dir, const struct tcmu_name *name);

/* Keeps mode parameters for the logical unit with this serial, on stable storage. Creates
 * state_dir. Returns 0 or -errno; a failure is logged. */
int marks_save_modes(
	const char *state_dir, const char *serial, const struct scsi_mode_values *values);

/* False: none were saved, or the file is damaged, which is logged. */
bool marks_load_modes(const char *state_dir, const char *serial, struct scsi_mode_values *values);
