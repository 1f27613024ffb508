/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin built for an ABI that does not exist yet: the daemon must refuse it, by name, and go on.
 */
#include <tcmu/handler.h>

static const struct tcmu_handler otherabi = {
	.abi = TCMU_HANDLER_ABI + 1,
	.size = sizeof(struct tcmu_handler),
	.subtype = "otherabi",
	.name = "from the future",
	.config_desc = "none",
};

__attribute__((visibility("default"))) const struct tcmu_handler *tcmu_handler_entry(void);

const struct tcmu_handler *tcmu_handler_entry(void)
{
	return &otherabi;
}
