/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files that outlive a device's I/O thread and the daemon. In the run directory, which is
 * empty after a boot: marks of clean stops, of formats that were cut short, and what is known of a
 * backing store. In the state directory: which backstores were served, and mode parameters that
 * initiators have saved.
 *
 * Stateless. A mark names the device and its config string, so that it means nothing for another
 * device of the same name. The run directory is the main thread's, on tmpfs; the state directory is
 * on stable storage, and a job's thread reads and writes it.
 */
#pragma once

#include <stdbool.h>

#include <scsi/scsi.h>
#include <tcmu/scan.h>

#include "notes/notes.h"

/* Of the marks of backstores that are not there any more, so many of the newest are kept, and at
 * most an eighth more: else each name that ever was would leave a file. Of served ones and of saved
 * mode parameters there are more than a host has backstores, because all of these are gone between
 * a clear and a restore. */
#define MARKS_STORES_KEPT 1024 /* in the run directory */
#define MARKS_SERVED_KEPT 4096 /* in the state directory, of either kind */

/* The device stopped with nothing of its ring in flight: the next daemon goes on where it ended.
 * Returns 0 or -errno, which is logged. */
int marks_set_clean(const char *run_dir, const struct tcmu_name *name, unsigned minor);

/* Whether this very device has the mark. Removes it. */
bool marks_take_clean(const char *run_dir, const struct tcmu_name *name, unsigned minor);

/* FORMAT_STATE_ bits of io/format.h: the medium is being formatted or sanitized, or that has
 * failed; 0 removes the mark. Returns 0 or -errno, which is logged. A mark that cannot be read
 * counts as a failed format. */
int marks_set_format(const char *run_dir, const struct tcmu_name *name, unsigned format_state);
unsigned marks_get_format(const char *run_dir, const struct tcmu_name *name);

/* The notes of this very device (notes/notes.h), made if there are none. claim: of its backing
 * store. NULL: there is no room, which is logged. */
struct notes *marks_open_notes(
	const char *run_dir, const struct tcmu_name *name, unsigned minor, const char *claim);

/* Removes all notes but those of the devices that the kernel has, and the marks of stores that were
 * deleted long ago: a missing one will not be created again. */
void marks_sweep(const char *run_dir, const struct tcmu_scan_entry *entries, int cnt);

/* Nothing of the marks and notes above holds for another device of this name. */
void marks_forget(const char *run_dir, const struct tcmu_name *name);

/* Facts about a backstore since the boot: of this name, and of this backing store ("<subtype>/
 * <target>", without options). */
struct marks_store {
	bool deleted;         /* it was served, and its deletion was seen */
	bool write_cache_set; /* an administrator has changed emulate_write_cache */
	bool write_cache;     /* to this */
	char claim[128];      /* of the store that was served last; "": not known */
};

/* Nothing is known: all members are 0. Never fails. */
void marks_get_store(const char *run_dir, const struct tcmu_name *name, struct marks_store *store);

/* Returns 0 or -errno, which is logged. */
int marks_set_store(
	const char *run_dir, const struct tcmu_name *name, const struct marks_store *store);

/* Whether a backstore of this name has served this backing store before, on this host, also before
 * the last boot. It stays so when the backstore is deleted (see struct marks_store), until
 * MARKS_SERVED_KEPT others have been served after it. */
bool marks_was_served(const char *state_dir, const struct tcmu_name *name);

/* Notes that. Creates state_dir. May read configfs. Returns 0 or -errno, which is logged. */
int marks_set_served(const char *state_dir, const struct tcmu_name *name);

/* Keeps mode parameters for the logical unit with this serial, on stable storage. Creates
 * state_dir. Returns 0 or -errno; a failure is logged. */
int marks_save_modes(
	const char *state_dir, const char *serial, const struct scsi_mode_values *values);

/* Returns 1: read; 0: none were saved, or the file is damaged, which is logged; -EMFILE or -ENFILE:
 * not known. */
int marks_load_modes(const char *state_dir, const char *serial, struct scsi_mode_values *values);
