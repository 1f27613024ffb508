/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of tcmu-runner.
 */
__attribute__((visibility("default"))) int handler_init(void);

int handler_init(void)
{
	return 0;
}
