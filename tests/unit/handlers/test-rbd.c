/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd handler: its config string, and its results for librbd's answers.
 */
#include "rbd-fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ------- the config string ------- */

static void the_config_strings_of_ceph_iscsi_are_read(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(
		fake_open(
			host, "rbd/disk;osd_op_timeout=45;conf=/etc/ceph/other.conf;id=gateway",
			SIZE, BLOCK),
		0);
	assert_string_equal(fake_rbd.conf, "/etc/ceph/other.conf");
	assert_string_equal(fake_rbd.id, "gateway");
	assert_string_equal(fake_rbd.name_space, "");
	/* opening has a separate limit */
	assert_string_equal(fake_rbd.osd_timeout[0], "8");
	assert_string_equal(fake_rbd.osd_timeout[1], "45");
}

static void without_options_the_usual_cluster_is_meant(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	assert_string_equal(fake_rbd.conf, "-");
	assert_string_equal(fake_rbd.id, "admin");
	assert_string_equal(fake_rbd.osd_timeout[1], "30");
}

static void namespaces_and_snapshots_are_made_out(void **state)
{
	struct fake_host *host = *state;

	fake_rbd.has_namespace = true;
	assert_int_equal(fake_open(host, "rbd/space/disk@night", SIZE, BLOCK), 0);
	assert_string_equal(fake_rbd.name_space, "space");
	assert_string_equal(fake_rbd.snapshot, "night");
	assert_true(fake_rbd.read_only);
	assert_int_equal(fake_rbd.watches, 0);
}

static void strings_that_name_no_image_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"rbd",
		"/",
		"rbd/",
		"/disk",
		"rbd//disk",
		"rbd/space/",
		"a/b/c/d",
		"rbd/disk@",
		"rbd/@night",
		"rbd/disk@a@b",
		"rbd@a/disk",
		"rbd/space@a/disk",
	};
	struct fake_host *host = *state;
	char claim[128];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(fake_check(host, bad[i], SIZE, BLOCK), -EINVAL);
		assert_non_null(strstr(host->reason.text, "pool[/namespace]/image[@snapshot]"));
		assert_int_equal(fake_open(host, bad[i], SIZE, BLOCK), -EINVAL);
		assert_int_equal(fake_claim(host, bad[i], claim, sizeof(claim)), -EINVAL);
	}
	assert_int_equal(fake_open(host, "rbd/disk;color=red", SIZE, BLOCK), -EINVAL);
	assert_string_equal(fake_rbd.id, "");
}

static void every_option_is_in_the_manual_page(void **state)
{
	fake_check_manual_options(*state, MANUAL);
}

/* ------- claims ------- */

static void a_claim_names_the_image_independently_of_its_spelling(void **state)
{
	struct fake_host *host = *state;
	char claim[128], other[128];

	open_disk(host);
	assert_int_equal(fake_claim(host, "rbd/disk;id=x;conf=/y", claim, sizeof(claim)), 0);
	assert_string_equal(claim, host->info.claim);
	assert_int_equal(fake_claim(host, "rbd/disk/disk", other, sizeof(other)), 0);
	assert_string_not_equal(claim, other);
	fake_rbd.fsid = "7c1f7f5c-0000-4000-8000-0123456789ab";
	assert_int_equal(fake_claim(host, "rbd/disk", other, sizeof(other)), 0);
	assert_string_not_equal(claim, other);
}

static void each_long_name_has_another_claim(void **state)
{
	struct fake_host *host = *state;
	char claims[2][128], name[160];

	for (unsigned i = 0; i < 2; i++) {
		(void) snprintf(name, sizeof(name), "rbd/%0140u", i);
		assert_int_equal(fake_claim(host, name, claims[i], sizeof(claims[i])), 0);
		assert_true(strlen(claims[i]) > 36);
	}
	assert_string_not_equal(claims[0], claims[1]);
}

static void snapshots_and_unknown_clusters_are_not_claimed(void **state)
{
	struct fake_host *host = *state;
	char claim[128];

	assert_int_equal(fake_claim(host, "rbd/disk@night", claim, sizeof(claim)), 0);
	assert_string_equal(claim, "");
	fake_rbd.fsid = "00000000-0000-0000-0000-000000000000";
	assert_int_equal(fake_claim(host, "rbd/disk", claim, sizeof(claim)), 0);
	assert_string_equal(claim, "");
}

/* ------- open ------- */

