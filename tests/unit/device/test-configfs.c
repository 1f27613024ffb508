/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit serial and the ports of a device, read from a made-up configfs; and mode parameters that
 * are saved for a serial.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <tcmu/scan.h>
#include <tcmu/uio.h>

#include "device/configfs.h"
#include "device/env.h"
#include "device/marks.h"
#include "fake-root.h"
#include "io/format.h"

#define TARGET "/sys/kernel/config/target/"
#define DEVICE TARGET "core/user_5/disk/"
#define FIRST  "iqn.2003-01.org.example:first"
#define SECOND "iqn.2003-01.org.example:second"

static struct fake_root root;
static const struct tcmu_name disk = {.hba = 5, .name = "disk"};
static struct scsi_lu_info lu_info;
static char state_dir[128];

static int setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	(void) snprintf(
		state_dir, sizeof(state_dir), "%s", fake_root_path(&root, "/var/lib/tcmud"));
	fake_root_write(&root, DEVICE "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: 1a2b\n");
	fake_root_directory(&root, DEVICE "alua");
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

/* ------- the guard ------- */

#define LUNS     TARGET "loopback/naa.5001405/tpgt_1/lun/"
#define TO_CORE  "../../../../../core/user_5/"
#define NOT_HELD "No SPC-3 Reservation holder\n"

static void the_guard_fails_with_what_is_in_force(void **state)
{
	static const char attributes[] = TARGET "iscsi/" FIRST "/tpgt_1/attrib/";
	char path[256];

	(void) state;
	assert_int_equal(configfs_check_mappings(&disk), -ENOENT); /* pr/res_holder */
	fake_root_write(&root, DEVICE "pr/res_holder", NOT_HELD);
	fake_root_link(&root, TARGET "iscsi/" FIRST "/tpgt_1/lun/lun_0/x", TO_CORE "disk");
	assert_int_equal(configfs_check_mappings(&disk), 0);
	fake_root_write(&root, DEVICE "pr/res_holder", "SPC-3 Reservation: iSCSI\n");
	assert_int_equal(configfs_check_mappings(&disk), -EBUSY);
	(void) snprintf(path, sizeof(path), "%sdemo_mode_write_protect", attributes);
	fake_root_write(&root, path, "1\n");
	assert_int_equal(configfs_check_mappings(&disk), -EROFS);
}

static void a_copy_needs_the_other_disk_mapped_and_not_reserved(void **state)
{
	static const struct tcmu_name other = {.hba = 5, .name = "other"}, none = {.hba = 5};

	(void) state;
	fake_root_link(&root, LUNS "lun_0/x", TO_CORE "disk");
	fake_root_write(&root, TARGET "core/user_5/other/pr/res_holder", NOT_HELD);
	assert_int_equal(configfs_check_copy(&disk, &other, false), -ENODEV);
	fake_root_link(&root, LUNS "lun_1/x", TO_CORE "other");
	assert_int_equal(configfs_check_copy(&disk, &other, false), 0);
	assert_int_equal(configfs_check_copy(&disk, &other, true), 0);
	assert_int_equal(configfs_check_copy(&disk, &none, false), -ENODEV);
	fake_root_write(
		&root, TARGET "core/user_5/other/pr/res_holder", "SPC-2 Reservation: iSCSI\n");
	assert_int_equal(configfs_check_copy(&disk, &other, false), -ENODEV);
}

/* ------- ports ------- */

static void group(const char *name, const char *id, const char *access, const char *members)
{
	static const char *const ones[] = {"alua_support_active_optimized", "alua_support_standby"};
	const struct {
		const char *file;
		const char *text;
	} files[] = {{"tg_pt_gp_id", id},        {"alua_access_type", access},
		     {"members", members},       {"alua_access_state", "2\n"},
		     {"alua_access_status", ""}, {"implicit_trans_secs", id}};
	char path[256];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		(void) snprintf(path, sizeof(path), DEVICE "alua/%s/%s", name, files[i].file);
		fake_root_write(&root, path, files[i].text);
	}
	for (size_t i = 0; i < 2; i++) {
		(void) snprintf(path, sizeof(path), DEVICE "alua/%s/%s", name, ones[i]);
		fake_root_write(&root, path, "1\n");
	}
}

