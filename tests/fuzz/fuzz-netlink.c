/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a netlink message. The strings of a decoded event must end.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/netlink.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcmu_event event;
	void *copy = malloc(size ? size : 1); /* aligned, and no byte longer */
	int r;

	fuzz_demand(copy != NULL);
	memcpy(copy, data, size);
	r = tcmu_netlink_decode(copy, size, &event);
	free(copy);
	fuzz_demand(r == 0 || r == -EBADMSG || r == -ENOMSG);
	if (r < 0)
		return 0;
	fuzz_demand(event.kind >= TCMU_EVENT_ADDED && event.kind <= TCMU_EVENT_RECONFIG);
	fuzz_demand(strnlen(event.config, sizeof(event.config)) < sizeof(event.config));
	fuzz_demand(strnlen(event.name.name, sizeof(event.name.name)) < sizeof(event.name.name));
	fuzz_demand(event.name.name[0] != '\0');
	fuzz_demand((event.kind == TCMU_EVENT_RECONFIG) == (event.reconfig != 0));
	return 0;
}
