/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness, REQUEST SENSE, and what a fixed disk answers to START STOP UNIT and its kin. */
#include "scsi-rig.h"

static void the_unit_is_always_ready(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	assert_int_equal(rig_run(&rig, CDB(0x00), 0), SCSI_ANSWERED);
	expect_good(&rig);
}

static void request_sense_has_nothing_to_tell(void **state)
{
	static const uint8_t fixed[18] = {0x70, [7] = 10};
	static const uint8_t descriptors[8] = {0x72};
	struct rig rig;

	(void) state;
	rig_init(&rig);
	for (unsigned d_sense = 0; d_sense < 2; d_sense++) {
		rig.lu.descriptor_sense = d_sense;
		rig_expect_data(&rig, CDB(0x03), 4, 1, fixed, sizeof(fixed));
		rig_expect_data(&rig, CDB(0x03, 0x01), 4, 1, descriptors, sizeof(descriptors));
	}
}

static void request_sense_tells_and_clears_unit_attentions(void **state)
{
	static const uint8_t first[18] = {0x70, 0, 0x06, [7] = 10, [12] = 0x2a, 0x01};
	static const uint8_t second[8] = {0x72, 0x06, 0x2a, 0x09};
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig.lu.unit_attention = SCSI_UA_CAPACITY | SCSI_UA_MODE_PARAMETERS;
	rig_run(&rig, CDB(0x03, 0, 0, 0, 252), 252);
	assert_int_equal(rig.result.status, SCSI_GOOD);
	assert_int_equal(rig.result.data_length, sizeof(first));
	assert_memory_equal(rig.data, first, sizeof(first));
	assert_int_equal(rig.lu.unit_attention, SCSI_UA_CAPACITY);
	rig_run(&rig, CDB(0x03, 0x01, 0, 0, 252), 252);
	assert_memory_equal(rig.data, second, sizeof(second));
	assert_int_equal(rig.lu.unit_attention, 0);
}

static void starting_does_nothing(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	assert_int_equal(rig_run(&rig, CDB(0x1b, 0, 0, 0, 0x01), 0), SCSI_ANSWERED);
	expect_good(&rig);
	assert_int_equal(rig_run(&rig, CDB(0x1b, 1, 0, 0, 0x05), 0), SCSI_ANSWERED);
	expect_good(&rig);
}

static void stopping_makes_data_safe(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	assert_int_equal(rig_run(&rig, CDB(0x1b, 0, 0, 0, 0x00), 0), SCSI_PLANNED);
	expect_plan(&rig, SCSI_PLAN_FLUSH, 0, 0, 0);
	assert_int_equal(rig_run(&rig, CDB(0x1b, 1, 0, 0, 0x00), 0), SCSI_PLANNED);
	expect_plan(&rig, SCSI_PLAN_FLUSH, SCSI_PLAN_IMMEDIATE, 0, 0);
	assert_int_equal(rig_run(&rig, CDB(0x1b, 0, 0, 0, 0x04), 0), SCSI_ANSWERED);
	expect_good(&rig);
	/* other initiators go on */
	rig_run(&rig, CDB(0x00), 0);
	expect_good(&rig);
}

static void a_fixed_disk_is_neither_ejected_nor_put_to_sleep(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig_run(&rig, CDB(0x1b, 0, 0, 0, 0x02), 0); /* LOEJ */
	expect_bad_cdb(&rig, 4, 1);
	rig_run(&rig, CDB(0x1b, 0, 0, 0, 0x30), 0); /* POWER CONDITION: STANDBY */
	expect_bad_cdb(&rig, 4, 5);
	rig_run(&rig, CDB(0x1b, 0, 0, 0x01, 0), 0); /* POWER CONDITION MODIFIER */
	expect_bad_cdb(&rig, 3, 0);
}

static void removal_can_be_prevented_and_allowed(void **state)
{
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig_run(&rig, CDB(0x1e, 0, 0, 0, 1), 0);
	expect_good(&rig);
	rig_run(&rig, CDB(0x1e, 0, 0, 0, 0), 0);
	expect_good(&rig);
	rig_run(&rig, CDB(0x1e, 0, 0, 0, 2), 0);
	expect_bad_cdb(&rig, 4, 1);
}

static void task_management_is_reported(void **state)
{
	static const uint8_t basic[4] = {0x88};
	static const uint8_t extended[16] = {0x88, 0, 0, 0x0c};
	struct rig rig;

	(void) state;
	rig_init(&rig);
	rig_expect_data(&rig, CDB(0xa3, 0x0d), 6, 4, basic, sizeof(basic));
	rig_expect_data(&rig, CDB(0xa3, 0x0d, 0x80), 6, 4, extended, sizeof(extended));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_unit_is_always_ready),
		cmocka_unit_test(request_sense_has_nothing_to_tell),
		cmocka_unit_test(request_sense_tells_and_clears_unit_attentions),
		cmocka_unit_test(starting_does_nothing),
		cmocka_unit_test(stopping_makes_data_safe),
		cmocka_unit_test(a_fixed_disk_is_neither_ejected_nor_put_to_sleep),
		cmocka_unit_test(removal_can_be_prevented_and_allowed),
		cmocka_unit_test(task_management_is_reported),
	};

	return cmocka_run_group_tests_name("scsi-spc", tests, NULL, NULL);
}
