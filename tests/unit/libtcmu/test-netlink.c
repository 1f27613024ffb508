/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink messages as typed events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/netlink.h>

#include "netlink-message.h"

#define NAME "tcm-user/2/disk/file//srv/disk"

static void an_added_device_is_named(void **state)
{
	struct nl_msg *message = event_message(TCMU_CMD_ADDED_DEVICE, NAME, 7, 300);
	struct tcmu_event event;

	(void) state;
	assert_int_equal(decode_message(message, &event), 0);
	assert_int_equal(event.kind, TCMU_EVENT_ADDED);
	assert_int_equal(event.minor, 7);
	assert_int_equal(event.device_id, 300);
	assert_int_equal(event.name.hba, 2);
	assert_string_equal(event.name.name, "disk");
	assert_string_equal(event.name.subtype, "file");
	assert_string_equal(event.name.config, "file//srv/disk");
	nlmsg_free(message);
}

static void a_removed_device_is_named(void **state)
{
	struct nl_msg *message = event_message(TCMU_CMD_REMOVED_DEVICE, NAME, 0, 0);
	struct tcmu_event event;

	(void) state;
	assert_int_equal(decode_message(message, &event), 0);
	assert_int_equal(event.kind, TCMU_EVENT_REMOVED);
	assert_int_equal(event.minor, 0);
	nlmsg_free(message);
}

static void a_reconfiguration_names_the_change(void **state)
{
	struct tcmu_event event;
	struct nl_msg *message;

	(void) state;
	message = event_message(TCMU_CMD_RECONFIG_DEVICE, NAME, 1, 2);
	assert_int_equal(nla_put_u64(message, TCMU_ATTR_DEV_SIZE, UINT64_C(1) << 40), 0);
	assert_int_equal(decode_message(message, &event), 0);
	assert_int_equal(event.kind, TCMU_EVENT_RECONFIG);
	assert_int_equal(event.reconfig, TCMU_RECONFIG_SIZE);
	assert_true(event.size == UINT64_C(1) << 40);
	nlmsg_free(message);

	for (int on = 0; on < 2; on++) {
		message = event_message(TCMU_CMD_RECONFIG_DEVICE, NAME, 1, 2);
		assert_int_equal(nla_put_u8(message, TCMU_ATTR_WRITECACHE, (uint8_t) on), 0);
		assert_int_equal(decode_message(message, &event), 0);
		assert_int_equal(event.reconfig, TCMU_RECONFIG_WRITE_CACHE);
		assert_int_equal(event.write_cache, on);
		nlmsg_free(message);
	}

	message = event_message(TCMU_CMD_RECONFIG_DEVICE, NAME, 1, 2);
	assert_int_equal(nla_put_string(message, TCMU_ATTR_DEV_CFG, "file//srv/other\n"), 0);
	assert_int_equal(decode_message(message, &event), 0);
	assert_int_equal(event.reconfig, TCMU_RECONFIG_CONFIG);
	assert_string_equal(event.config, "file//srv/other");
	nlmsg_free(message);
}

static void a_reconfiguration_changes_exactly_one_thing(void **state)
{
	struct nl_msg *message = event_message(TCMU_CMD_RECONFIG_DEVICE, NAME, 1, 2);
	struct tcmu_event event;

	(void) state;
	assert_int_equal(decode_message(message, &event), -EBADMSG);
	assert_int_equal(nla_put_u8(message, TCMU_ATTR_WRITECACHE, 1), 0);
	assert_int_equal(nla_put_u64(message, TCMU_ATTR_DEV_SIZE, 512), 0);
	assert_int_equal(decode_message(message, &event), -EBADMSG);
	nlmsg_free(message);
}

static void a_new_config_is_as_long_as_the_kernel_s(void **state)
{
	char config[TCMU_NAME_MAX + 1];
	struct tcmu_event event;

	(void) state;
	memset(config, 'c', sizeof(config));
	for (size_t length = 255; length <= 256; length++) {
		struct nl_msg *message = event_message(TCMU_CMD_RECONFIG_DEVICE, NAME, 1, 2);

		config[length] = '\0';
		assert_int_equal(nla_put_string(message, TCMU_ATTR_DEV_CFG, config), 0);
		assert_int_equal(decode_message(message, &event), length == 255 ? 0 : -EBADMSG);
		config[length] = 'c';
		nlmsg_free(message);
	}
	assert_int_equal(strlen(event.config), 0);
}

