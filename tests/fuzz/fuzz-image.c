/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as the name of an RBD image. A name that is understood gives the same text when put
 * together.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TCMU_CONFIG_MAX + 1], whole[sizeof(struct image_target) + 8], claim[128];
	struct tcmu_reason reason = {""};
	struct image_target target;
	size_t length = size < TCMU_CONFIG_MAX ? size : TCMU_CONFIG_MAX;
	int r;

	memcpy(text, data, length);
	text[length] = '\0';
	r = image_parse(text, &target, &reason);
	fuzz_demand(r == 0 || r == -EINVAL);
	fuzz_demand((r < 0) == (reason.text[0] != '\0'));
	if (r < 0)
		return 0;
	(void) snprintf(
		whole, sizeof(whole), "%s%s%s/%s%s%s", target.pool, target.name_space[0] ? "/" : "",
		target.name_space, target.name, target.snapshot[0] ? "@" : "", target.snapshot);
	fuzz_demand(strcmp(whole, text) == 0);
	image_claim(&target, "fsid", claim, sizeof(claim));
	fuzz_demand(memchr(claim, 0, sizeof(claim)) != NULL);
	return 0;
}
