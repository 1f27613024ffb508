/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups byte by byte: REPORT and SET TARGET PORT GROUPS (SPC-4 6.37, 6.45), and their
 * fields in VPD 83h and in the standard INQUIRY data (SPC-4 7.8.6, 6.6.2).
 */
#include "scsi-fixture.h"

#include <errno.h>

#define RTPG(format) CDB(0xa3, (format) | 0x0a)

/* The fixture's two groups. */
#define GROUPS \
	0x80, 0x8f, 0x00, 0x01, 0, 0x01, 0, 2, 0, 0, 0, 0x01, 0, 0, 0x02, \
		0x03, /* the first and its two ports */ \
		0x02, 0x05, 0x12, 0x34, 0, 0x02, 0, 1, 0, 0, 0, 0x03

static void groups_are_reported_with_their_ports(void **state)
{
	static const uint8_t wanted[] = {0, 0, 0, 28, GROUPS};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_expect_data(&fixture, RTPG(0x00), 6, 4, wanted, sizeof(wanted));
}

static void the_extended_header_has_the_transition_time(void **state)
{
	static const uint8_t wanted[] = {0, 0, 0, 32, 0x10, 45, 0, 0, GROUPS};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_expect_data(&fixture, RTPG(0x20), 6, 4, wanted, sizeof(wanted));
}

static void no_groups_are_an_empty_list(void **state)
{
	static const uint8_t wanted[] = {0, 0, 0, 0};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.ports.group_cnt = 0;
	scsi_fixture_expect_data(&fixture, RTPG(0x00), 6, 4, wanted, sizeof(wanted));
}

static void as_many_groups_and_ports_as_there_may_be_fit(void **state)
{
	struct scsi_fixture fixture;
	unsigned length = 4 + SCSI_PORT_GROUPS_MAX * (8 + 4 * SCSI_GROUP_PORTS_MAX);

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.ports.group_cnt = SCSI_PORT_GROUPS_MAX;
	for (unsigned i = 0; i < SCSI_PORT_GROUPS_MAX; i++)
		fixture.lu.ports.groups[i].port_cnt = SCSI_GROUP_PORTS_MAX;
	scsi_fixture_run(&fixture, CDB(0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 65535);
	assert_int_equal(fixture.result.data_length, length);
	assert_int_equal(fixture.data[2] << 8 | fixture.data[3], length - 4);
}

static void states_are_refreshed_before_they_are_reported(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.lu_info_fresh = false;
	assert_int_equal(scsi_fixture_run(&fixture, RTPG(0), 0), SCSI_NEEDS_LU_INFO);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0xa4, 0x0a), 0), SCSI_NEEDS_LU_INFO);
	/* Which says whether SET TARGET PORT GROUPS is there. */
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0xa3, 0x0c), 0), SCSI_NEEDS_LU_INFO);
	assert_int_equal(scsi_fixture_run(&fixture, CDB(0xa3, 0x0d), 0), SCSI_ANSWERED);
}

static void tpgs_follows_from_the_groups(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_fixture_run(&fixture, CDB(0x12, 0, 0, 0, 96), 96);
	assert_int_equal(fixture.data[5] & 0x30, 0x30);
	fixture.lu.ports.groups[0].access = 0;
	scsi_fixture_run(&fixture, CDB(0x12, 0, 0, 0, 96), 96);
	assert_int_equal(fixture.data[5] & 0x30, 0x10);
	fixture.lu.ports.groups[1].access = SCSI_ACCESS_EXPLICIT;
	scsi_fixture_run(&fixture, CDB(0x12, 0, 0, 0, 96), 96);
	assert_int_equal(fixture.data[5] & 0x30, 0x20);
	fixture.lu.has_port_groups = false;
	scsi_fixture_run(&fixture, CDB(0x12, 0, 0, 0, 96), 96);
	assert_int_equal(fixture.data[5] & 0x30, 0);
}

/* ------- SET TARGET PORT GROUPS ------- */

