/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers about each write cache to the administrator and to initiators, and so whether it is
 * off for certain.
 *
 * The administrator's "off" holds from its answer until the administrator asks for "on", over every
 * start, reopen and SIGKILL of the daemon. An initiator's "off" holds until somebody may have
 * switched it on, or the daemon attaches again; then it holds if it was saved.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"

void cache_reset(void);

/* Whether it is off for certain. */
bool cache_is_off(unsigned slot);

/* A device was created: nothing is known of its cache. */
void cache_created(const struct kdev *kdev);

/* A daemon attaches. */
void cache_attached(const struct kdev *kdev);

/* The administrator asks for "on"; has the answer that it is off, asked for at that time. */
void cache_administrator_asks_on(const struct kdev *kdev);
void cache_administrator_has_off(const struct kdev *kdev, uint64_t asked);

/* A MODE SELECT is sent; is GOOD. */
void cache_initiator_asks(const struct kcommand *command);
void cache_initiator_has(const struct kcommand *command);
