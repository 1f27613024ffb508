/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups as the kernel shows them in configfs: numbers in files, members as lines that
 * NULs follow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tcmu/port-groups.h>

#include "fake-root.h"

#define TARGET "/sys/kernel/config/target/"
#define DEVICE TARGET "core/user_5/disk/"
#define ISCSI  "iscsi/iqn.2003-01.org.example:disk/tpgt_1/"
#define LOOP   "loopback/naa.500140501/tpgt_2/"

static struct fake_root root;
static const struct tcmu_name disk = {.hba = 5, .name = "disk"};

static int port_groups_setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	return 0;
}

static int port_groups_teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void group_file(const char *group, const char *file, const char *text)
{
	char path[256];

	(void) snprintf(path, sizeof(path), DEVICE "alua/%s/%s", group, file);
	fake_root_write(&root, path, text);
}

/* With NULs, which a string cannot have. */
static void write_members(const char *group, const char *text, size_t length)
{
	char path[256];
	FILE *file;

	group_file(group, "members", "");
	(void) snprintf(path, sizeof(path), DEVICE "alua/%s/members", group);
	file = fopen(fake_root_path(&root, path), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static void make_group(const char *name, const char *id, const char *state, const char *access)
{
	group_file(name, "tg_pt_gp_id", id);
	group_file(name, "alua_access_state", state);
	group_file(name, "alua_access_status", "Altered by Explicit STPG\n");
	group_file(name, "alua_access_type", access);
	group_file(name, "implicit_trans_secs", "45\n");
	group_file(name, "preferred", "1\n");
	group_file(name, "alua_support_active_optimized", "1\n");
	group_file(name, "alua_support_active_nonoptimized", "1\n");
	group_file(name, "alua_support_standby", "0\n");
	group_file(name, "alua_support_unavailable", "1\n");
	group_file(name, "alua_support_transitioning", "1\n");
	group_file(name, "alua_support_offline", "1\n");
	group_file(name, "members", "");
}

static void a_group_is_read_from_its_files(void **state)
{
	struct tcmu_port_group *groups;

	(void) state;
	make_group("ao", "16\n", "2\n", "Implicit and Explicit\n");
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), 1);
	assert_string_equal(groups[0].name, "ao");
	assert_int_equal(groups[0].id, 16);
	assert_int_equal(groups[0].state, 2);
	assert_int_equal(groups[0].status, 1);
	assert_int_equal(groups[0].access, 3);
	assert_int_equal(groups[0].supported, 0x80 | 0x08 | 0x02 | 0x01);
	assert_int_equal(groups[0].transition_seconds, 45);
	assert_true(groups[0].preferred);
	assert_int_equal(groups[0].port_cnt, 0);
	tcmu_port_groups_free(groups, 1);
}

static void access_types_have_names(void **state)
{
	static const struct {
		const char *text;
		uint8_t access;
	} types[] = {
		{"None\n", 0},
		{"Implicit\n", 1},
		{"Explicit\n", 2},
		{"Implicit and Explicit\n", 3}};
	struct tcmu_port_group *groups;

	(void) state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		make_group("ao", "16\n", "0\n", types[i].text);
		assert_int_equal(tcmu_port_groups_read(&disk, &groups), 1);
		assert_int_equal(groups[0].access, types[i].access);
		tcmu_port_groups_free(groups, 1);
	}
}

static void groups_come_in_the_order_of_their_numbers(void **state)
{
	struct tcmu_port_group *groups;

	(void) state;
	make_group("a", "65535\n", "0\n", "None\n");
	make_group("b", "0\n", "0\n", "None\n");
	make_group("c", "300\n", "0\n", "None\n");
	make_group("unfinished", "", "0\n", "None\n");
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), 3);
	assert_int_equal(groups[0].id, 0);
	assert_int_equal(groups[1].id, 300);
	assert_int_equal(groups[2].id, 65535);
	tcmu_port_groups_free(groups, 3);
}

