/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults: calls that hang, delays, errors.
 */
#pragma once

#include <stddef.h>

#include "backend.h"

/* The hang that two options of the table describe. */
struct fault_hang fault_hang_of(
	const struct tcmu_config *config, enum fault_option forever, enum fault_option file);

/* Blocks until the hang is over. The caller holds no lock. */
void fault_hang(const struct fault_hang *hang);

/* Blocks for ms milliseconds. */
void fault_delay(uint64_t ms);

/* Converts the name of an errno: "EIO" gives -EIO. 0: no such name. */
int fault_errno(const char *name, size_t length);

/* Parses OP:ERRNO[:NTH][+OP:ERRNO[:NTH]]...; a dot may stand for a colon. Returns the number of
 * errors, or -EINVAL. */
int fault_parse_errors(const char *text, struct fault_error errors[FAULT_ERRORS_MAX]);

/* Injects the faults that are due for the request: waits, then returns 0 or the negative errno that
 * the request must end with. */
int fault_inject(struct fault_backend *backend, const struct tcmu_io *io);
