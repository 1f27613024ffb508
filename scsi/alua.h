/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of target port groups, for the table of operations.
 */
#pragma once

#include "call.h"

scsi_function scsi_report_port_groups; /* SPC-4 6.37 */
scsi_function scsi_set_port_groups;    /* SPC-4 6.45 */
