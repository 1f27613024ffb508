/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out a plan of the SCSI code with the functions of the store, on the caller's thread.
 */
#pragma once

#include "disk.h"

/* The outcome of a plan. error: 0 or negative errno, at the block lba. result_offset: of a
 * miscompare. */
struct carry_out {
	struct tcmu_scsi *scsi;
	const struct scsi_plan *plan;
	struct tcmu_scsi_command *command;
	uint64_t data_length; /* of the command's pieces */
	uint64_t lba;
	uint64_t result_offset;
	uint32_t read_len; /* bytes of data-in in the pieces */
};

/* Without lock. Returns 0 or a negative errno. */
int carry_out_plan(struct carry_out *work);
