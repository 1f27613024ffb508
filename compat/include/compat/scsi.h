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

/* For handle_cmd: answers to simple commands. They return TCMU_STS_. */
struct tgt_port;
int tcmu_emulate_inquiry(
	struct tcmu_device *dev, struct tgt_port *port, uint8_t *cdb, struct iovec *iovec,
	size_t iov_cnt);
int tcmu_emulate_start_stop(struct tcmu_device *dev, uint8_t *cdb);
int tcmu_emulate_test_unit_ready(uint8_t *cdb, struct iovec *iovec, size_t iov_cnt);
int tcmu_emulate_read_capacity_10(
	uint64_t num_lbas, uint32_t block_size, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt);
int tcmu_emulate_read_capacity_16(
	uint64_t num_lbas, uint32_t block_size, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt);
int tcmu_emulate_mode_sense(
	struct tcmu_device *dev, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt);
int tcmu_emulate_mode_select(
	struct tcmu_device *dev, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt);

#ifdef __cplusplus
}
#endif