static enum scsi_verdict set_groups(struct scsi_fixture *fixture, const void *list, uint8_t length)
{
	return scsi_fixture_send(
		fixture, CDB(0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, length), list, length);
}

static void states_are_planned_in_their_order(void **state)
{
	static const uint8_t list[] = {0, 0, 0, 0, 0x01, 0, 0x00, 0x01, 0xf0, 0xff, 0x00, 0x07};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.ports.groups[1].id = 7;
	fixture.lu.ports.groups[1].access = SCSI_ACCESS_EXPLICIT;
	assert_int_equal(set_groups(&fixture, list, sizeof(list)), SCSI_PLANNED);
	assert_int_equal(fixture.result.plan.op, SCSI_PLAN_SET_GROUPS);
	assert_int_equal(fixture.result.states.cnt, 2);
	assert_int_equal(fixture.result.states.to[0].id, 1);
	assert_int_equal(fixture.result.states.to[0].state, SCSI_ACTIVE_NONOPTIMIZED);
	assert_int_equal(fixture.result.states.to[1].id, 7);
	assert_int_equal(fixture.result.states.to[1].state, SCSI_ACTIVE_OPTIMIZED);
}

static void an_empty_list_changes_nothing(void **state)
{
	static const uint8_t header[4];
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	assert_int_equal(set_groups(&fixture, NULL, 0), SCSI_ANSWERED);
	expect_good(&fixture);
	assert_int_equal(set_groups(&fixture, header, 4), SCSI_ANSWERED);
	expect_good(&fixture);
}

static void a_list_of_a_wrong_length_is_refused(void **state)
{
	static const uint8_t list[SCSI_PORT_GROUPS_MAX * 4 + 8];
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (unsigned length = 1; length <= 11; length++) {
		if (length % 4 == 0)
			continue;
		set_groups(&fixture, list, (uint8_t) length);
		expect_sense(&fixture, 0x05, 0x1a, 0x00);
	}
	set_groups(&fixture, list, sizeof(list)); /* more than there may be groups */
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
	/* more promised than sent */
	scsi_fixture_send(&fixture, CDB(0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 8), list, 4);
	expect_sense(&fixture, 0x05, 0x1a, 0x00);
}

static void an_unsupported_state_is_refused(void **state)
{
	static const uint8_t states[] = {0x04, 0x05, 0x0d, 0x0e, 0x0f};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	for (size_t i = 0; i < sizeof(states); i++) {
		uint8_t list[8] = {0, 0, 0, 0, states[i], 0, 0x00, 0x01};

		set_groups(&fixture, list, sizeof(list));
		expect_bad_list(&fixture, 4, 3);
	}
	fixture.lu.ports.groups[0].supported = 0x8e;
	set_groups(&fixture, (const uint8_t[]){0, 0, 0, 0, 0x00, 0, 0x00, 0x01}, 8);
	expect_bad_list(&fixture, 4, 3);
}

static void groups_that_initiators_may_not_change_are_refused(void **state)
{
	static const uint8_t implicit[] = {0, 0, 0, 0, 0x00, 0, 0x12, 0x34};
	static const uint8_t unknown[] = {0, 0, 0, 0, 0x00, 0, 0x00, 0x01, 0x00, 0, 0x00, 0x02};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	set_groups(&fixture, implicit, sizeof(implicit));
	expect_bad_list(&fixture, 6, -1);
	/* The group before it is not changed either. */
	assert_int_equal(set_groups(&fixture, unknown, sizeof(unknown)), SCSI_ANSWERED);
	expect_bad_list(&fixture, 10, -1);
}

static void a_change_that_fails_is_reported(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_groups_end(-EINVAL, &fixture.result);
	assert_int_equal(fixture.result.status, SCSI_CHECK_CONDITION);
	assert_int_equal(fixture.result.sense.key, 0x04);
	assert_int_equal(fixture.result.sense.asc << 8 | fixture.result.sense.ascq, 0x670a);
	scsi_groups_end(0, &fixture.result);
	assert_int_equal(fixture.result.status, SCSI_GOOD);
}