static void port(const char *target, unsigned tag, const char *id, const char *enabled)
{
	char path[256];

	(void) snprintf(
		path, sizeof(path), TARGET "iscsi/%s/tpgt_%u/lun/lun_0/statistics/scsi_port/indx",
		target, tag);
	fake_root_write(&root, path, id);
	(void) snprintf(path, sizeof(path), TARGET "iscsi/%s/tpgt_%u/enable", target, tag);
	fake_root_write(&root, path, enabled);
}

static void read_of(const struct tcmu_name *name)
{
	struct device_env env;

	memset(&lu_info, 0xee, sizeof(lu_info));
	device_env_init(&env, NULL, NULL);
	env.state_dir = state_dir;
	env.kernel->read_lu_info(&env, name, &lu_info);
}

static void read_it(void)
{
	read_of(&disk);
}

static void a_device_of_one_port_is_fully_known(void **state)
{
	(void) state;
	group("default_tg_pt_gp", "0\n", "Implicit and Explicit\n",
	      "iSCSI/" FIRST "/tpgt_3/lun_0\n");
	port(FIRST, 3, "9\n", "1\n");
	fake_root_write(&root, DEVICE "alua_lu_gp", "LU Group Alias: x\nLU Group ID: 4\n");
	read_it();
	assert_string_equal(lu_info.serial, "1a2b");
	assert_int_equal(lu_info.ports.group_cnt, 1);
	assert_int_equal(lu_info.ports.groups[0].state, SCSI_STANDBY);
	assert_int_equal(lu_info.ports.groups[0].supported, 0x05);
	assert_int_equal(
		lu_info.ports.groups[0].access, SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT);
	assert_int_equal(lu_info.ports.groups[0].ports[0], 9);
	assert_true(
		lu_info.ports.group_known && lu_info.ports.port_known &&
		lu_info.ports.lu_group_known);
	assert_int_equal(lu_info.ports.group, 0);
	assert_int_equal(lu_info.ports.port, 9);
	assert_int_equal(lu_info.ports.lu_group, 4);
	assert_string_equal(lu_info.ports.iscsi_name, FIRST);
	assert_int_equal(lu_info.ports.tag, 3);
}

