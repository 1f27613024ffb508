/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network that holds something up: what a connection of this process sends is kept back, in its
 * messenger's own thread, if certain bytes are in it, until it is let go. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DELAY_SHIM_BYTES 64

/* Keeps back what has a run of so many of these bytes in it. */
void delay_shim_hold(int byte);

/* Waits until something is kept back; fails the test after half a minute. */
void delay_shim_wait(void);

/* What is kept back is sent, and nothing is kept back any more. */
void delay_shim_release(void);
