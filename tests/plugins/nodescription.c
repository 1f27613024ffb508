/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin whose entry returns no description.
 */
#include <stddef.h>

#include <tcmu/handler.h>

__attribute__((visibility("default"))) const struct tcmu_handler *tcmu_handler_entry(void);

const struct tcmu_handler *tcmu_handler_entry(void)
{
	return NULL;
}
