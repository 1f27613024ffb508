/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and helpers of SCSI. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "scsi_defs.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_device;

#define VPD_MAX_UNMAP_LBA_COUNT        0x8000 /* blocks */
#define VPD_MAX_UNMAP_BLOCK_DESC_COUNT 4
#define VPD_MAX_WRITE_SAME_LENGTH      0x80000 /* blocks */
#define MAX_CAW_LENGTH                 1       /* blocks */

/* The value of a hexadecimal digit. False: it is none. */
bool char_to_hex(unsigned char *value, char digit);

#ifdef __cplusplus
}
#endif
