/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of uio devices, and finding TCMU's among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tcmu/scan.h>

#include "fake-root.h"

static struct fake_root root;

static int scan_setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	return 0;
}

static int scan_teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void a_name_has_four_parts(void **state)
{
	struct tcmu_name name;

	(void) state;
	assert_int_equal(tcmu_name_parse("tcm-user/3/disk1/file//srv/disk1.img;ro=1", &name), 0);
	assert_int_equal(name.hba, 3);
	assert_string_equal(name.name, "disk1");
	assert_string_equal(name.subtype, "file");
	assert_string_equal(name.config, "file//srv/disk1.img;ro=1");
}

static void parts_may_be_missing_from_the_end(void **state)
{
	struct tcmu_name name;

	(void) state;
	assert_int_equal(tcmu_name_parse("tcm-user/0/a", &name), 0);
	assert_string_equal(name.name, "a");
	assert_string_equal(name.subtype, "");
	assert_string_equal(name.config, "");
	assert_int_equal(tcmu_name_parse("tcm-user/4294967295/a/", &name), 0);
	assert_int_equal(name.hba, UINT32_MAX);
	assert_string_equal(name.config, "");
	assert_int_equal(tcmu_name_parse("tcm-user/10/a b/null", &name), 0);
	assert_string_equal(name.name, "a b");
	assert_string_equal(name.subtype, "null");
	assert_string_equal(name.config, "null");
	assert_int_equal(tcmu_name_parse("tcm-user/1/a//x", &name), 0);
	assert_string_equal(name.subtype, "");
	assert_string_equal(name.config, "/x");
}

static void other_names_are_not_tcmu(void **state)
{
	static const char *const names[] = {
		"",
		"tcm-user",
		"tcm-user/",
		"tcm-user/1",
		"tcm-user/1/",
		"tcm-user//a/b/c",
		"tcm-user/x/a/b/c",
		"tcm-user/-1/a/b",
		"tcm-user/+1/a",
		"tcm-user/ 1/a",
		"tcm-user/01/a",
		"tcm-user/1x/a",
		"tcm-user/1//b/c",
		"tcm-user/1/.",
		"tcm-user/1/../b/c",
		"TCM-USER/1/a/b/c",
		"uio_pci_generic",
		"xtcm-user/1/a/b",
		"tcm-user/4294967296/a",
	};
	struct tcmu_name name;

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(tcmu_name_parse(names[i], &name), -EINVAL);
}

/* "tcm-user/1/" and so many 'n', then config if it is not NULL. */
static int parse_long(size_t length, const char *config, struct tcmu_name *name)
{
	char text[2048] = "tcm-user/1/";

	memset(text + strlen(text), 'n', length);
	if (config)
		strcat(strcat(text, "/"), config);
	return tcmu_name_parse(text, name);
}

static void names_are_as_long_as_the_kernel_lets_them_be(void **state)
{
	struct tcmu_name name;
	char config[300];

	(void) state;
	assert_int_equal(parse_long(255, NULL, &name), 0);
	assert_int_equal(strlen(name.name), 255);
	assert_int_equal(parse_long(256, NULL, &name), -ENAMETOOLONG);
	memset(config, 'c', sizeof(config));
	config[255] = '\0';
	assert_int_equal(parse_long(255, config, &name), 0);
	assert_string_equal(name.config, config);
	assert_string_equal(name.subtype, ""); /* longer than any handler's */
	config[255] = 'c';
	config[256] = '\0';
	assert_int_equal(parse_long(1, config, &name), -ENAMETOOLONG);
	config[63] = '\0';
	assert_int_equal(parse_long(1, config, &name), 0);
	assert_string_equal(name.subtype, config);
}

static void no_uio_class_means_no_devices(void **state)
{
	struct tcmu_scan_entry *entries;

	(void) state;
	assert_int_equal(tcmu_scan(&entries), 0);
	assert_null(entries);
}

