/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delays messages of this process to the cluster: a message that contains certain bytes is held
 * back, in the thread of its messenger, until it is released. Any thread may call these functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DELAY_SHIM_BYTES 64

/* From now on messages with a run of DELAY_SHIM_BYTES such bytes are held back. */
void delay_shim_hold(int byte);

/* The same for messages with this text, of less than DELAY_SHIM_BYTES bytes. */
void delay_shim_hold_text(const char *text);

/* Waits until a message is held back; fails the test after half a minute. */
void delay_shim_wait(void);

/* Sends the messages that are held back, and holds back no more. */
void delay_shim_release(void);

/* From now on nothing is sent: the socket takes no data, as over a network that is cut; or as usual
 * again. */
void delay_shim_cut(bool off);
