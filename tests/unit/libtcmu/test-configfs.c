/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's directory in configfs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tcmu/configfs.h>

#include "fake-root.h"

#define DEVICE_DIR "/sys/kernel/config/target/core/user_5/disk/"

static struct fake_root root;
static const struct tcmu_name disk = {.hba = 5, .name = "disk"};

static int configfs_setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	return 0;
}

static int configfs_teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void attributes_are_numbers(void **state)
{
	uint64_t value = 0;
	int64_t signed_value = 0;

	(void) state;
	fake_root_write(&root, DEVICE_DIR "attrib/dev_size", "18446744073709551615\n");
	assert_int_equal(tcmu_configfs_get(&disk, "dev_size", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(tcmu_configfs_get_signed(&disk, "dev_size", &signed_value), -EBADMSG);
	fake_root_write(&root, DEVICE_DIR "attrib/nl_reply_supported", "-1\n");
	assert_int_equal(tcmu_configfs_get_signed(&disk, "nl_reply_supported", &signed_value), 0);
	assert_int_equal(signed_value, -1);
	assert_int_equal(tcmu_configfs_get(&disk, "nl_reply_supported", &value), -EBADMSG);
	fake_root_write(&root, DEVICE_DIR "attrib/nl_reply_supported", "1\n");
	assert_int_equal(tcmu_configfs_get_signed(&disk, "nl_reply_supported", &signed_value), 0);
	assert_int_equal(signed_value, 1);
}

static void text_that_is_no_number_is_refused(void **state)
{
	static const char *const texts[] = {"",      "\n",  "x\n",   "1x\n",
					    "--1\n", "-\n", "1 2\n", "18446744073709551616\n"};
	char digits[128];
	uint64_t value;
	int64_t signed_value;

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		fake_root_write(&root, DEVICE_DIR "attrib/a", texts[i]);
		assert_int_equal(tcmu_configfs_get(&disk, "a", &value), -EBADMSG);
		assert_int_equal(tcmu_configfs_get_signed(&disk, "a", &signed_value), -EBADMSG);
	}
	memset(digits, '0', sizeof(digits));
	digits[sizeof(digits) - 1] = '\0';
	fake_root_write(&root, DEVICE_DIR "attrib/a", digits);
	assert_int_equal(tcmu_configfs_get(&disk, "a", &value), -EBADMSG);
	assert_int_equal(tcmu_configfs_get_signed(&disk, "a", &signed_value), -EBADMSG);
}

static void a_device_that_is_gone_has_no_attributes(void **state)
{
	uint64_t value;
	int64_t signed_value;
	uint32_t id;
	char serial[16];

	(void) state;
	assert_int_equal(tcmu_configfs_get(&disk, "dev_size", &value), -ENOENT);
	assert_int_equal(tcmu_configfs_get_signed(&disk, "dev_size", &signed_value), -ENOENT);
	assert_int_equal(tcmu_configfs_set(&disk, "dev_size", "1"), -ENOENT);
	assert_int_equal(tcmu_configfs_action(&disk, "block_dev", 1), -ENOENT);
	assert_int_equal(tcmu_configfs_enabled(&disk), -ENOENT);
	assert_int_equal(tcmu_configfs_device_id(&disk, &id), -ENOENT);
	assert_int_equal(tcmu_configfs_unit_serial(&disk, serial, sizeof(serial)), -ENOENT);
}

static void attributes_and_actions_are_written(void **state)
{
	(void) state;
	fake_root_write(&root, DEVICE_DIR "attrib/dev_size", "0\n");
	fake_root_write(&root, DEVICE_DIR "action/reset_ring", "");
	assert_int_equal(tcmu_configfs_set(&disk, "dev_size", "1048576"), 0);
	assert_string_equal(fake_root_read(&root, DEVICE_DIR "attrib/dev_size"), "1048576");
	assert_int_equal(tcmu_configfs_action(&disk, "reset_ring", 2), 0);
	assert_string_equal(fake_root_read(&root, DEVICE_DIR "action/reset_ring"), "2");
}

/* And only then: the kernel would send an event for it. */
static void an_attribute_is_written_before_the_device_is_configured(void **state)
{
	static const char *const attribute = "emulate_write_cache";

	(void) state;
	assert_int_equal(tcmu_configfs_set_before_enable(&disk, attribute, "1"), -ENOENT);
	fake_root_write(&root, DEVICE_DIR "enable", "0\n");
	assert_int_equal(tcmu_configfs_set_before_enable(&disk, attribute, "1"), -ENOENT);
	fake_root_write(&root, DEVICE_DIR "attrib/emulate_write_cache", "0\n");
	assert_int_equal(tcmu_configfs_set_before_enable(&disk, attribute, "1"), 0);
	assert_string_equal(fake_root_read(&root, DEVICE_DIR "attrib/emulate_write_cache"), "1");
	fake_root_write(&root, DEVICE_DIR "enable", "1\n");
	assert_int_equal(tcmu_configfs_set_before_enable(&disk, attribute, "0"), -EBUSY);
	assert_string_equal(fake_root_read(&root, DEVICE_DIR "attrib/emulate_write_cache"), "1");
}

static void the_kernel_s_refusal_is_passed_on(void **state)
{
	(void) state;
	fake_root_link(&root, DEVICE_DIR "attrib/dev_size", "/dev/full");
	assert_int_equal(tcmu_configfs_set(&disk, "dev_size", "1"), -ENOSPC);
}

static void enabled_and_id_are_read(void **state)
{
	uint32_t id = 0;

	(void) state;
	fake_root_write(&root, DEVICE_DIR "enable", "0\n");
	assert_int_equal(tcmu_configfs_enabled(&disk), 0);
	fake_root_write(&root, DEVICE_DIR "enable", "1\n");
	assert_int_equal(tcmu_configfs_enabled(&disk), 1);
	fake_root_write(&root, DEVICE_DIR "statistics/scsi_dev/indx", "4294967295\n");
	assert_int_equal(tcmu_configfs_device_id(&disk, &id), 0);
	assert_int_equal(id, UINT32_MAX);
	fake_root_write(&root, DEVICE_DIR "statistics/scsi_dev/indx", "4294967296\n");
	assert_int_equal(tcmu_configfs_device_id(&disk, &id), -EBADMSG);
	fake_root_write(&root, DEVICE_DIR "statistics/scsi_dev/indx", "-1\n");
	assert_int_equal(tcmu_configfs_device_id(&disk, &id), -EBADMSG);
}

static void the_serial_comes_without_its_label(void **state)
{
	static const char *const file = DEVICE_DIR "wwn/vpd_unit_serial";
	char serial[16], text[1024];

	(void) state;
	fake_root_write(&root, file, "T10 VPD Unit Serial Number: 0123456789abcde\n");
	assert_int_equal(tcmu_configfs_unit_serial(&disk, serial, sizeof(serial)), 0);
	assert_string_equal(serial, "0123456789abcde");
	assert_int_equal(
		tcmu_configfs_unit_serial(&disk, serial, sizeof(serial) - 1), -ENAMETOOLONG);
	fake_root_write(&root, file, "T10 VPD Unit Serial Number: \n");
	assert_int_equal(tcmu_configfs_unit_serial(&disk, serial, sizeof(serial)), 0);
	assert_string_equal(serial, "");
	fake_root_write(&root, file, "something else\n");
	assert_int_equal(tcmu_configfs_unit_serial(&disk, serial, sizeof(serial)), -EBADMSG);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	fake_root_write(&root, file, text);
	assert_int_equal(tcmu_configfs_unit_serial(&disk, serial, sizeof(serial)), -EBADMSG);
}

static void the_target_s_directory_is_read(void **state)
{
	char path[16];

	(void) state;
	assert_int_equal(tcmu_configfs_dbroot(path, sizeof(path)), -ENOENT);
	fake_root_write(&root, "/sys/kernel/config/target/dbroot", "/etc/target\n");
	assert_int_equal(tcmu_configfs_dbroot(path, sizeof(path)), 0);
	assert_string_equal(path, "/etc/target");
	assert_int_equal(tcmu_configfs_dbroot(path, 8), -ENAMETOOLONG);
	fake_root_write(&root, "/sys/kernel/config/target/dbroot", "\n");
	assert_int_equal(tcmu_configfs_dbroot(path, sizeof(path)), -ENOENT);
}

#define CONFIGFS_TEST(name) cmocka_unit_test_setup_teardown(name, configfs_setup, configfs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIGFS_TEST(attributes_are_numbers),
		CONFIGFS_TEST(text_that_is_no_number_is_refused),
		CONFIGFS_TEST(a_device_that_is_gone_has_no_attributes),
		CONFIGFS_TEST(attributes_and_actions_are_written),
		CONFIGFS_TEST(an_attribute_is_written_before_the_device_is_configured),
		CONFIGFS_TEST(the_kernel_s_refusal_is_passed_on),
		CONFIGFS_TEST(enabled_and_id_are_read),
		CONFIGFS_TEST(the_serial_comes_without_its_label),
		CONFIGFS_TEST(the_target_s_directory_is_read),
	};

	return cmocka_run_group_tests_name("configfs", tests, NULL, NULL);
}
