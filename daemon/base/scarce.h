/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that say nothing of the thing that was asked for: this process or host has run out of
 * something. A caller must not take them for "is not there", and tries again later.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>

/* error: a negative errno. Any thread. */
static inline bool scarce_error(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}