static void each_attribute_is_needed(void **state)
{
	static const int kinds[] = {TCMU_ATTR_DEVICE, TCMU_ATTR_MINOR, TCMU_ATTR_DEVICE_ID};
	struct tcmu_event event;

	(void) state;
	for (size_t missing = 0; missing < 3; missing++) {
		struct nl_msg *message = empty_message(TCMU_CMD_ADDED_DEVICE);

		for (size_t i = 0; i < 3; i++) {
			if (i == missing)
				continue;
			if (kinds[i] == TCMU_ATTR_DEVICE)
				nla_put_string(message, kinds[i], NAME);
			else
				nla_put_u32(message, kinds[i], 1);
		}
		assert_int_equal(decode_message(message, &event), -EBADMSG);
		nlmsg_free(message);
	}
}

static void attributes_of_a_wrong_form_are_refused(void **state)
{
	struct tcmu_event event;
	struct nl_msg *message;

	(void) state;
	message = empty_message(TCMU_CMD_ADDED_DEVICE); /* a name without its NUL */
	nla_put(message, TCMU_ATTR_DEVICE, (int) strlen(NAME), NAME);
	nla_put_u32(message, TCMU_ATTR_MINOR, 1);
	nla_put_u32(message, TCMU_ATTR_DEVICE_ID, 1);
	assert_int_equal(decode_message(message, &event), -EBADMSG);
	nlmsg_free(message);

	message = empty_message(TCMU_CMD_ADDED_DEVICE); /* a number that is too short */
	nla_put_string(message, TCMU_ATTR_DEVICE, NAME);
	nla_put_u16(message, TCMU_ATTR_MINOR, 1);
	nla_put_u32(message, TCMU_ATTR_DEVICE_ID, 1);
	assert_int_equal(decode_message(message, &event), -EBADMSG);
	nlmsg_free(message);

	message = event_message(TCMU_CMD_ADDED_DEVICE, "uio_pci_generic", 1, 1);
	assert_int_equal(decode_message(message, &event), -EBADMSG);
	nlmsg_free(message);
}

static void other_messages_are_none_of_the_three(void **state)
{
	static const uint8_t commands[] = {0, 4, 5, 6, 7, 8, 255};
	struct nlmsghdr done = {.nlmsg_len = sizeof(done), .nlmsg_type = NLMSG_DONE};
	struct tcmu_event event;

	(void) state;
	for (size_t i = 0; i < sizeof(commands); i++) {
		struct nl_msg *message = event_message(commands[i], NAME, 1, 1);

		assert_int_equal(decode_message(message, &event), -ENOMSG);
		nlmsg_free(message);
	}
	assert_int_equal(tcmu_netlink_decode(&done, sizeof(done), &event), -ENOMSG);
}

static void a_message_cut_anywhere_is_refused(void **state)
{
	struct nl_msg *message = event_message(TCMU_CMD_ADDED_DEVICE, NAME, 7, 300);
	size_t length = nlmsg_hdr(message)->nlmsg_len;
	struct tcmu_event event;

	(void) state;
	for (size_t cut = 0; cut < length; cut++) {
		struct nlmsghdr *copy = malloc(cut ? cut : 1);

		assert_non_null(copy);
		memcpy(copy, nlmsg_hdr(message), cut);
		assert_int_equal(tcmu_netlink_decode(copy, cut, &event), -EBADMSG);
		if (cut >= sizeof(*copy)) {
			copy->nlmsg_len = (uint32_t) cut; /* cut by the sender */
			assert_int_equal(tcmu_netlink_decode(copy, cut, &event), -EBADMSG);
		}
		free(copy);
	}
	nlmsg_free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_added_device_is_named),
		cmocka_unit_test(a_removed_device_is_named),
		cmocka_unit_test(a_reconfiguration_names_the_change),
		cmocka_unit_test(a_reconfiguration_changes_exactly_one_thing),
		cmocka_unit_test(a_new_config_is_as_long_as_the_kernel_s),
		cmocka_unit_test(each_attribute_is_needed),
		cmocka_unit_test(attributes_of_a_wrong_form_are_refused),
		cmocka_unit_test(other_messages_are_none_of_the_three),
		cmocka_unit_test(a_message_cut_anywhere_is_refused),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
