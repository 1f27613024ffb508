/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT and SANITIZE, for the table of operations.
 */
#pragma once

#include "call.h"

scsi_function scsi_format_unit;           /* SBC-3 5.3 */
scsi_function scsi_sanitize_overwrite;    /* SBC-3 5.24 */
scsi_function scsi_sanitize_block_erase;  /* SBC-3 5.24 */
scsi_function scsi_sanitize_exit_failure; /* SBC-3 5.24 */