/* ------- device identification ------- */

/* The bytes after the three designators that are always present. */
static void expect_reach(struct scsi_fixture *fixture, const uint8_t *wanted, size_t length)
{
	scsi_fixture_run(fixture, CDB(0x12, 0x01, 0x83, 0xff, 0xff), 65535);
	assert_int_equal(fixture->result.data_length, 4 + 49 + 20 + 23 + length);
	assert_int_equal(fixture->data[2] << 8 | fixture->data[3], 49 + 20 + 23 + length);
	assert_memory_equal(fixture->data + 4 + 49 + 20 + 23, wanted, length);
}

static void the_port_is_reported_if_it_is_known(void **state)
{
	static const uint8_t wanted[] = {0x01, 0x14, 0, 4, 0, 0, 0x02, 0x03,
					 0x01, 0x15, 0, 4, 0, 0, 1,    2,
					 0x01, 0x06, 0, 4, 0, 0, 0,    0x10};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	expect_reach(&fixture, NULL, 0);
	fixture.lu.ports.port_known = fixture.lu.ports.group_known =
		fixture.lu.ports.lu_group_known = true;
	fixture.lu.ports.port = 0x0203;
	fixture.lu.ports.group = 0x0102;
	fixture.lu.ports.lu_group = 0x10;
	expect_reach(&fixture, wanted, sizeof(wanted));
	fixture.lu.ports.port_known = false;
	expect_reach(&fixture, wanted + 8, sizeof(wanted) - 8);
	/* Groups that the target core does not know are not reported. */
	fixture.lu.has_port_groups = false;
	expect_reach(&fixture, NULL, 0);
}

/* SPC-4 7.8.6.11: filled up with NULs to a multiple of four, at least one. */
static void iscsi_names_are_reported(void **state)
{
	static const struct {
		const char *name;
		uint8_t port; /* DESIGNATOR LENGTH */
		uint8_t device;
	} names[] = {{"iqn.a", 16, 8}, {"iqn.ab", 16, 8}, {"iqn.abc", 20, 8}, {"iqn.abcd", 20, 12}};
	struct scsi_fixture fixture;

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint8_t wanted[64] = {0x03, 0x18, 0, names[i].port};
		uint8_t *device = wanted + 4 + names[i].port;
		size_t length = strlen(names[i].name);

		scsi_fixture_init(&fixture);
		strcpy(fixture.lu.ports.iscsi_name, names[i].name);
		fixture.lu.ports.tag = 0x2f;
		memcpy(wanted + 4, names[i].name, length);
		memcpy(wanted + 4 + length, ",t,0x002f", 9);
		device[0] = 0x03;
		device[1] = 0x28;
		device[3] = names[i].device;
		memcpy(device + 4, names[i].name, length);
		expect_reach(&fixture, wanted, 8u + names[i].port + names[i].device);
	}
}

static void the_longest_iscsi_name_fits(void **state)
{
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	memset(fixture.lu.ports.iscsi_name, 'n', sizeof(fixture.lu.ports.iscsi_name) - 1);
	fixture.lu.ports.tag = 0xffff;
	scsi_fixture_run(&fixture, CDB(0x12, 0x01, 0x83, 0xff, 0xff), 65535);
	assert_int_equal(fixture.result.data_length, 4 + 49 + 20 + 23 + 4 + 236 + 4 + 224);
	assert_memory_equal(fixture.data + 4 + 49 + 20 + 23 + 4 + 223, ",t,0xffff", 10);
}

/* ------- LU info ------- */

static void saved_mode_parameters_are_taken_once(void **state)
{
	struct scsi_lu_info info = {
		.serial = "1",
		.has_saved = true,
		.saved = {.write_cache = false, .software_write_protect = true}};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_set_lu_info(&fixture.lu, &info);
	assert_true(
		fixture.lu.can_save && fixture.lu.software_write_protect &&
		!fixture.lu.write_cache);
	assert_string_equal(fixture.lu.serial, "1");
	/* Later changes by initiators stay. */
	fixture.lu.software_write_protect = false;
	scsi_set_lu_info(&fixture.lu, &info);
	assert_false(fixture.lu.software_write_protect);
	assert_true(fixture.lu.saved.software_write_protect);
}

