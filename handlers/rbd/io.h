/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, for the handler's table. The device's I/O thread.
 */
#pragma once

#include <tcmu/handler.h>

void image_submit(void *backend, struct tcmu_io *io);
