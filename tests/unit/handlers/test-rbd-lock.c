/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of an image: what the rbd handler does with librbd's answers.
 */
#include "rbd-fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static void another_holder_is_fenced_before_the_lock_is_taken(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	strcpy(fake_rbd.lock_holder, "client.77");
	assert_int_equal(fake_lock(host, 3), 0);
	assert_string_equal(fake_rbd.broken, "client.77");
	assert_int_equal(fake_rbd.acquired, 1);
	assert_string_equal(fake_rbd.locker_tag, "tcmu_tag=3,rbd_client=client.4100");
	/* a lock that is held is kept, with another tag */
	assert_int_equal(fake_lock(host, 4), 0);
	assert_int_equal(fake_rbd.breaks, 1);
	assert_string_equal(fake_rbd.locker_tag, "tcmu_tag=4,rbd_client=client.4100");
	assert_int_equal(fake_unlock(host), 0);
	assert_int_equal(fake_rbd.released, 1);
}

/* Their records are in the image's metadata, and their entries in the blocklist. */
static void former_holders_are_kept_out(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	strcpy(fake_rbd.records, "10.0.0.1:0/5=past 10.0.0.2:0/6=ended ");
	assert_int_equal(fake_lock(host, 1), 0);
	assert_non_null(strstr(fake_rbd.blocklist, "\"10.0.0.1:0/5\""));
	assert_non_null(strstr(fake_rbd.blocklist, "\"10.0.0.2:0/6\""));
	assert_non_null(strstr(fake_rbd.records, "client.4100=holder"));
	assert_int_equal(fake_unlock(host), 0);
	assert_null(strstr(fake_rbd.records, "client.4100"));
	/* without a record it does not answer as the lock holder */
	fake_rbd.fail = "metadata_set";
	fake_rbd.error = -ETIMEDOUT;
	assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
	assert_false(fake_rbd.killed);
}

/* A third host has had the lock, and a fourth has broken it, since the former holders were read. */
static void a_holder_that_came_and_went_is_waited_for(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	strcpy(fake_rbd.records, "10.0.0.1:0/5=past ");
	fake_rbd.visitor = "10.0.0.3:0/7=holder:12 ";
	assert_int_equal(fake_lock(host, 1), 0);
	assert_int_equal(fake_rbd.acquired, 2);
	assert_int_equal(fake_rbd.released, 1);
	assert_int_equal(fake_unlock(host), 0);
	/* If it cannot be released, it is unclear who has it. */
	fake_rbd.visitor = "10.0.0.3:0/7=holder:13 ";
	fake_rbd.fail = "rbd_lock_release";
	fake_rbd.error = -ETIMEDOUT;
	assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
}

/* A host with the lock whose write has timed out: it may still land. */
static void leave_write_unanswered(struct fake_host *host)
{
	uint8_t data[BLOCK] = {0};

	open_disk(host);
	assert_int_equal(fake_lock(host, 1), 0);
	fake_rbd.result = -ETIMEDOUT;
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -ETIMEDOUT);
}

/* The record stays, and the connection is cut off. */
static void a_holder_with_unanswered_writes_stays_recorded(void **state)
{
	struct fake_host *host = *state;

	leave_write_unanswered(host);
	assert_int_equal(fake_unlock(host), -ESHUTDOWN);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
	assert_true(fake_rbd.killed);
	assert_non_null(strstr(fake_rbd.records, "client.4100="));
}

static void an_image_with_unanswered_writes_is_cut_off_to_close_it(void **state)
{
	struct fake_host *host = *state;

	leave_write_unanswered(host);
	fake_close(host);
	assert_true(fake_rbd.killed);
	assert_string_equal(fake_rbd.records, "client.4100=ended ");
}

static void an_abandoned_holder_is_cut_off(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[BLOCK] = {0};

	open_disk(host);
	host->handler->abandon(fake_backend_of(host));
	assert_false(fake_rbd.killed);
	assert_int_equal(fake_lock(host, 1), 0);
	host->handler->abandon(fake_backend_of(host));
	assert_true(fake_rbd.killed);
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -EBUSY);
}

