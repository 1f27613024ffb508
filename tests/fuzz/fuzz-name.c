/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any string as the name of a uio device. A decoded name must give the same string when put
 * together.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/scan.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_demand(int condition)
{
	if (!condition)
		abort();
}

static void check_name(const char *text, const struct tcmu_name *name)
{
	char whole[sizeof(*name) + 32];
	size_t subtype = strlen(name->subtype);

	fuzz_demand(!strchr(name->name, '/') && !strchr(name->subtype, '/'));
	fuzz_demand(strncmp(name->config, name->subtype, subtype) == 0);
	snprintf(whole, sizeof(whole), "tcm-user/%u/%s/%s", name->hba, name->name, name->config);
	if (strcmp(text, whole) == 0)
		return;
	fuzz_demand(name->config[0] == '\0'); /* the last '/' may be missing */
	whole[strlen(whole) - 1] = '\0';
	fuzz_demand(strcmp(text, whole) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct tcmu_name name;
	int r;

	fuzz_demand(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	r = tcmu_name_parse(text, &name);
	fuzz_demand(r == 0 || r == -EINVAL || r == -ENAMETOOLONG);
	if (r == 0)
		check_name(text, &name);
	free(text);
	return 0;
}
