/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of a logical unit that several commands derive from struct scsi_lu.
 */
#pragma once

#include <scsi/scsi.h>

/* LBPME (SBC-3 5.16): logical blocks may be unmapped, by commands or because nothing has written
 * them yet. */
static inline bool scsi_lu_provisioned(const struct scsi_lu *lu)
{
	return lu->thin || lu->unmap;
}

/* The medium is read-only, or SWP of the control mode page is set (SPC-4 7.5.8). */
static inline bool scsi_lu_write_protected(const struct scsi_lu *lu)
{
	return lu->read_only || lu->software_write_protect;
}

/* Whether initiators may save mode parameters. */
static inline bool scsi_lu_can_save(const struct scsi_lu *lu)
{
	return lu->can_save && !lu->read_only;
}

/* MAXIMUM UNMAP LBA COUNT (SBC-3 6.6.3), in blocks; UINT32_MAX: no limit. */
static inline uint32_t scsi_lu_max_unmap(const struct scsi_lu *lu)
{
	return lu->max_unmap ? lu->max_unmap : UINT32_MAX;
}

/* The address of the last block; 0 for a medium without blocks. */
static inline uint64_t scsi_lu_last_lba(const struct scsi_lu *lu)
{
	return lu->blocks ? lu->blocks - 1 : 0;
}

/* The SCSI_ACCESS_ bits of all target port groups; 0 where no states are reported. */
uint8_t scsi_lu_access(const struct scsi_lu *lu);
