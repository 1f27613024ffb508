/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the script of a failing life short.
 */
#pragma once

#include <stdbool.h>

#include "sim.h"
#include "world.h"

/* Runs a life in a child. Returns whether it fails; failure: its text, of 512 bytes. */
bool shrink_try(const struct world_options *options, char *failure);

/* Leaves out events as long as the life fails in the same way; other schedules are tried, too. */
void shrink_life(struct world_options *options, const char *failure);
