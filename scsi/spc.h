/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Primary commands that have no pages, for the table of operations (SPC-4, SBC-3).
 */
#pragma once

#include "call.h"

scsi_function scsi_test_unit_ready;        /* SPC-4 6.47 */
scsi_function scsi_request_sense;          /* SPC-4 6.39 */
scsi_function scsi_inquiry;                /* SPC-4 6.6 */
scsi_function scsi_start_stop_unit;        /* SBC-3 5.25 */
scsi_function scsi_prevent_allow;          /* SBC-3 5.10 */
scsi_function scsi_report_task_management; /* SPC-4 6.36 */
scsi_function scsi_report_timestamp;       /* SPC-4 6.38 */
scsi_function scsi_send_diagnostic;        /* SPC-4 6.44 */
scsi_function scsi_receive_diagnostic;     /* SPC-4 6.31 */