static void members_are_ports(void **state)
{
	static const char text[] = "iSCSI/iqn.2003-01.org.example:disk/tpgt_1/lun_0\n\0"
				   "loopback/naa.500140501/tpgt_2/lun_17\n\0"
				   "loopback/naa.500140501/tpgt_2/lun_18\n\0"
				   "loopback/naa.500140501\n\0"
				   "loopback/naa.500140501/tpgt_70000/lun_0\n\0"
				   "loopback/naa.500140501/tpgt_2/lun_0x\n";
	struct tcmu_port_group *groups;

	(void) state;
	make_group("ao", "1\n", "0\n", "None\n");
	write_members("ao", text, sizeof(text));
	fake_root_write(&root, TARGET ISCSI "enable", "0\n");
	fake_root_write(&root, TARGET ISCSI "lun/lun_0/statistics/scsi_port/indx", "513\n");
	fake_root_write(&root, TARGET LOOP "lun/lun_17/statistics/scsi_port/indx", "7\n");
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), 1);
	assert_int_equal(groups[0].port_cnt, 3);
	assert_true(groups[0].incomplete); /* three lines name no port */
	assert_string_equal(groups[0].ports[0].fabric, "iscsi");
	assert_string_equal(groups[0].ports[0].target, "iqn.2003-01.org.example:disk");
	assert_int_equal(groups[0].ports[0].tag, 1);
	assert_int_equal(groups[0].ports[0].id, 513);
	assert_false(groups[0].ports[0].enabled);
	assert_string_equal(groups[0].ports[1].fabric, "loopback");
	assert_int_equal(groups[0].ports[1].tag, 2);
	assert_int_equal(groups[0].ports[1].id, 7);
	assert_int_equal(groups[0].ports[2].id, 0); /* it has no index */
	/* A fabric that cannot be switched off is on. */
	assert_true(groups[0].ports[1].enabled);
	tcmu_port_groups_free(groups, 1);

	fake_root_write(&root, TARGET ISCSI "enable", "1\n");
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), 1);
	assert_true(groups[0].ports[0].enabled);
	tcmu_port_groups_free(groups, 1);
}

static void a_page_of_members_fits(void **state)
{
	char text[4096];
	struct tcmu_port_group *groups;

	(void) state;
	make_group("ao", "1\n", "0\n", "None\n");
	memset(text, '\n', sizeof(text));
	write_members("ao", text, 3840);
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), 1);
	assert_false(groups[0].incomplete);
	tcmu_port_groups_free(groups, 1);
	write_members("ao", text, sizeof(text));
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), 1);
	assert_int_equal(groups[0].port_cnt, 0);
	assert_true(groups[0].incomplete); /* the kernel may have left out some */
	tcmu_port_groups_free(groups, 1);
}

static void a_device_that_is_gone_has_no_groups(void **state)
{
	struct tcmu_port_group *groups;
	uint16_t id;

	(void) state;
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), -ENOENT);
	assert_int_equal(tcmu_port_groups_lu_group(&disk, &id), -ENOENT);
	assert_int_equal(tcmu_port_groups_set_state(&disk, "ao", 0, true), -ENOENT);
	fake_root_directory(&root, DEVICE "alua");
	assert_int_equal(tcmu_port_groups_read(&disk, &groups), 0);
	tcmu_port_groups_free(groups, 0);
}

static void a_state_is_set_with_its_cause(void **state)
{
	(void) state;
	make_group("ao", "1\n", "0\n", "Implicit\n");
	assert_int_equal(tcmu_port_groups_set_state(&disk, "ao", 2, false), 0);
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ao/alua_access_state"), "2");
	assert_string_equal(
		fake_root_read(&root, DEVICE "alua/ao/alua_access_status"),
		"Altered by Explicit STPG\n");
	group_file("ao", "alua_access_status", "Altered by Implicit ALUA\n");
	assert_int_equal(tcmu_port_groups_set_state(&disk, "ao", 3, true), 0);
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ao/alua_access_state"), "3");
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ao/alua_access_status"), "1");
}

static void the_logical_unit_group_has_a_number(void **state)
{
	uint16_t id = 0;

	(void) state;
	fake_root_write(&root, DEVICE "alua_lu_gp", "LU Group Alias: other\nLU Group ID: 513\n");
	assert_int_equal(tcmu_port_groups_lu_group(&disk, &id), 0);
	assert_int_equal(id, 513);
	fake_root_write(&root, DEVICE "alua_lu_gp", "\n");
	assert_int_equal(tcmu_port_groups_lu_group(&disk, &id), -ENOENT);
	fake_root_write(&root, DEVICE "alua_lu_gp", "LU Group ID: 70000\n");
	assert_int_equal(tcmu_port_groups_lu_group(&disk, &id), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_group_is_read_from_its_files, port_groups_setup, port_groups_teardown),
		cmocka_unit_test_setup_teardown(
			access_types_have_names, port_groups_setup, port_groups_teardown),
		cmocka_unit_test_setup_teardown(
			groups_come_in_the_order_of_their_numbers, port_groups_setup,
			port_groups_teardown),
		cmocka_unit_test_setup_teardown(
			members_are_ports, port_groups_setup, port_groups_teardown),
		cmocka_unit_test_setup_teardown(
			a_page_of_members_fits, port_groups_setup, port_groups_teardown),
		cmocka_unit_test_setup_teardown(
			a_device_that_is_gone_has_no_groups, port_groups_setup,
			port_groups_teardown),
		cmocka_unit_test_setup_teardown(
			a_state_is_set_with_its_cause, port_groups_setup, port_groups_teardown),
		cmocka_unit_test_setup_teardown(
			the_logical_unit_group_has_a_number, port_groups_setup,
			port_groups_teardown),
	};

	return cmocka_run_group_tests_name("port-groups", tests, NULL, NULL);
}
