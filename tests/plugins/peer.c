/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin as tcmu-runner has them.
 */
__attribute__((visibility("default"))) int handler_init(void);

int handler_init(void)
{
	return 0;
}
