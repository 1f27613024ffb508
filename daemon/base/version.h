/* SPDX-License-Identifier: Apache-2.0 */
/* The version of the daemon. */
#pragma once

/* "2.0.0". A constant; any thread. */
const char *version_string(void);
