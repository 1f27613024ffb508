/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of operations as a list: names, service actions, usage masks and classes, for logs,
 * counters, tests and the fuzzer's dictionary.
 */
#pragma once

#include <scsi/operation.h>

struct scsi_lu;

/* The i-th operation, in ascending order of operation code and service action; NULL past the last
 * one. */
const struct scsi_operation *scsi_operation_at(unsigned i);

/* Whether the logical unit supports the operation, which scsi_operation_at() has returned. */
bool scsi_operation_supported(const struct scsi_lu *lu, const struct scsi_operation *operation);

/* The name of a CDB's operation for logs; "unknown" if the table has none. cdb: 2 bytes. */
const char *scsi_opcode_name(const uint8_t *cdb);

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
