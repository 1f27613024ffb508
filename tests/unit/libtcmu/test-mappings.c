/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mappings of a device's LUNs and its reservation, as the kernel shows them in configfs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tcmu/mappings.h>

#include "fake-root.h"

#define TARGET     "/sys/kernel/config/target/"
#define DEVICE     TARGET "core/user_5/disk/"
#define ISCSI      TARGET "iscsi/iqn.2003-01.org.example:disk/tpgt_1/"
#define LOOPBACK   TARGET "loopback/naa.500140501/tpgt_2/"
#define ALICE      ISCSI "acls/iqn.1993-08.org.debian:01:alice/"
#define BOB        ISCSI "acls/iqn.1993-08.org.debian:01:bob/"
#define NOT_HELD   "No SPC-3 Reservation holder\n"
#define TO_DEVICE  "../../../../../core/user_5/disk"
#define TO_ANOTHER "../../../../../core/user_5/another"

static struct fake_root root;
static const struct tcmu_name disk = {.hba = 5, .name = "disk"};
static struct tcmu_mappings mappings;

/* A portal group with two LUNs: number 0 is the device, number 1 is not. */
static int mappings_setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	fake_root_write(&root, DEVICE "pr/res_holder", NOT_HELD);
	fake_root_directory(&root, TARGET "core/user_5/another");
	fake_root_write(&root, TARGET "dbroot", "/etc/target\n");
	fake_root_write(&root, TARGET "iscsi/discovery_auth/enforce", "0\n");
	fake_root_link(&root, ISCSI "lun/lun_0/8a1b", TO_DEVICE);
	fake_root_link(&root, ISCSI "lun/lun_1/8a1c", TO_ANOTHER);
	fake_root_write(&root, ISCSI "lun/lun_0/alua_tg_pt_gp", "\n");
	fake_root_write(&root, ISCSI "attrib/generate_node_acls", "0\n");
	fake_root_write(&root, ISCSI "attrib/demo_mode_write_protect", "1\n");
	return 0;
}

static int mappings_teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

/* Maps a LUN to an initiator, whose LUN has another number. */
static void mappings_map(const char *initiator, const char *lun, const char *write_protect)
{
	char path[256], target[64];

	(void) snprintf(path, sizeof(path), "%slun_7/%s", initiator, lun);
	(void) snprintf(target, sizeof(target), "../../../lun/%s", lun);
	fake_root_link(&root, path, target);
	(void) snprintf(path, sizeof(path), "%slun_7/write_protect", initiator);
	if (write_protect)
		fake_root_write(&root, path, write_protect);
}

static void expect_mappings(unsigned initiators, bool write_protected, bool reserved)
{
	memset(&mappings, 0xff, sizeof(mappings));
	assert_int_equal(tcmu_mappings_read(&disk, &mappings), 0);
	assert_int_equal(mappings.initiators, initiators);
	assert_int_equal(mappings.write_protected, write_protected);
	assert_int_equal(mappings.reserved, reserved);
}

static void a_device_without_mappings_is_open(void **state)
{
	(void) state;
	expect_mappings(0, false, false);
	fake_root_drop(&root, ISCSI "lun/lun_0/8a1b");
	expect_mappings(0, false, false);
}

static void each_mapping_of_the_device_counts(void **state)
{
	(void) state;
	mappings_map(ALICE, "lun_0", "0\n");
	expect_mappings(1, false, false);
	mappings_map(BOB, "lun_0", "1\n");
	expect_mappings(2, true, false);
}

static void mappings_of_other_luns_do_not_count(void **state)
{
	(void) state;
	mappings_map(ALICE, "lun_1", "1\n");
	expect_mappings(0, false, false);
	/* nor an initiator without LUNs */
	fake_root_directory(&root, BOB "attrib");
	expect_mappings(0, false, false);
}

static void initiators_without_a_mapping_count(void **state)
{
	(void) state;
	fake_root_write(&root, ISCSI "attrib/generate_node_acls", "1\n");
	expect_mappings(1, true, false);
	fake_root_write(&root, ISCSI "attrib/demo_mode_write_protect", "0\n");
	expect_mappings(1, false, false);
	/* a portal group without the device */
	fake_root_write(&root, TARGET "iscsi/iqn.x/tpgt_1/attrib/generate_node_acls", "1\n");
	fake_root_write(&root, TARGET "iscsi/iqn.x/tpgt_1/attrib/demo_mode_write_protect", "1\n");
	expect_mappings(1, false, false);
}