static void without_a_serial_nothing_can_be_saved(void **state)
{
	struct scsi_lu_info info = {.ports = {.group_cnt = 3}};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	scsi_set_lu_info(&fixture.lu, &info);
	assert_false(fixture.lu.can_save);
	assert_int_equal(fixture.lu.ports.group_cnt, 3);
}

static void without_saved_values_the_defaults_are_reported(void **state)
{
	struct scsi_lu_info info = {.serial = "1"};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.write_cache = false;
	fixture.lu.descriptor_sense = true;
	scsi_set_lu_info(&fixture.lu, &info);
	assert_true(
		fixture.lu.can_save && fixture.lu.saved.write_cache &&
		!fixture.lu.saved.descriptor_sense);
	/* The current values are not touched. */
	assert_true(fixture.lu.descriptor_sense && !fixture.lu.write_cache);
}

static void a_cache_that_cannot_be_changed_is_not(void **state)
{
	struct scsi_lu_info info = {
		.serial = "1", .has_saved = true, .saved = {.write_cache = true}};
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.write_cache = fixture.lu.write_cache_changeable = false;
	scsi_set_lu_info(&fixture.lu, &info);
	assert_false(fixture.lu.write_cache || fixture.lu.saved.write_cache);
}

static void values_that_could_not_be_saved_are_not_reported(void **state)
{
	static const uint8_t list[] = {0, 0,    0, 0, 0x0a, 0x0a, 0x06, 0x10,
				       0, 0x40, 0, 0, 0xff, 0xff, 0,    0};
	struct scsi_mode_values before;
	struct scsi_fixture fixture;

	(void) state;
	scsi_fixture_init(&fixture);
	fixture.lu.can_save = true;
	before = fixture.lu.saved;
	scsi_fixture_send(&fixture, CDB(0x15, 0x11, 0, 0, sizeof(list)), list, sizeof(list));
	assert_true(fixture.result.save);
	scsi_save_failed(&fixture.lu, &before, &fixture.result);
	assert_int_equal(fixture.result.sense.key << 16 | fixture.result.sense.asc << 8, 0x044400);
	assert_false(fixture.lu.saved.descriptor_sense);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_are_reported_with_their_ports),
		cmocka_unit_test(the_extended_header_has_the_transition_time),
		cmocka_unit_test(no_groups_are_an_empty_list),
		cmocka_unit_test(as_many_groups_and_ports_as_there_may_be_fit),
		cmocka_unit_test(states_are_refreshed_before_they_are_reported),
		cmocka_unit_test(tpgs_follows_from_the_groups),
		cmocka_unit_test(states_are_planned_in_their_order),
		cmocka_unit_test(an_empty_list_changes_nothing),
		cmocka_unit_test(a_list_of_a_wrong_length_is_refused),
		cmocka_unit_test(an_unsupported_state_is_refused),
		cmocka_unit_test(groups_that_initiators_may_not_change_are_refused),
		cmocka_unit_test(a_change_that_fails_is_reported),
		cmocka_unit_test(the_port_is_reported_if_it_is_known),
		cmocka_unit_test(iscsi_names_are_reported),
		cmocka_unit_test(the_longest_iscsi_name_fits),
		cmocka_unit_test(saved_mode_parameters_are_taken_once),
		cmocka_unit_test(without_a_serial_nothing_can_be_saved),
		cmocka_unit_test(without_saved_values_the_defaults_are_reported),
		cmocka_unit_test(a_cache_that_cannot_be_changed_is_not),
		cmocka_unit_test(values_that_could_not_be_saved_are_not_reported),
	};

	return cmocka_run_group_tests_name("scsi-alua", tests, NULL, NULL);
}