/* With the real limit: so many descriptors are left. */
static void leave_descriptors(const struct rlimit *before, unsigned left)
{
	struct rlimit limit = *before;
	int next = dup(STDIN_FILENO);

	assert_int_equal(close(next), 0);
	limit.rlim_cur = (rlim_t) next + left;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static const char *const attribute_names[] = {
	"hw_block_size",       "dev_size",   "hw_max_sectors", "cmd_time_out",
	"emulate_write_cache", "emulate_pr", "alua_support",   "nl_reply_supported",
	"data_pages_per_blk"};

static void write_attributes(const char *unread)
{
	char path[256];

	for (size_t i = 0; i < sizeof(attribute_names) / sizeof(attribute_names[0]); i++) {
		(void) snprintf(path, sizeof(path), DEVICE "attrib/%s", attribute_names[i]);
		if (unread == attribute_names[i])
			fake_root_directory(&root, path);
		else
			fake_root_write(&root, path, "512\n");
	}
}

/* An attribute is absent where the kernel does not have it, and only there: a cmd_time_out of 0 is
 * none, and the kernel gives commands up that the daemon goes on with. */
static void an_attribute_that_cannot_be_read_is_not_absent(void **state)
{
	for (size_t i = 0; i < sizeof(attribute_names) / sizeof(attribute_names[0]); i++) {
		struct device_attributes read = {.command_timeout = 7};
		struct tcmu_reason reason;

		teardown(state);
		setup(state);
		write_attributes(attribute_names[i]);
		assert_int_equal(
			configfs_read_attributes(&disk, DEVICE_ORIGIN_ADDED, 0, &read, &reason),
			-EISDIR);
		assert_non_null(strstr(reason.text, attribute_names[i]));
		if (strcmp(attribute_names[i], "cmd_time_out") == 0)
			assert_int_equal(read.command_timeout, 7);
	}
}

/* A part of the truth would be another disk, or another state of its ports, to the initiators. */
static void out_of_descriptors_all_is_known_or_nothing(void **state)
{
	struct scsi_lu_info all, none = {.serial = ""};
	struct device_attributes read = {0};
	struct tcmu_scan_entry *entries;
	struct tcmu_reason reason;
	struct tcmu_uio uio;
	struct tcmu_name served = disk;
	struct rlimit before;
	unsigned failed = 0;
	char run_dir[128];

	(void) state;
	group("default_tg_pt_gp", "0\n", "Implicit and Explicit\n",
	      "iSCSI/" FIRST "/tpgt_3/lun_0\n");
	port(FIRST, 3, "9\n", "1\n");
	fake_root_write(&root, DEVICE "alua_lu_gp", "LU Group Alias: x\nLU Group ID: 4\n");
	write_attributes(NULL);
	fake_root_directory(&root, "/sys/class/uio");
	fake_root_directory(&root, "/run/tcmud");
	(void) snprintf(run_dir, sizeof(run_dir), "%s", fake_root_path(&root, "/run/tcmud"));
	read_it();
	all = lu_info;
	(void) snprintf(served.config, sizeof(served.config), "file//srv/disk.img");
	assert_int_equal(marks_set_format(run_dir, &served, FORMAT_STATE_SANITIZE), 0);
	assert_int_equal(marks_set_clean(run_dir, &served, 3), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (unsigned left = 0; left < 4; left++) {
		struct device_env env;
		int r;

		leave_descriptors(&before, left);
		memset(&lu_info, 0xee, sizeof(lu_info));
		device_env_init(&env, NULL, NULL);
		env.state_dir = state_dir;
		r = env.kernel->read_lu_info(&env, &disk, &lu_info);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_true(r == 0 || r == -EMFILE);
		assert_memory_equal(&lu_info, r < 0 ? &none : &all, sizeof(all));
		failed += r < 0;
	}
	assert_in_range(failed, 2, 3); /* the list of the groups is open while one is read */
	leave_descriptors(&before, 0);
	reason.text[0] = '\0';
	assert_int_equal(
		configfs_read_attributes(&disk, DEVICE_ORIGIN_ADDED, 0, &read, &reason), -EMFILE);
	assert_int_equal(tcmu_scan(&entries), -EMFILE);
	assert_int_equal(tcmu_uio_open(&uio, 0), -EMFILE);
	assert_true(marks_was_served(state_dir, &disk)); /* who knows: it must not be created */
	assert_int_equal(marks_get_format(run_dir, &served), FORMAT_STATE_FORMAT);
	assert_false(marks_take_clean(run_dir, &served, 3));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_non_null(strstr(reason.text, "Too many open files"));
	assert_false(marks_was_served(state_dir, &disk));
	assert_int_equal(marks_get_format(run_dir, &served), FORMAT_STATE_SANITIZE);
	assert_false(marks_take_clean(run_dir, &served, 3)); /* it must not be found later */
}

/* A port of tcm_loop anywhere on the LUN, or no known port: a LUN RESET cancels nothing. */
static void a_reset_cancels_where_no_port_is_of_tcm_loop(void **state)
{
	static const struct {
		const char *members;
		bool cancels;
	} cases[] = {
		{"iSCSI/" FIRST "/tpgt_1/lun_0\n", true},
		{"loopback/naa.5001405/tpgt_1/lun_0\n", false},
		{"iSCSI/" FIRST "/tpgt_1/lun_0\nloopback/naa.5001405/tpgt_1/lun_0\n", false},
		{"", false},
		/* its index cannot be read: unclear is not absent */
		{"iSCSI/" FIRST "/tpgt_1/lun_0\nloopback/naa.5001406/tpgt_1/lun_0\n", false},
		{"iSCSI/" FIRST "/tpgt_1/lun_0\nLOOPBACK\n", false},
	};

	(void) state;
	fake_root_write(
		&root, TARGET "loopback/naa.5001405/tpgt_1/lun/lun_0/statistics/scsi_port/indx",
		"8\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		group("default_tg_pt_gp", "0\n", "Implicit\n", cases[i].members);
		port(FIRST, 1, "5\n", "1\n");
		read_it();
		assert_int_equal(lu_info.ports.reset_cancels, cases[i].cancels);
	}
}

/* A group whose list of members cannot be read, beside one without tcm_loop. */
static void a_reset_does_not_cancel_where_ports_cannot_be_read(void **state)
{
	(void) state;
	group("default_tg_pt_gp", "0\n", "Implicit\n", "iSCSI/" FIRST "/tpgt_1/lun_0\n");
	port(FIRST, 1, "5\n", "1\n");
	read_it();
	assert_true(lu_info.ports.reset_cancels);
	fake_root_write(&root, DEVICE "alua/other/tg_pt_gp_id", "1\n");
	read_it();
	assert_false(lu_info.ports.reset_cancels);
}

/* It has no identifier for the initiator. */
static void a_port_without_an_index_is_not_reported(void **state)
{
	(void) state;
	group("default_tg_pt_gp", "0\n", "Implicit\n",
	      "iSCSI/" FIRST "/tpgt_1/lun_0\niSCSI/" FIRST "/tpgt_2/lun_0\n");
	port(FIRST, 1, "5\n", "1\n");
	read_it();
	assert_int_equal(lu_info.ports.groups[0].port_cnt, 1);
	assert_int_equal(lu_info.ports.groups[0].ports[0], 5);
	assert_false(lu_info.ports.port_known); /* a command may come through either */
	group("default_tg_pt_gp", "0\n", "Implicit\n", "iSCSI/" FIRST "/tpgt_2/lun_0\n");
	read_it();
	assert_false(lu_info.ports.port_known);
}

/* As on a gateway that knows the portal groups of all gateways, of which its own is the one that is
 * on. */
static void disabled_ports_are_reported_and_not_used(void **state)
{
	(void) state;
	group("ao", "1\n", "Implicit\n", "iSCSI/" FIRST "/tpgt_1/lun_0\n");
	group("ano2", "2\n", "Implicit\n", "iSCSI/" FIRST "/tpgt_2/lun_0\n");
	group("empty", "3\n", "Implicit\n", "");
	port(FIRST, 1, "5\n", "0\n");
	port(FIRST, 2, "6\n", "1\n");
	read_it();
	assert_int_equal(lu_info.ports.group_cnt, 2);
	assert_int_equal(lu_info.ports.groups[0].id, 1);
	assert_int_equal(lu_info.ports.groups[1].id, 2);
	assert_int_equal(lu_info.ports.transition_seconds, 2);
	assert_true(lu_info.ports.group_known && lu_info.ports.port_known);
	assert_int_equal(lu_info.ports.group, 2);
	assert_int_equal(lu_info.ports.port, 6);
	assert_int_equal(lu_info.ports.tag, 2);
}

static void of_several_ports_the_common_facts_are_known(void **state)
{
	(void) state;
	group("ao", "1\n", "None\n",
	      "iSCSI/" FIRST "/tpgt_1/lun_0\niSCSI/" SECOND "/tpgt_1/lun_0\n");
	port(FIRST, 1, "5\n", "1\n");
	port(SECOND, 1, "6\n", "1\n");
	read_it();
	assert_true(lu_info.ports.group_known);
	assert_int_equal(lu_info.ports.group, 1);
	assert_false(lu_info.ports.port_known);
	assert_string_equal(lu_info.ports.iscsi_name, "");

	group("ao", "1\n", "None\n", "iSCSI/" FIRST "/tpgt_1/lun_0\n");
	group("ano", "2\n", "None\n", "iSCSI/" SECOND "/tpgt_1/lun_0\n");
	read_it();
	assert_false(lu_info.ports.group_known || lu_info.ports.port_known);
	assert_int_equal(lu_info.ports.group_cnt, 2);
}

/* 0 is reserved (SPC-4 7.8.6.7); Linux has it since 6.5 for a port whose TPG is not enabled. */
static void a_port_without_identifier_is_named(void **state)
{
	(void) state;
	group("default_tg_pt_gp", "0\n", "Implicit\n", "iSCSI/" FIRST "/tpgt_3/lun_0\n");
	port(FIRST, 3, "0\n", "1\n");
	read_it();
	assert_false(lu_info.ports.port_known);
	assert_true(lu_info.ports.group_known);
	assert_int_equal(lu_info.ports.groups[0].port_cnt, 0);
	assert_string_equal(lu_info.ports.iscsi_name, FIRST);
	assert_int_equal(lu_info.ports.tag, 3);
}

/* An administrator who makes groups means that other hosts may serve the same medium; the kernel's
 * own group says nothing. */
static void a_group_that_an_administrator_made_means_sharing(void **state)
{
	(void) state;
	group("default_tg_pt_gp", "0\n", "Implicit and Explicit\n",
	      "iSCSI/" FIRST "/tpgt_3/lun_0\n");
	port(FIRST, 3, "9\n", "1\n");
	read_it();
	assert_false(lu_info.ports.shared);
	group("none", "5\n", "None\n", "iSCSI/" FIRST "/tpgt_1/lun_0\n");
	port(FIRST, 1, "5\n", "1\n");
	group("empty", "6\n", "Implicit\n", "");
	read_it();
	assert_false(lu_info.ports.shared);

	group("ao", "7\n", "Implicit\n", "iSCSI/" SECOND "/tpgt_1/lun_0\n");
	port(SECOND, 1, "6\n", "0\n");
	read_it();
	assert_true(lu_info.ports.shared);
	assert_false(lu_info.ports.by_initiators);
	assert_int_equal(lu_info.ports.host_group, 0);
	group("ano", "8\n", "Implicit and Explicit\n", "iSCSI/" SECOND "/tpgt_2/lun_0\n");
	port(SECOND, 2, "7\n", "1\n");
	read_it();
	assert_true(lu_info.ports.by_initiators);
	assert_int_equal(lu_info.ports.host_group, 8);
}

/* The kernel refuses to change such a group's state at our word. */
static void a_group_with_explicit_access_alone_is_unchangeable(void **state)
{
	(void) state;
	group("ao", "1\n", "Explicit\n", "iSCSI/" FIRST "/tpgt_1/lun_0\n");
	port(FIRST, 1, "5\n", "1\n");
	read_it();
	assert_int_equal(lu_info.ports.groups[0].access, 0);
}

static void a_device_that_is_gone_is_unknown(void **state)
{
	struct tcmu_name gone = {.hba = 6, .name = "gone"};

	(void) state;
	read_of(&gone);
	assert_string_equal(lu_info.serial, "");
	assert_int_equal(lu_info.ports.group_cnt, 0);
	assert_false(lu_info.has_saved);
}

static void states_change_in_order_until_one_is_refused(void **state)
{
	struct scsi_group_states states = {
		.cnt = 3,
		.to = {{.id = 2, .state = SCSI_ACTIVE_OPTIMIZED},
		       {.id = 9, .state = 1},
		       {.id = 1, .state = 1}}};

	(void) state;
	group("ao", "1\n", "Implicit\n", "");
	group("ano", "2\n", "Implicit\n", "");
	assert_int_equal(configfs_set_groups(&disk, &states), -ENODEV);
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ano/alua_access_state"), "0");
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ano/alua_access_status"), "1");
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ao/alua_access_state"), "2\n");
	states.to[1].id = 2;
	assert_int_equal(configfs_set_groups(&disk, &states), 0);
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ano/alua_access_state"), "1");
	assert_string_equal(fake_root_read(&root, DEVICE "alua/ao/alua_access_state"), "1");
}

/* ------- saved mode parameters ------- */

static void saved_modes_are_found_by_the_serial(void **state)
{
	static const struct scsi_mode_values all = {true, true, true},
					     some = {.software_write_protect = true};

	(void) state;
	read_it();
	assert_false(lu_info.has_saved);
	assert_int_equal(marks_save_modes(state_dir, "1a2b", &all), 0);
	assert_int_equal(marks_save_modes(state_dir, "1a2b/../..\nodd = \xc3\xa9", &some), 0);
	read_it();
	assert_true(lu_info.has_saved);
	assert_memory_equal(&lu_info.saved, &all, sizeof(all));
	assert_int_equal(marks_save_modes(state_dir, "1a2b", &some), 0);
	read_it();
	assert_memory_equal(&lu_info.saved, &some, sizeof(some));
	fake_root_write(&root, DEVICE "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: other\n");
	read_it();
	assert_false(lu_info.has_saved);
}

/* The one file in the directory. */
static void overwrite(const char *text)
{
	char pattern[160];
	glob_t found;
	FILE *file;

	(void) snprintf(pattern, sizeof(pattern), "%s/mode-*", state_dir);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	file = fopen(found.gl_pathv[0], "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	globfree(&found);
}

static void a_damaged_file_is_ignored(void **state)
{
	static const char *const texts[] = {
		"",
		"nonsense\n",
		"[mode parameters]\nserial=1a2b\nwrite_cache=true\n",
		("[mode parameters]\nwrite_cache=maybe\ndescriptor_sense=true\n"
		 "software_write_protect=true\n"),
	};
	static const struct scsi_mode_values all = {true, true, true};

	(void) state;
	assert_int_equal(marks_save_modes(state_dir, "1a2b", &all), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		overwrite(texts[i]);
		read_it();
		assert_false(lu_info.has_saved);
		assert_string_equal(lu_info.serial, "1a2b");
	}
}

static void a_directory_that_cannot_be_created_is_an_error(void **state)
{
	static const struct scsi_mode_values all = {true, true, true};
	char below[160];

	(void) state;
	fake_root_write(&root, "/file", "");
	(void) snprintf(below, sizeof(below), "%s/directory", fake_root_path(&root, "/file"));
	assert_int_equal(marks_save_modes(below, "1", &all), -ENOTDIR);
}

/* ------- the write cache ------- */

static struct device_attributes read_attributes(enum device_origin origin)
{
	struct device_attributes attributes = {0};
	struct tcmu_reason reason = {{0}};

	assert_int_equal(configfs_read_attributes(&disk, origin, 1 << 20, &attributes, &reason), 0);
	return attributes;
}

static const char *write_cache_attribute(void)
{
	return fake_root_read(&root, DEVICE "attrib/emulate_write_cache");
}

static void the_pieces_of_the_data_area_are_known_where_the_kernel_says_them(void **state)
{
	(void) state;
	write_attributes(NULL);
	fake_root_write(&root, DEVICE "attrib/data_pages_per_blk", "16\n");
	assert_int_equal(read_attributes(DEVICE_ORIGIN_ADDED).data_pages, 16);
	assert_int_equal(remove(fake_root_path(&root, DEVICE "attrib/data_pages_per_blk")), 0);
	assert_int_equal(read_attributes(DEVICE_ORIGIN_ADDED).data_pages, 0);
}

static void a_creation_can_refuse_reservations(void **state)
{
	static const struct {
		enum device_origin origin;
		bool wanted;
		const char *enabled, *then;
	} rows[] = {
		{DEVICE_ORIGIN_ADDED, true, "0\n", "0"},
		{DEVICE_ORIGIN_ADDED, false, "0\n", "1\n"},
		{DEVICE_ORIGIN_ADDED, true, "1\n", "1\n"}, /* its creation does not wait any more */
	};
	struct tcmu_reason reason;

	(void) state;
	fake_root_write(&root, DEVICE "attrib/hw_block_size", "512\n");
	fake_root_write(&root, DEVICE "attrib/hw_max_sectors", "2048\n");
	fake_root_write(&root, DEVICE "attrib/dev_size", "1048576\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct device_attributes attributes = {.no_reservations = rows[i].wanted};

		fake_root_write(&root, DEVICE "attrib/emulate_pr", "1\n");
		fake_root_write(&root, DEVICE "enable", rows[i].enabled);
		assert_int_equal(
			configfs_read_attributes(&disk, rows[i].origin, 0, &attributes, &reason),
			0);
		assert_string_equal(
			fake_root_read(&root, DEVICE "attrib/emulate_pr"), rows[i].then);
		assert_int_equal(attributes.no_reservations, rows[i].then[0] == '0');
	}
}

/* The kernel's default is 0. A creation makes it 1, so that a 0 is an administrator's later. */
static void a_creation_shows_that_the_write_cache_is_on(void **state)
{
	struct device_attributes attributes;

	(void) state;
	fake_root_write(&root, DEVICE "attrib/hw_block_size", "512\n");
	fake_root_write(&root, DEVICE "attrib/hw_max_sectors", "2048\n");
	fake_root_write(&root, DEVICE "attrib/dev_size", "1048576\n");
	fake_root_write(&root, DEVICE "statistics/scsi_dev/indx", "7\n");
	fake_root_write(&root, DEVICE "enable", "0\n");
	attributes = read_attributes(DEVICE_ORIGIN_ADDED); /* a kernel without the attribute */
	assert_true(attributes.write_cache && !attributes.write_cache_shown);
	fake_root_write(&root, DEVICE "attrib/emulate_write_cache", "0\n");
	attributes = read_attributes(DEVICE_ORIGIN_ADDED);
	assert_true(attributes.write_cache && attributes.write_cache_shown);
	assert_string_equal(write_cache_attribute(), "1");
	/* a creation that waits for a daemon that has died */
	fake_root_write(&root, DEVICE "attrib/emulate_write_cache", "0\n");
	attributes = read_attributes(DEVICE_ORIGIN_FOUND);
	assert_true(attributes.write_cache && attributes.write_cache_shown);
	/* it does not wait, and may be configured at any moment */
	fake_root_write(&root, DEVICE "attrib/emulate_write_cache", "0\n");
	fake_root_write(&root, DEVICE "attrib/nl_reply_supported", "-1\n");
	attributes = read_attributes(DEVICE_ORIGIN_ADDED);
	assert_false(attributes.write_cache || attributes.write_cache_shown);
	fake_root_write(&root, DEVICE "attrib/nl_reply_supported", "1\n");
	fake_root_write(&root, DEVICE "enable", "1\n");
	attributes = read_attributes(DEVICE_ORIGIN_FOUND);
	assert_false(attributes.write_cache || attributes.write_cache_shown);
	assert_string_equal(write_cache_attribute(), "0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			out_of_descriptors_all_is_known_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_attribute_that_cannot_be_read_is_not_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_pieces_of_the_data_area_are_known_where_the_kernel_says_them, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			the_guard_fails_with_what_is_in_force, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_copy_needs_the_other_disk_mapped_and_not_reserved, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_device_of_one_port_is_fully_known, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_reset_cancels_where_no_port_is_of_tcm_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_reset_does_not_cancel_where_ports_cannot_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_port_without_an_index_is_not_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_group_that_an_administrator_made_means_sharing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			disabled_ports_are_reported_and_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_port_without_identifier_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(
			of_several_ports_the_common_facts_are_known, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_group_with_explicit_access_alone_is_unchangeable, setup, teardown),
		cmocka_unit_test_setup_teardown(a_device_that_is_gone_is_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(
			states_change_in_order_until_one_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			saved_modes_are_found_by_the_serial, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_directory_that_cannot_be_created_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_creation_can_refuse_reservations, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_creation_shows_that_the_write_cache_is_on, setup, teardown),
	};

	return cmocka_run_group_tests_name("lu_info", tests, NULL, NULL);
}
