/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INQUIRY with EVPD (SPC-4 6.6, 7.8).
 */
#pragma once

#include "call.h"

/* Answers an INQUIRY whose EVPD bit is set. */
enum scsi_verdict scsi_inquiry_vpd(struct scsi_call *call);
