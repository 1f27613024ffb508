/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that the target core needs and does not make. */
#pragma once

/* Makes <dbroot>/pr and <dbroot>/alua where they are not there. May wait for storage; any thread.
 */
void target_dirs_create(void);
