/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin's entry, and the handler that it describes. */
#pragma once

#include <tcmu/handler.h>

#include <tcmu-runner.h>

/* NULL: handler_init() has registered no handler. */
__attribute__((visibility("default"))) const struct tcmu_handler *tcmu_handler_entry(void);
