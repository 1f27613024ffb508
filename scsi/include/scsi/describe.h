/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes and names of commands and sense, for counters and logs. They do not influence the answer
 * to a command.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scsi_sense;

enum scsi_class {
	SCSI_CLASS_READ,
	SCSI_CLASS_WRITE, /* all that store data: also WRITE SAME and COMPARE AND WRITE */
	SCSI_CLASS_FLUSH,
	SCSI_CLASS_UNMAP,
	SCSI_CLASS_OTHER,
	SCSI_CLASS_COUNT,
};

/* The class of a CDB, by its operation code alone. */
enum scsi_class scsi_cdb_class(const uint8_t *cdb);

/* "read", "write", "flush", "unmap" or "other". */
const char *scsi_class_name(enum scsi_class class);

/* The blocks that a CDB addresses, whether they exist or not. False: its blocks are not in the CDB
 * itself, or it addresses none; *lba and *blocks are unchanged. */
bool scsi_cdb_blocks(const uint8_t *cdb, uint8_t cdb_length, uint64_t *lba, uint32_t *blocks);

/* The name of a sense key (SPC-4 4.5.6): "medium_error" for 3h. key: its low 4 bits count. */
const char *scsi_sense_key_name(uint8_t key);

/* Decodes key and codes of sense in either format; other members are 0. buffer: 14 bytes. */
void scsi_sense_decode(const uint8_t *buffer, struct scsi_sense *sense);
