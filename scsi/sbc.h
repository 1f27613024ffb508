/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block commands, for the table of operations. The clauses are at the functions in sbc.c.
 */
#pragma once

#include "call.h"

scsi_function scsi_read_capacity_10, scsi_read_capacity_16;
scsi_function scsi_read, scsi_prefetch, scsi_verify, scsi_get_lba_status, scsi_read_defect_data;
scsi_function scsi_write, scsi_write_same, scsi_write_and_verify, scsi_write_atomic, scsi_orwrite,
	scsi_compare_and_write, scsi_unmap, scsi_synchronize_cache;
