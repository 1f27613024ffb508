/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rival: another gateway of the same stores. It takes the lock of a store at any moment, fences
 * this host or waits for its writes, writes, and releases the lock or keeps it.
 */
#pragma once

#include <stdint.h>

/* Nobody has done anything. */
void rivals_reset(void);

/* It takes the store's lock, and uses it for a while. No effect where the store is not shared. */
void rival_begin(unsigned store, unsigned number, uint64_t length);

/* It leaves all stores alone from now on. */
void rivals_end(void);
