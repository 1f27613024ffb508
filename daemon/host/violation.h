/* SPDX-License-Identifier: Apache-2.0 */
/* Reports for people: about requests, and about a handler that breaks its contract. Any thread. */
#pragma once

#include "host/state.h"

/* Writes the operation and the range of a request. Returns as snprintf() does. */
int host_describe(const struct host_request *request, char *text, size_t size);

/* Reports that "the handler <what>". request: NULL if it concerns none. */
void host_violation(struct tcmu_disk *disk, const struct host_request *request, const char *what);