static void every_fabric_and_portal_group_counts(void **state)
{
	(void) state;
	fake_root_link(&root, LOOPBACK "lun/lun_0/x", TO_DEVICE);
	expect_mappings(1, false, false); /* which has no attributes and mappings */
	fake_root_link(&root, TARGET "iscsi/iqn.x/tpgt_9/lun/lun_3/x", TO_DEVICE);
	fake_root_link(&root, TARGET "iscsi/iqn.x/tpgt_9/acls/iqn.y/lun_0/x", "../../../lun/lun_3");
	fake_root_write(&root, TARGET "iscsi/iqn.x/tpgt_9/acls/iqn.y/lun_0/write_protect", "1\n");
	expect_mappings(3, true, false);
}

static void a_reservation_of_any_kind_is_found(void **state)
{
	static const struct {
		const char *text;
		bool reserved;
	} cases[] = {
		{NOT_HELD, false},
		{"No SPC-2 Reservation holder\n", false},
		{"SPC_RESERVATIONS_DISABLED\n", false},
		{"Passthrough\n", false},
		{"SPC-3 Reservation: iSCSI Initiator: iqn.x,i,0x1\n", true},
		{"SPC-2 Reservation: iSCSI Initiator: iqn.x\n", true},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_root_write(&root, DEVICE "pr/res_holder", cases[i].text);
		expect_mappings(0, false, cases[i].reserved);
	}
}

/* An unknown mapping or reservation is not taken for none. */
static void what_cannot_be_read_is_an_error(void **state)
{
	static const struct tcmu_name gone = {.hba = 5, .name = "gone"};

	(void) state;
	assert_int_equal(tcmu_mappings_read(&gone, &mappings), -ENOENT);

	fake_root_write(&root, DEVICE "pr/res_holder", "what is this\n");
	assert_int_equal(tcmu_mappings_read(&disk, &mappings), -EBADMSG);
	fake_root_write(&root, DEVICE "pr/res_holder", "");
	assert_int_equal(tcmu_mappings_read(&disk, &mappings), -EBADMSG);
	fake_root_drop(&root, DEVICE "pr/res_holder");
	assert_int_equal(tcmu_mappings_read(&disk, &mappings), -ENOENT);
	fake_root_write(&root, DEVICE "pr/res_holder", NOT_HELD);

	fake_root_write(&root, ISCSI "attrib/generate_node_acls", "?\n");
	assert_int_equal(tcmu_mappings_read(&disk, &mappings), -EBADMSG);
	fake_root_write(&root, ISCSI "attrib/generate_node_acls", "1\n");
	fake_root_write(&root, ISCSI "attrib/demo_mode_write_protect", "");
	assert_int_equal(tcmu_mappings_read(&disk, &mappings), -EBADMSG);
	fake_root_write(&root, ISCSI "attrib/generate_node_acls", "0\n");

	mappings_map(ALICE, "lun_0", NULL);
	assert_int_equal(tcmu_mappings_read(&disk, &mappings), -ENOENT);
	mappings_map(BOB, "lun_0", "2\n");
	assert_true(tcmu_mappings_read(&disk, &mappings) < 0);
}

/* A mapping that goes away leaves links that lead nowhere. */
static void dangling_links_are_no_mappings(void **state)
{
	(void) state;
	fake_root_link(&root, ALICE "lun_3/x", "../../../lun/lun_8");
	fake_root_link(&root, ISCSI "lun/lun_4/x", "../../../../../core/user_5/gone");
	expect_mappings(0, false, false);
}

/* ------- two devices ------- */

static const struct tcmu_name another = {.hba = 5, .name = "another"};

static void expect_compared(bool may_read, bool may_write)
{
	bool reads = !may_read, writes = !may_write;

	assert_int_equal(tcmu_mappings_compare(&disk, &another, &reads, &writes), 0);
	assert_int_equal(reads, may_read);
	assert_int_equal(writes, may_write);
}

/* Maps a LUN under the number 9. */
static void mappings_map_another(const char *initiator, const char *write_protect)
{
	char path[256];

	(void) snprintf(path, sizeof(path), "%slun_9/x", initiator);
	fake_root_link(&root, path, "../../../lun/lun_1");
	(void) snprintf(path, sizeof(path), "%slun_9/write_protect", initiator);
	fake_root_write(&root, path, write_protect);
}

static void every_initiator_of_one_must_have_the_other(void **state)
{
	(void) state;
	expect_compared(false, false); /* no initiator could have sent a command */
	mappings_map(ALICE, "lun_0", "0\n");
	expect_compared(false, false);
	mappings_map_another(ALICE, "0\n");
	expect_compared(true, true);
	mappings_map(BOB, "lun_0", "1\n"); /* the protection of the first does not count */
	expect_compared(false, false);
	mappings_map_another(BOB, "1\n");
	expect_compared(true, false);
	fake_root_write(&root, BOB "lun_9/write_protect", "0\n");
	expect_compared(true, true);
}

