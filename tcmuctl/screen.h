/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Top on a terminal: asks the daemon at each interval, draws, and takes keys.
 */
#pragma once

#include "ask.h"

/* Between terminal_begin() and terminal_end(). interval: seconds. count: ends after so many
 * intervals; 0: no limit. Returns an exit status. */
int screen_run(struct ask *daemon, double interval, unsigned count);
