/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual page of the file handler has every option of its table.
 */
#include "fake-host.h"

#include <stdio.h>
#include <string.h>

static void every_option_is_in_the_manual_page_with_its_default(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	static char manual[64 * 1024];
	FILE *file = fopen(MANUAL, "re");

	(void) state;
	assert_non_null(file);
	manual[fread(manual, 1, sizeof(manual) - 1, file)] = '\0';
	(void) fclose(file);
	for (const struct tcmu_option *option = host->handler->options; option->name; option++) {
		char item[64];

		(void) snprintf(
			item, sizeof(item), "\n.It Cm %s Ns = Ns Sy %s\n", option->name,
			option->def);
		assert_non_null(option->help);
		if (!strstr(manual, item))
			fail_msg("not in the manual page: %s", item);
	}
	fake_host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_is_in_the_manual_page_with_its_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
