/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coverage of the fuzz target cdb, for the test that its seeds reach every function.
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <scsi/scsi.h>

#define FUZZ_CDB_OPERATIONS 128u /* more than the table has */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether any input up to now had the i-th operation of the table carried out: planned, or answered
 * with GOOD. */
bool fuzz_cdb_carried_out(unsigned i);