static void a_lock_that_cannot_be_had_says_why(void **state)
{
	static const struct {
		const char *fail;
		int error;
		const char *reason;
	} failures[] = {
		{"rbd_lock_break", -EPERM, "profile rbd"},
		{"rbd_lock_acquire", -EROFS, "another client"},
		{"rbd_lock_acquire", -EAGAIN, "another client"},
		{"rbd_lock_get_owners", -ETIMEDOUT, "timed out"},
	};
	struct fake_host *host = *state;

	open_disk(host);
	strcpy(fake_rbd.lock_holder, "client.77");
	fake_rbd.lock_shared = true;
	assert_int_equal(fake_lock(host, 1), -EBUSY);
	assert_non_null(strstr(host->reason.text, "shared"));
	fake_rbd.lock_shared = false;
	for (unsigned i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		strcpy(fake_rbd.lock_holder, "client.77");
		fake_rbd.fail = failures[i].fail;
		fake_rbd.error = failures[i].error;
		assert_int_equal(fake_lock(host, 1), failures[i].error);
		if (!strstr(host->reason.text, failures[i].reason))
			fail_msg("it says: %s", host->reason.text);
	}
	fake_rbd.fail = NULL;
	fake_rbd.reacquires = 100;
	assert_int_equal(fake_lock(host, 1), -EROFS);
	assert_int_equal(fake_reported(host).events, 0);
}

/* The pool's and the image's settings override those of the connection. */
static void an_image_with_an_unsafe_setting_is_not_locked(void **state)
{
	static const char *const settings[][2] = {
		{"rbd_cache", "true"},
		{"rbd_persistent_cache_mode", "rwl"},
		{"rbd_blocklist_on_break_lock", "false"},
		{"rbd_blacklist_on_break_lock", "0"},
		{"rbd_blocklist_expire_seconds", "600"},
		{"rbd_auto_exclusive_lock_until_manual_request", "false"},
	};
	struct fake_host *host = *state;

	for (unsigned i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		bool pool = i % 2;

		fake_rbd.setting = (rbd_config_option_t){
			.name = (char *) settings[i][0],
			.value = (char *) settings[i][1],
			.source = pool ? RBD_CONFIG_SOURCE_POOL : RBD_CONFIG_SOURCE_IMAGE};
		open_disk(host);
		strcpy(fake_rbd.lock_holder, "client.77");
		assert_int_equal(fake_lock(host, 1), -EINVAL);
		assert_non_null(strstr(host->reason.text, settings[i][0]));
		assert_non_null(strstr(host->reason.text, pool ? "the pool's" : "the image's"));
		assert_int_equal(fake_rbd.breaks, 0);
		/* once it is corrected, the image is opened again before it is shared */
		fake_rbd.setting.name = NULL;
		assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
		assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
		fake_close(host);
	}
	open_disk(host);
	assert_int_equal(fake_lock(host, 1), 0);
	fake_rbd.fail = "rbd_config_image_list";
	fake_rbd.error = -ETIMEDOUT;
	assert_int_equal(fake_lock(host, 1), -ETIMEDOUT);
}

static void the_connection_sets_what_the_lock_needs(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	assert_string_equal(
		fake_rbd.settings,
		"rbd_cache=false rbd_persistent_cache_mode=disabled "
		"rbd_blocklist_on_break_lock=true rbd_blocklist_expire_seconds=0 "
		"rbd_auto_exclusive_lock_until_manual_request=true ");
	assert_true(fake_rbd.full_try);
}

/* Whether the cluster has carried it out is not known: a new connection does not inherit it. */
static void an_unclear_result_of_the_lock_needs_a_new_connection(void **state)
{
	static const struct {
		const char *fail;
		int error;
	} failures[] = {
		{"rbd_lock_acquire", -ETIMEDOUT}, {"rbd_lock_acquire", -EEXIST},
		{"rbd_lock_acquire", -EIO},       {"rbd_lock_release", -ETIMEDOUT},
		{"rbd_lock_release", -EIO},
	};
	struct fake_host *host = *state;

	for (unsigned i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		bool release = strcmp(failures[i].fail, "rbd_lock_release") == 0;

		open_disk(host);
		if (release)
			assert_int_equal(fake_lock(host, 1), 0);
		fake_rbd.fail = failures[i].fail;
		fake_rbd.error = failures[i].error;
		assert_int_equal(release ? fake_unlock(host) : fake_lock(host, 1), -ESHUTDOWN);
		assert_int_equal(fake_reported(host).events, 1);
		assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
		fake_rbd.fail = NULL;
		atomic_store(&fake_rbd.lock_ours, false);
		assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
		fake_close(host);
	}
}

/* librbd says that it has the lock, the cluster that another client has it. */
static void a_lock_that_the_cluster_does_not_confirm_is_none(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	fake_rbd.acquires_nothing = true;
	assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
}

static void an_image_without_the_feature_is_not_locked(void **state)
{
	struct fake_host *host = *state;

	fake_rbd.features = 0;
	open_disk(host);
	assert_int_equal(fake_lock(host, 1), -EOPNOTSUPP);
	assert_non_null(strstr(host->reason.text, "rbd feature enable"));
}

