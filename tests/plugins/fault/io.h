/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, for the handler's table.
 */
#pragma once

#include <tcmu/handler.h>

void fault_submit(void *backend, struct tcmu_io *io);
void fault_cancel(void *backend, struct tcmu_io *io);
