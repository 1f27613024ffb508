/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client instances of this process that have ended and whose records still say otherwise,
 * because their connections could not be used for that any more. The next connection to the same
 * image says it.
 */
#pragma once

#include <rados/librados.h>
#include <stdbool.h>

#include "records.h"

/* A client instance with a record has ended. image: names the image in all clusters. unanswered:
 * the cluster may have writes of it, which it has never answered. Any thread. */
void ended_add(const char *image, const char *address, bool unanswered);

/* Corrects the records of the image. A record that cannot be corrected is kept for the next time.
 * Returns how many were corrected. May block. */
unsigned ended_say(const char *image, rados_ioctx_t pool, const char *header);
