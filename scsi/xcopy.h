/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY and RECEIVE COPY, for the table of operations, and their VPD page.
 */
#pragma once

#include "call.h"

scsi_function scsi_extended_copy;            /* SPC-4 6.4, 6.5 */
scsi_function scsi_copy_operation_abort;     /* SPC-4 6.3 */
scsi_function scsi_receive_copy_status_lid1; /* SPC-4 6.25 */
scsi_function scsi_receive_copy_status_lid4; /* SPC-4 6.24 */
scsi_function scsi_receive_copy_parameters;  /* SPC-4 6.22 */

/* Puts the bytes after the header of VPD page 8Fh (SPC-4 7.8.17). Returns its length in bytes. */
unsigned scsi_put_third_party_copy(const struct scsi_lu *lu, uint8_t *page);