static void the_holder_of_the_lock_is_read_in_the_format_of_other_gateways(void **state)
{
	struct fake_host *host = *state;
	bool ours;
	uint16_t tag;

	open_disk(host);
	assert_int_equal(fake_lock_state(host, &ours, &tag), 0);
	assert_false(ours);
	assert_int_equal(tag, 0);
	strcpy(fake_rbd.lock_holder, "client.77");
	strcpy(fake_rbd.locker_tag, "tcmu_tag=12,rbd_client=client.77");
	assert_int_equal(fake_lock_state(host, &ours, &tag), 0);
	assert_false(ours);
	assert_int_equal(tag, 12);
	/* another has taken the lock since, and keeps none */
	strcpy(fake_rbd.lock_holder, "client.78");
	assert_int_equal(fake_lock_state(host, &ours, &tag), 0);
	assert_int_equal(tag, 0);
	strcpy(fake_rbd.locker_tag, "nonsense");
	assert_int_equal(fake_lock_state(host, &ours, &tag), 0);
	assert_int_equal(tag, 0);
	assert_int_equal(fake_lock(host, 5), 0);
	assert_int_equal(fake_lock_state(host, &ours, &tag), 0);
	assert_true(ours);
	assert_int_equal(tag, 5);
}

static void a_write_without_the_lock_reports_the_loss(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[BLOCK] = {0};

	open_disk(host);
	/* also where librbd takes the lock by itself, and another gateway does not pass it on */
	fake_rbd.result = -EROFS;
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -EBUSY);
	assert_int_equal(fake_reported(host).events, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_LOCK_LOST);
	assert_int_equal(fake_lock(host, 1), 0);
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -EBUSY);
	assert_int_equal(fake_reported(host).events, 2);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_LOCK_LOST);
}

static void a_fenced_host_takes_no_lock(void **state)
{
	struct fake_host *host = *state;
	bool ours;
	uint16_t tag;

	open_disk(host);
	fake_rbd.fail = "rbd_lock_acquire";
	fake_rbd.error = -ESHUTDOWN;
	assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
	fake_rbd.fail = NULL;
	assert_int_equal(fake_lock(host, 1), -ESHUTDOWN);
	assert_int_equal(fake_lock_state(host, &ours, &tag), -ESHUTDOWN);
	assert_int_equal(fake_unlock(host), 0);
	assert_int_equal(fake_rbd.acquired + fake_rbd.released, 0);
	assert_int_equal(fake_reported(host).events, 1);
}

static void a_query_of_the_lock_detects_fencing(void **state)
{
	struct fake_host *host = *state;
	bool ours;
	uint16_t tag;

	open_disk(host);
	fake_rbd.fail = "rbd_lock_get_owners";
	fake_rbd.error = -ETIMEDOUT;
	assert_int_equal(fake_lock_state(host, &ours, &tag), -ETIMEDOUT);
	assert_int_equal(fake_reported(host).events, 0);
	fake_rbd.error = -ESHUTDOWN;
	assert_int_equal(fake_lock_state(host, &ours, &tag), -ESHUTDOWN);
	assert_false(ours);
	assert_int_equal(fake_reported(host).events, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
}

static void a_disk_that_the_map_does_not_take_is_served(void **state)
{
	static const char *const steps[] = {
		"rados_service_register", "rbd_get_id", "rbd_get_features"};
	struct fake_host *host = *state;

	fake_rbd.error = -EEXIST;
	for (unsigned i = 0; i < 3; i++) {
		fake_rbd.fail = steps[i];
		open_disk(host);
		assert_non_null(strstr(fake_reported(host).log, "service map"));
		assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, BLOCK, 0), 0);
		fake_close(host);
	}
	assert_int_equal(atomic_load(&fake_rbd.reports), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RBD_TEST(another_holder_is_fenced_before_the_lock_is_taken),
		RBD_TEST(former_holders_are_kept_out),
		RBD_TEST(a_holder_that_came_and_went_is_waited_for),
		RBD_TEST(a_holder_with_unanswered_writes_stays_recorded),
		RBD_TEST(an_image_with_unanswered_writes_is_cut_off_to_close_it),
		RBD_TEST(an_abandoned_holder_is_cut_off),
		RBD_TEST(a_lock_that_cannot_be_had_says_why),
		RBD_TEST(an_image_with_an_unsafe_setting_is_not_locked),
		RBD_TEST(the_connection_sets_what_the_lock_needs),
		RBD_TEST(an_unclear_result_of_the_lock_needs_a_new_connection),
		RBD_TEST(a_lock_that_the_cluster_does_not_confirm_is_none),
		RBD_TEST(an_image_without_the_feature_is_not_locked),
		RBD_TEST(the_holder_of_the_lock_is_read_in_the_format_of_other_gateways),
		RBD_TEST(a_write_without_the_lock_reports_the_loss),
		RBD_TEST(a_fenced_host_takes_no_lock),
		RBD_TEST(a_query_of_the_lock_detects_fencing),
		RBD_TEST(a_disk_that_the_map_does_not_take_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
