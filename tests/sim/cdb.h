/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CDBs and parameter lists of the commands that are not READ, WRITE and the like.
 */
#pragma once

#include "kernel.h"

void cdb_put_be(uint8_t *at, uint64_t value, unsigned bytes);

/* Before the command is sent: its parameter list, at command->data. */
void cdb_make_list(struct kcommand *command);

/* cdb: 16 bytes of 0. Returns the CDB's length. */
unsigned cdb_fill(const struct kcommand *command, uint8_t *cdb);
