/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of SAM, SPC, SBC and MMC under the names that handlers use. */
#pragma once

/* operation codes */
#define READ_FORMAT_CAPACITIES 0x23
#define UNMAP                  0x42
#define GET_CONFIGURATION      0x46
#define READ_DISC_INFORMATION  0x51
#define MODE_SELECT_10         0x55
#define MODE_SENSE_10          0x5a
#define EXTENDED_COPY          0x83
#define RECEIVE_COPY_RESULTS   0x84
#define READ_16                0x88
#define COMPARE_AND_WRITE      0x89
#define WRITE_16               0x8a
#define WRITE_VERIFY_16        0x8e
#define SYNCHRONIZE_CACHE_16   0x91
#define WRITE_SAME_16          0x93
#define SERVICE_ACTION_IN_16   0x9e
#define MAINTENANCE_IN         0xa3
#define MAINTENANCE_OUT        0xa4
#define READ_DVD_STRUCTURE     0xad
#define MECHANISM_STATUS       0xbd

/* service actions */
#define READ_CAPACITY_16              0x10
#define MI_REPORT_TARGET_PGS          0x0a
#define MO_SET_TARGET_PGS             0x0a
#define RCR_SA_COPY_STATUS            0x00
#define RCR_SA_RECEIVE_DATA           0x01
#define RCR_SA_OPERATING_PARAMETERS   0x03
#define RCR_SA_FAILED_SEGMENT_DETAILS 0x04

/* statuses of a command */
#define SAM_STAT_GOOD                       0x00
#define SAM_STAT_CHECK_CONDITION            0x02
#define SAM_STAT_CONDITION_MET              0x04
#define SAM_STAT_BUSY                       0x08
#define SAM_STAT_INTERMEDIATE               0x10
#define SAM_STAT_INTERMEDIATE_CONDITION_MET 0x14
#define SAM_STAT_RESERVATION_CONFLICT       0x18
#define SAM_STAT_COMMAND_TERMINATED         0x22
#define SAM_STAT_TASK_SET_FULL              0x28
#define SAM_STAT_ACA_ACTIVE                 0x30
#define SAM_STAT_TASK_ABORTED               0x40

/* target port groups */
#define ALUA_ACCESS_STATE_OPTIMIZED     0x0
#define ALUA_ACCESS_STATE_NON_OPTIMIZED 0x1
#define ALUA_ACCESS_STATE_STANDBY       0x2
#define ALUA_ACCESS_STATE_UNAVAILABLE   0x3
#define ALUA_ACCESS_STATE_LBA_DEPENDENT 0x4
#define ALUA_ACCESS_STATE_OFFLINE       0xe
#define ALUA_ACCESS_STATE_TRANSITIONING 0xf

enum scsi_protocol {
	SCSI_PROTOCOL_FCP = 0,
	SCSI_PROTOCOL_SPI = 1,
	SCSI_PROTOCOL_SSA = 2,
	SCSI_PROTOCOL_SBP = 3,
	SCSI_PROTOCOL_SRP = 4,
	SCSI_PROTOCOL_ISCSI = 5,
	SCSI_PROTOCOL_SAS = 6,
	SCSI_PROTOCOL_ADT = 7,
	SCSI_PROTOCOL_ATA = 8,
	SCSI_PROTOCOL_UNSPEC = 0xf,
};
