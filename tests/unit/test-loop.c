/* SPDX-License-Identifier: Apache-2.0 */
#include "loop-rig.h"

#include <string.h>

static void serves_what_is_written_and_read(void **state)
{
	struct rig rig;
	uint8_t out[8 * RIG_BLOCK] = {0}, in[8 * RIG_BLOCK];
	struct rig_command write = rig_write(16, 8, out), read = rig_read(16, 8, in);

	(void) state;
	rig_start(&rig, &(struct rig_options){0});
	rig_pattern(out, sizeof(out), 1);
	assert_int_equal(rig_do(&rig, &write), SCSI_GOOD);
	assert_memory_equal(backend_store(rig.backend) + 16 * RIG_BLOCK, out, sizeof(out));
	assert_int_equal(rig_do(&rig, &read), SCSI_GOOD);
	assert_memory_equal(in, out, sizeof(out));
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_what_is_written_and_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