static void an_open_that_fails_leaves_nothing_behind(void **state)
{
	static const char *const steps[] = {
		"rados_create",       "rados_conf_read_file", "rados_conf_set",   "rados_connect",
		"rados_ioctx_create", "rbd_namespace_exists", "rbd_open",         "rbd_get_size",
		"rbd_stat",           "rbd_get_stripe_count", "rbd_update_watch",
	};
	struct fake_host *host = *state;

	fake_rbd.has_namespace = true;
	fake_rbd.error = -ECONNRESET;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fake_rbd.fail = steps[i];
		assert_int_equal(fake_open(host, "rbd/space/disk", SIZE, BLOCK), -ECONNRESET);
		assert_non_null(strstr(host->reason.text, strerror(ECONNRESET)));
		assert_true(fake_rbd_is_idle());
	}
}

static void a_check_leaves_nothing_behind(void **state)
{
	struct fake_host *host = *state;

	assert_int_equal(fake_check(host, "rbd/disk", SIZE, BLOCK), 0);
	assert_true(fake_rbd.read_only);
	assert_true(fake_rbd_is_idle());
	assert_int_equal(fake_check(host, "rbd/disk", SIZE + BLOCK, BLOCK), -EINVAL);
	assert_true(fake_rbd_is_idle());
}

static void the_reason_names_the_part_that_did_not_answer(void **state)
{
	struct fake_host *host = *state;

	fake_rbd.error = -ETIMEDOUT;
	fake_rbd.fail = "rados_connect";
	assert_int_equal(fake_open(host, "rbd/disk", SIZE, BLOCK), -ETIMEDOUT);
	assert_non_null(strstr(host->reason.text, "no monitor"));
	fake_rbd.fail = "rbd_open";
	assert_int_equal(fake_open(host, "rbd/disk", SIZE, BLOCK), -ETIMEDOUT);
	assert_non_null(strstr(host->reason.text, "storage does not answer"));
	fake_rbd.error = -ESHUTDOWN;
	assert_int_equal(fake_open(host, "rbd/disk", SIZE, BLOCK), -ESHUTDOWN);
	assert_non_null(strstr(host->reason.text, "blocklisted"));
}

static void a_cache_that_the_image_turns_on_is_reported(void **state)
{
	struct fake_host *host = *state;

	fake_rbd.cache = "true";
	open_disk(host);
	assert_true(host->info.volatile_cache);
	assert_false(host->info.fua);
	fake_close(host);
	fake_rbd.cache = "false";
	fake_rbd.fail = "rbd_config_image_list";
	fake_rbd.error = -EIO;
	open_disk(host);
	assert_true(host->info.volatile_cache);
}

static void a_disk_that_is_only_read_is_opened_so(void **state)
{
	struct fake_host *host = *state;

	host->read_only = true;
	open_disk(host);
	assert_true(fake_rbd.read_only);
	assert_int_equal(host->info.caps, TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_MAP));
}

static void a_resize_wants_an_image_that_is_large_enough(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	assert_int_equal(fake_resize(host, "rbd/disk", SIZE / 2), 0);
	assert_int_equal(fake_resize(host, "rbd/disk", 2 * SIZE), -EINVAL);
	atomic_store(&fake_rbd.size, 2 * SIZE);
	assert_int_equal(fake_resize(host, "rbd/disk", 2 * SIZE), 0);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 2 * SIZE - BLOCK, BLOCK, 0), 0);
}

/* ------- requests ------- */

static void zeros_keep_their_space_unless_it_may_be_given_back(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, BLOCK, 3 * BLOCK, 0), 0);
	assert_int_equal(fake_rbd.flags, RBD_WRITE_ZEROES_FLAG_THICK_PROVISION);
	assert_int_equal(fake_rbd.offset, BLOCK);
	assert_int_equal(fake_rbd.length, 3 * BLOCK);
	assert_int_equal(fake_do(host, TCMU_IO_WRITE_ZEROES, 0, BLOCK, TCMU_IO_MAY_UNMAP), 0);
	assert_int_equal(fake_rbd.flags, 0);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, BLOCK, 0), 0);
	assert_int_equal(fake_rbd.flags, 0);
}

static void a_block_is_repeated_by_librbd(void **state)
{
	struct fake_host *host = *state;
	struct fake_io *io;

	open_disk(host);
	io = fake_io_new(host, TCMU_IO_WRITE_SAME, 2 * BLOCK, 5 * BLOCK);
	memset(io->data, 0x5a, io->data_length);
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
	assert_int_equal(fake_rbd.offset, 2 * BLOCK);
	assert_int_equal(fake_rbd.length, 5 * BLOCK);
	assert_int_equal(fake_rbd.data[0][15], 0x5a);
}

