/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of former lock holders in the cluster's blocklist. Everybody may remove them, and
 * they expire; the lock holder keeps those that are still needed.
 *
 * Every function may block until the cluster answers, and for ever if the client instance is ended
 * meanwhile (bound.h).
 */
#pragma once

#include <rados/librados.h>
#include <stdint.h>

#include "records.h"

/* The time that the entries of this module last. */
#define ENTRY_SECONDS 86400u

/* Adds an entry, which must not be there yet: the cluster does not change the expiry of one that is
 * there (Ceph 16: it inserts new entries into its map and replaces none). Returns 0 or a negative
 * errno. */
int entries_add(rados_t rados, const char *address);

/* For a takeover: adds an entry for each record that has none, and waits until the storage has all.
 * Its time does not depend on the number of records where an earlier lock holder has kept their
 * entries. Returns 0 or a negative errno. */
int entries_begin(rados_t rados, const struct records *records);

/* Adds an entry for each record that has none. *missing: how many those were. Returns 0 or a
 * negative errno. */
int entries_keep(rados_t rados, const struct records *records, unsigned *missing);
