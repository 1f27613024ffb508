/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a logical unit. The block limits page (SBC-4 6.6.4), READ CAPACITY(16) and the
 * commands all use those members of struct scsi_lu which scsi_limits_set() sets. Each limit can be
 * valid alone and contradict another one; initiators check the relations, and Linux warns or stops
 * where one does not hold. So nothing else sets these members.
 */
#pragma once

#include <scsi/scsi.h>

/* The properties of the backend and of configfs; in bytes unless a comment says otherwise. 0: not
 * known, or no limit. */
struct scsi_backend_limits {
	uint32_t max_blocks; /* logical blocks of one command; 0 counts as 1 */
	uint32_t physical_block;
	uint32_t max_transfer;
	uint32_t optimal_transfer;
	uint64_t max_unmap;
	uint32_t unmap_granularity;
	uint32_t max_compare_and_write;
	bool atomic;           /* the backend has atomic writes */
	uint32_t atomic_write; /* its unit, at a multiple of it; 0: a logical block */
};

/* Sets the limits of lu from those of the backend. lu has its block_size (a power of two) and
 * unmap; unmap becomes false if no whole physical block can be unmapped at once. */
void scsi_limits_set(struct scsi_lu *lu, const struct scsi_backend_limits *from);