static void requests_that_librbd_refuses_fail(void **state)
{
	static const struct {
		enum tcmu_io_op op;
		const char *function;
	} calls[] = {
		{TCMU_IO_READ, "rbd_aio_readv"},
		{TCMU_IO_WRITE, "rbd_aio_writev"},
		{TCMU_IO_FLUSH, "rbd_aio_flush"},
		{TCMU_IO_UNMAP, "rbd_aio_write_zeroes"},
		{TCMU_IO_COMPARE_AND_WRITE, "rbd_aio_compare_and_write"},
		{TCMU_IO_WRITE_SAME, "rbd_aio_writesame"},
		{TCMU_IO_WRITE, "rbd_aio_create_completion"},
		{TCMU_IO_MAP, "rbd_diff_iterate2"},
	};
	struct fake_host *host = *state;

	open_disk(host);
	fake_rbd.error = -ENOMEM;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		fake_rbd.fail = calls[i].function;
		assert_int_equal(fake_do(host, calls[i].op, 0, BLOCK, 0), -ENOMEM);
		assert_int_equal(fake_rbd.completions, 0);
	}
}

static void errors_of_the_cluster_are_converted(void **state)
{
	static const struct {
		int64_t result;
		int error;
	} answers[] = {
		{-EROFS, -EBUSY}, {-ETIMEDOUT, -ETIMEDOUT}, {-ENOSPC, -ENOSPC}, {-EDQUOT, -EDQUOT},
		{-EIO, -EIO},
	};
	struct fake_host *host = *state;
	uint8_t data[BLOCK] = {0};

	open_disk(host);
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		fake_rbd.result = answers[i].result;
		assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), answers[i].error);
	}
	assert_int_equal(fake_reported(host).events, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_LOCK_LOST); /* EROFS */
}

static void a_miscompare_is_reported_by_its_offset_in_the_block(void **state)
{
	/* from the image's beginning; and as if the block were the first of its object */
	const uint64_t mismatches[] = {4 * MIB + 3 * BLOCK + 77, 4 * MIB + 77};
	struct fake_host *host = *state;

	open_disk(host);
	fake_rbd.result = -EILSEQ;
	for (unsigned i = 0; i < 2; i++) {
		struct fake_io *io = fake_io_new(
			host, TCMU_IO_COMPARE_AND_WRITE, 4 * MIB + 3 * BLOCK, BLOCK);

		fake_rbd.mismatch = mismatches[i];
		fake_io_submit(io);
		assert_int_equal(fake_io_wait(io), -EILSEQ);
		assert_int_equal(io->io.result, 77);
		fake_io_free(io);
	}
}

static void scattered_halves_are_put_together(void **state)
{
	struct fake_host *host = *state;
	struct fake_io *io;
	char data[2 * BLOCK];

	open_disk(host);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char) (i % 251);
	io = fake_io_new(host, TCMU_IO_COMPARE_AND_WRITE, 0, BLOCK);
	fake_io_split(io, 7, 3);
	fake_io_fill(io, data, sizeof(data));
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
	assert_memory_equal(fake_rbd.data[0], data, sizeof(fake_rbd.data[0]));
	assert_memory_equal(fake_rbd.data[1], data + BLOCK, sizeof(fake_rbd.data[1]));
}

static void a_read_that_falls_short_is_an_error_where_it_ends(void **state)
{
	struct fake_host *host = *state;
	struct fake_io *io;

	open_disk(host);
	fake_rbd.result = 3 * BLOCK;
	io = fake_io_new(host, TCMU_IO_READ, 8 * BLOCK, 4 * BLOCK);
	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), -EIO);
	assert_int_equal(io->io.result, 11 * BLOCK);
	fake_io_free(io);
}

static void nothing_is_asked_behind_the_end_of_the_image(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[2 * BLOCK] = {0};

	open_disk(host);
	atomic_store(&fake_rbd.size, SIZE / 2);
	fake_rbd.updated(fake_rbd.updated_arg);
	fake_wait_events(host, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_RESIZED);
	assert_int_equal(fake_reported(host).event_value, SIZE / 2);
	assert_int_equal(fake_write(host, SIZE / 2 - BLOCK, data, sizeof(data), 0), -EIO);
	assert_int_equal(fake_rbd.requests, 0);
	assert_int_equal(fake_write(host, SIZE / 2 - BLOCK, data, BLOCK, 0), 0);
}