static void devices_are_found_by_rising_minor(void **state)
{
	struct tcmu_scan_entry *entries;

	(void) state;
	fake_root_write(&root, "/sys/class/uio/uio10/name", "tcm-user/0/ten/file//ten\n");
	fake_root_write(&root, "/sys/class/uio/uio2/name", "tcm-user/1/two/rbd/pool/two\n");
	fake_root_write(&root, "/sys/class/uio/uio0/name", "uio_pci_generic\n");
	fake_root_write(&root, "/sys/class/uio/uio1x/name", "tcm-user/1/not/a/minor\n");
	fake_root_write(&root, "/sys/class/uio/other1/name", "tcm-user/1/not/a/uio\n");
	fake_root_directory(&root, "/sys/class/uio/uio5"); /* just going away */
	assert_int_equal(tcmu_scan(&entries), 2);
	assert_int_equal(entries[0].minor, 2);
	assert_string_equal(entries[0].name.subtype, "rbd");
	assert_string_equal(entries[0].name.config, "rbd/pool/two");
	assert_int_equal(entries[1].minor, 10);
	assert_string_equal(entries[1].name.name, "ten");
	free(entries);
}

static void an_error_while_scanning_is_not_an_empty_list(void **state)
{
	struct tcmu_scan_entry *entries;

	(void) state;
	fake_root_write(&root, "/sys/class/uio", "not a directory");
	assert_int_equal(tcmu_scan(&entries), -ENOTDIR);
	assert_null(entries);
	fake_root_drop(&root, "/sys/class/uio");
	fake_root_write(&root, "/sys/class/uio/uio1/name", "tcm-user/1/a/file/a\n");
	fake_root_directory(&root, "/sys/class/uio/uio2/name"); /* reads as EISDIR */
	assert_int_equal(tcmu_scan(&entries), -EISDIR);
	assert_null(entries);
}

static void a_minor_is_found(void **state)
{
	struct tcmu_scan_entry entry;
	char text[2048];

	(void) state;
	assert_int_equal(tcmu_scan_minor(1, &entry), -ENODEV);
	fake_root_write(&root, "/sys/class/uio/uio1/name", "tcm-user/1/a/file/a\n");
	assert_int_equal(tcmu_scan_minor(1, &entry), 0);
	assert_int_equal(entry.minor, 1);
	assert_string_equal(entry.name.config, "file/a");
	fake_root_write(&root, "/sys/class/uio/uio1/name", "other\n");
	assert_int_equal(tcmu_scan_minor(1, &entry), -ENODEV);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	fake_root_write(&root, "/sys/class/uio/uio1/name", text);
	assert_int_equal(tcmu_scan_minor(1, &entry), -ENODEV);
}

static void the_size_of_a_map_is_read(void **state)
{
	static const char *const bad[] = {
		"", "0x0\n", "x\n", "0x\n", "-1\n", "0x10000000000000000\n", "12 34\n"};
	size_t size = 0;

	(void) state;
	assert_int_equal(tcmu_scan_map_size(4, &size), -ENODEV);
	fake_root_write(&root, "/sys/class/uio/uio4/maps/map0/size", "0x0000000040800000\n");
	assert_int_equal(tcmu_scan_map_size(4, &size), 0);
	assert_int_equal(size, 0x40800000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_root_write(&root, "/sys/class/uio/uio4/maps/map0/size", bad[i]);
		assert_int_equal(tcmu_scan_map_size(4, &size), -EBADMSG);
	}
}

static void a_root_may_end_in_slashes_but_not_be_endless(void **state)
{
	struct tcmu_scan_entry entry;
	char path[1024];

	(void) state;
	fake_root_write(&root, "/sys/class/uio/uio1/name", "tcm-user/1/a/file/a\n");
	snprintf(path, sizeof(path), "%s//", root.path);
	tcmu_set_root(path);
	assert_int_equal(tcmu_scan_minor(1, &entry), 0);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	tcmu_set_root(path);
	assert_true(tcmu_scan_minor(1, &entry) < 0);
}

#define SCAN_TEST(name) cmocka_unit_test_setup_teardown(name, scan_setup, scan_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_four_parts),
		cmocka_unit_test(parts_may_be_missing_from_the_end),
		cmocka_unit_test(other_names_are_not_tcmu),
		cmocka_unit_test(names_are_as_long_as_the_kernel_lets_them_be),
		SCAN_TEST(no_uio_class_means_no_devices),
		SCAN_TEST(devices_are_found_by_rising_minor),
		SCAN_TEST(an_error_while_scanning_is_not_an_empty_list),
		SCAN_TEST(a_minor_is_found),
		SCAN_TEST(the_size_of_a_map_is_read),
		SCAN_TEST(a_root_may_end_in_slashes_but_not_be_endless),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
