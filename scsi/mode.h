/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode pages, for the table of operations, and saved mode parameters.
 */
#pragma once

#include "call.h"

scsi_function scsi_mode_sense;  /* SPC-4 6.13, 6.14 */
scsi_function scsi_mode_select; /* SPC-4 6.11, 6.12 */

/* Makes saved mode parameters the saved and the current ones. NULL: none were saved; the defaults
 * become the saved ones and the current ones stay. */
void scsi_mode_set_saved(struct scsi_lu *lu, const struct scsi_mode_values *saved);