static void an_initiator_may_have_the_other_by_another_target(void **state)
{
	static const char elsewhere[] = TARGET "iscsi/iqn.x/tpgt_1/";
	char path[256];

	(void) state;
	mappings_map(ALICE, "lun_0", "0\n");
	(void) snprintf(path, sizeof(path), "%slun/lun_1/x", elsewhere);
	fake_root_link(&root, path, TO_DEVICE "/../another");
	(void) snprintf(path, sizeof(path), "%sattrib/generate_node_acls", elsewhere);
	fake_root_write(&root, path, "0\n");
	expect_compared(false, false);
	(void) snprintf(path, sizeof(path), "%sacls/iqn.1993-08.org.debian:01:bob/", elsewhere);
	mappings_map_another(path, "0\n");
	expect_compared(false, false);
	(void) snprintf(path, sizeof(path), "%sacls/iqn.1993-08.org.debian:01:alice/", elsewhere);
	mappings_map_another(path, "0\n");
	expect_compared(true, true);
}

/* Initiators without a mapping are the same in one portal group only, or on this host. */
static void initiators_without_a_mapping_are_known_by_their_portal_group(void **state)
{
	(void) state;
	fake_root_write(&root, ISCSI "attrib/generate_node_acls", "1\n");
	expect_compared(true, false);
	fake_root_write(&root, ISCSI "attrib/demo_mode_write_protect", "0\n");
	expect_compared(true, true);
	fake_root_drop(&root, ISCSI "lun/lun_1/8a1c");
	expect_compared(false, false);
	fake_root_link(&root, TARGET "iscsi/iqn.x/tpgt_1/lun/lun_1/x", TO_ANOTHER);
	expect_compared(false, false);
	fake_root_drop(&root, ISCSI "lun/lun_0/8a1b");
	fake_root_link(&root, LOOPBACK "lun/lun_0/x", TO_DEVICE);
	expect_compared(false, false);
	fake_root_link(&root, TARGET "loopback/naa.9/tpgt_1/lun/lun_0/x", TO_ANOTHER);
	expect_compared(true, true);
	fake_root_link(&root, TARGET "vhost/naa.1/tpgt_1/lun/lun_0/x", TO_DEVICE);
	fake_root_link(&root, TARGET "vhost/naa.2/tpgt_1/lun/lun_0/x", TO_ANOTHER);
	expect_compared(false, false); /* two virtual machines */
	fake_root_link(&root, TARGET "vhost/naa.1/tpgt_1/lun/lun_1/x", TO_ANOTHER);
	expect_compared(true, true);
}

static void a_comparison_with_an_unknown_device_is_an_error(void **state)
{
	static const struct tcmu_name gone = {.hba = 5, .name = "gone"};
	bool reads = true, writes = true;

	(void) state;
	mappings_map(ALICE, "lun_0", "0\n");
	assert_int_equal(tcmu_mappings_compare(&disk, &gone, &reads, &writes), -ENOENT);
	assert_false(reads || writes);
	reads = writes = true;
	assert_int_equal(tcmu_mappings_compare(&gone, &disk, &reads, &writes), -ENOENT);
	assert_false(reads || writes);
}

#define MAPPINGS_TEST(test) cmocka_unit_test_setup_teardown(test, mappings_setup, mappings_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MAPPINGS_TEST(a_device_without_mappings_is_open),
		MAPPINGS_TEST(each_mapping_of_the_device_counts),
		MAPPINGS_TEST(mappings_of_other_luns_do_not_count),
		MAPPINGS_TEST(initiators_without_a_mapping_count),
		MAPPINGS_TEST(every_fabric_and_portal_group_counts),
		MAPPINGS_TEST(a_reservation_of_any_kind_is_found),
		MAPPINGS_TEST(what_cannot_be_read_is_an_error),
		MAPPINGS_TEST(dangling_links_are_no_mappings),
		MAPPINGS_TEST(every_initiator_of_one_must_have_the_other),
		MAPPINGS_TEST(an_initiator_may_have_the_other_by_another_target),
		MAPPINGS_TEST(initiators_without_a_mapping_are_known_by_their_portal_group),
		MAPPINGS_TEST(a_comparison_with_an_unknown_device_is_an_error),
	};

	return cmocka_run_group_tests_name("mappings", tests, NULL, NULL);
}
