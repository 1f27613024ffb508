/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes and names of commands and sense, for counters and logs. They do not influence the answer
 * to a command.
 */
#pragma once

#include <scsi/optable.h>
#include <stdbool.h>
#include <stdint.h>

struct scsi_sense;

/* "read", "write", "flush", "unmap" or "other". */
const char *scsi_class_name(enum scsi_class class);

/* The blocks that a CDB addresses, whether they exist or not. False: its blocks are not in the CDB
 * itself, or it addresses none; *lba and *blocks are unchanged. */
bool scsi_cdb_blocks(const uint8_t *cdb, uint8_t cdb_length, uint64_t *lba, uint32_t *blocks);

/* The name of a sense key (SPC-4 4.5.6): "medium_error" for 3h. key: its low 4 bits count. */
const char *scsi_sense_key_name(uint8_t key);

/* Decodes key and codes of sense in either format; other members are 0. buffer: 14 bytes. */
void scsi_sense_decode(const uint8_t *buffer, struct scsi_sense *sense);