static void after_fencing_nothing_reaches_librbd(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[BLOCK] = {0};

	open_disk(host);
	fake_rbd.result = -ESHUTDOWN;
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -ESHUTDOWN);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
	assert_int_equal(fake_reported(host).event_value, -ESHUTDOWN);
	fake_rbd.result = 0;
	/* it is known that these were not carried out */
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -EBUSY);
	assert_int_equal(fake_do(host, TCMU_IO_UNMAP, 0, BLOCK, 0), -EBUSY);
	assert_int_equal(fake_rbd.requests, 1);
	assert_int_equal(fake_reported(host).events, 1);
}

/* ------- the service map ------- */

/* Until the helper has made so many reports. */
static void wait_reports(unsigned reports)
{
	while (atomic_load(&fake_rbd.reports) < reports)
		sched_yield();
}

static void the_service_map_has_the_keys_of_ceph_iscsi(void **state)
{
	struct fake_host *host = *state;
	char name[96], want[256], wanted_name[160];

	assert_int_equal(gethostname(name, sizeof(name)), 0);
	(void) snprintf(
		want, sizeof(want),
		"pool_name rbd image_name mapped image_id abc123 daemon_type portal daemon_prefix "
		"%s",
		name);
	(void) snprintf(wanted_name, sizeof(wanted_name), "tcmu-runner %s:rbd/mapped", name);
	assert_int_equal(fake_open(host, "rbd/mapped", SIZE, BLOCK), 0);
	assert_string_equal(fake_rbd.service, wanted_name);
	assert_string_equal(fake_rbd.metadata, want);
	assert_string_equal(
		fake_rbd.status,
		"lock_owner false lock_lost_cnt 0 conn_lost_cnt 0 cmd_timed_out_cnt 0 "
		"old_conn_cnt 0 host_old_conn_cnt 0");
}

static void it_reports_the_lock_and_the_failures(void **state)
{
	struct fake_host *host = *state;
	uint8_t data[BLOCK] = {0};

	assert_int_equal(fake_open(host, "rbd/counted", SIZE, BLOCK), 0);
	atomic_store(&fake_rbd.lock_ours, true);
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), 0);
	wait_reports(2);
	fake_rbd.result = -ETIMEDOUT;
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -ETIMEDOUT);
	wait_reports(3);
	fake_rbd.result = -ESHUTDOWN;
	assert_int_equal(fake_write(host, 0, data, sizeof(data), 0), -ESHUTDOWN);
	wait_reports(4);
	fake_close(host);
	assert_string_equal(
		fake_rbd.status,
		"lock_owner false lock_lost_cnt 1 conn_lost_cnt 1 cmd_timed_out_cnt 1 "
		"old_conn_cnt 1 host_old_conn_cnt 1");
	/* after a reopen the counters continue */
	fake_rbd.result = 0;
	assert_int_equal(fake_open(host, "rbd/counted", SIZE, BLOCK), 0);
	assert_string_equal(
		fake_rbd.status,
		"lock_owner true lock_lost_cnt 1 conn_lost_cnt 1 cmd_timed_out_cnt 1 "
		"old_conn_cnt 0 host_old_conn_cnt 0");
}

/* The connection of an orphan may be ended, so that only the others can report. */
static void another_image_reports_old_connections_of_the_host(void **state)
{
	struct fake_host *other = *state, *orphan = fake_host_with(other->handler, AIO_THREADS);
	unsigned reports;

	fake_rbd.fail = "rados_service_register";
	fake_rbd.error = -EPERM;
	assert_int_equal(fake_open(orphan, "rbd/orphan", SIZE, BLOCK), 0);
	fake_rbd.fail = NULL;
	assert_int_equal(fake_open(other, "rbd/other", SIZE, BLOCK), 0);
	assert_non_null(strstr(fake_rbd.status, "old_conn_cnt 0 host_old_conn_cnt 0"));
	reports = atomic_load(&fake_rbd.reports);
	orphan->handler->abandon(fake_backend_of(orphan));
	orphan->handler->abandon(fake_backend_of(orphan));
	wait_reports(reports + 1);
	assert_non_null(strstr(fake_rbd.status, "old_conn_cnt 0 host_old_conn_cnt 1"));
	fake_close(orphan);
	wait_reports(reports + 2);
	assert_non_null(strstr(fake_rbd.status, "old_conn_cnt 0 host_old_conn_cnt 0"));
	fake_host_free(orphan);
}

