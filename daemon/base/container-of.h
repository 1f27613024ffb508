/* SPDX-License-Identifier: Apache-2.0 */
/* From a member to the structure that contains it. */
#pragma once

#include <stddef.h>

/* pointer: to the member; not NULL. */
#define container_of(pointer, type, member) \
	((type *) (void *) ((char *) (pointer) -offsetof(type, member)))
