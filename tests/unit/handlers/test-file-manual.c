/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual page of the file handler has every option of its table.
 */
#include "fake-host.h"

static void every_option_is_in_the_manual_page_with_its_default(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);

	(void) state;
	fake_check_manual_options(host, MANUAL);
	fake_host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_is_in_the_manual_page_with_its_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