/* ------- the map ------- */

static uint64_t map_extent(struct fake_host *host, uint64_t offset, uint64_t length, bool mapped)
{
	struct fake_io *io = fake_io_new(host, TCMU_IO_MAP, offset, length);
	uint64_t result;

	fake_io_submit(io);
	assert_int_equal(fake_io_wait(io), 0);
	assert_int_equal(io->io.result_flags, mapped ? TCMU_IO_MAPPED : 0);
	result = io->io.result;
	fake_io_free(io);
	return result;
}

static void a_run_ends_where_allocation_changes(void **state)
{
	struct fake_host *host = *state;

	open_disk(host);
	assert_int_equal(map_extent(host, BLOCK, 64 * MIB, false), 64 * MIB);
	fake_rbd.extents[0].offset = 8 * MIB;
	fake_rbd.extents[0].length = 4 * MIB;
	fake_rbd.extents[1].offset = 12 * MIB;
	fake_rbd.extents[1].length = 4 * MIB;
	fake_rbd.extents[2].offset = 24 * MIB;
	fake_rbd.extents[2].length = 4 * MIB;
	assert_int_equal(map_extent(host, 4 * MIB, 64 * MIB, false), 4 * MIB);
	assert_int_equal(map_extent(host, 8 * MIB + BLOCK, 48 * MIB, true), 8 * MIB - BLOCK);
	assert_int_equal(map_extent(host, 8 * MIB, 6 * MIB, true), 6 * MIB);
}

static void one_request_queries_a_limited_number_of_objects(void **state)
{
	struct fake_host *host = *state;

	fake_rbd.object_size = MIB;
	open_disk(host);
	assert_int_equal(map_extent(host, BLOCK, SIZE - BLOCK, false), 256 * MIB - BLOCK);
	assert_int_equal(fake_rbd.length, 256 * MIB - BLOCK);
}

static void a_striped_image_has_no_map(void **state)
{
	struct fake_host *host = *state;

	fake_rbd.stripe_count = 4;
	open_disk(host);
	assert_false(host->info.caps & TCMU_IO_CAP(TCMU_IO_MAP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RBD_TEST(the_config_strings_of_ceph_iscsi_are_read),
		RBD_TEST(without_options_the_usual_cluster_is_meant),
		RBD_TEST(namespaces_and_snapshots_are_made_out),
		RBD_TEST(strings_that_name_no_image_are_refused),
		RBD_TEST(every_option_is_in_the_manual_page),
		RBD_TEST(a_claim_names_the_image_independently_of_its_spelling),
		RBD_TEST(each_long_name_has_another_claim),
		RBD_TEST(snapshots_and_unknown_clusters_are_not_claimed),
		RBD_TEST(an_open_that_fails_leaves_nothing_behind),
		RBD_TEST(a_check_leaves_nothing_behind),
		RBD_TEST(the_reason_names_the_part_that_did_not_answer),
		RBD_TEST(a_cache_that_the_image_turns_on_is_reported),
		RBD_TEST(a_disk_that_is_only_read_is_opened_so),
		RBD_TEST(a_resize_wants_an_image_that_is_large_enough),
		RBD_TEST(zeros_keep_their_space_unless_it_may_be_given_back),
		RBD_TEST(a_block_is_repeated_by_librbd),
		RBD_TEST(requests_that_librbd_refuses_fail),
		RBD_TEST(errors_of_the_cluster_are_converted),
		RBD_TEST(a_miscompare_is_reported_by_its_offset_in_the_block),
		RBD_TEST(scattered_halves_are_put_together),
		RBD_TEST(a_read_that_falls_short_is_an_error_where_it_ends),
		RBD_TEST(nothing_is_asked_behind_the_end_of_the_image),
		RBD_TEST(after_fencing_nothing_reaches_librbd),
		RBD_TEST(the_service_map_has_the_keys_of_ceph_iscsi),
		RBD_TEST(it_reports_the_lock_and_the_failures),
		RBD_TEST(another_image_reports_old_connections_of_the_host),
		RBD_TEST(a_run_ends_where_allocation_changes),
		RBD_TEST(one_request_queries_a_limited_number_of_objects),
		RBD_TEST(a_striped_image_has_no_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
