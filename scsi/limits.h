/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relations between the limits that READ CAPACITY(16), VPD B0h and VPD B2h report. Limits that
 * are valid alone and contradict each other make an initiator ignore them, or complain: Linux takes
 * the physical block as the unit of atomic writes where no granularity is reported.
 */
#pragma once

#include <scsi/scsi.h>

/* Whether all relations hold. Any thread. */
bool scsi_limits_agree(const struct scsi_lu *lu);
