/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, for the handler's table. The device's I/O thread.
 */
#pragma once

#include <tcmu/handler.h>

void file_submit(void *backend, struct tcmu_io *io);
void file_cancel(void *backend, struct tcmu_io *io);
