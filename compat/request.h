/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the daemon as a command of the handler. */
#pragma once

#include <tcmu/handler.h>

#include "device.h"

/* Bytes at io->priv that request_submit() needs. */
size_t request_size(void);

/* Gives the request to the handler. Where nr_threads is 0, the handler may complete it later. */
void request_submit(struct tcmu_device *dev, struct tcmu_io *io);
