/* SPDX-License-Identifier: Apache-2.0 */
/* Which tcmud this is. */
#pragma once

/* "2.0.0": of the project that was built. Any thread. */
const char *version_string(void);
