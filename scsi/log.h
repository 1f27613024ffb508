/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log pages, for the table of operations.
 */
#pragma once

#include "call.h"

scsi_function scsi_log_sense; /* SPC-4 6.8 */
