/* SPDX-License-Identifier: Apache-2.0 */
/* See rbd-host.h. */
#include "rbd-host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *cluster;
static char config[256];

/* A config string as ceph-iscsi writes it. */
const char *config_of(const char *target, unsigned timeout)
{
	(void) snprintf(
		config, sizeof(config), "%s;osd_op_timeout=%u;conf=%s/ceph.conf;id=admin", target,
		timeout, cluster);
	return config;
}

int setup_cluster(void **state)
{
	(void) state;
	cluster = getenv("CEPH_TEST_CLUSTER");
	assert_non_null(cluster);
	images_connect(cluster);
	return 0;
}

int teardown_cluster(void **state)
{
	(void) state;
	images_disconnect();
	return 0;
}

int setup_host(void **state)
{
	*state = fake_host_new(PLUGIN, AIO_THREADS);
	return 0;
}

int teardown_host(void **state)
{
	fake_host_free(*state);
	return 0;
}

/* Creates an image of SIZE bytes and opens it. */
void open_new(struct fake_host *host, const char *name)
{
	char target[64];

	image_create("", name, SIZE);
	(void) snprintf(target, sizeof(target), "rbd/%s", name);
	if (fake_open(host, config_of(target, 20), SIZE, BLOCK) < 0)
		fail_msg("%s", host->reason.text);
}

void *filled_buffer(size_t length, int byte)
{
	void *data = malloc(length);

	assert_non_null(data);
	memset(data, byte, length);
	return data;
}

void assert_bytes(struct fake_host *host, uint64_t offset, size_t length, int byte)
{
	uint8_t *want = filled_buffer(length, byte);
	uint8_t *got = filled_buffer(length, ~byte);

	assert_int_equal(fake_read(host, offset, got, length), 0);
	assert_memory_equal(got, want, length);
	free(want);
	free(got);
}

void write_bytes(struct fake_host *host, uint64_t offset, size_t length, int byte)
{
	uint8_t *data = filled_buffer(length, byte);

	assert_int_equal(fake_write(host, offset, data, length, 0), 0);
	free(data);
}

/* A second gateway: another connection to the cluster, as another host has one. */
struct fake_host *second_gateway(const char *target)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);

	if (fake_open(host, config_of(target, 20), SIZE, BLOCK) < 0)
		fail_msg("%s", host->reason.text);
	return host;
}

void take_lock(struct fake_host *host, uint16_t tag)
{
	if (fake_lock(host, tag) < 0)
		fail_msg("%s", host->reason.text);
}

void assert_lock(struct fake_host *host, bool expect_ours, uint16_t expect_tag)
{
	bool is_ours;
	uint16_t tag;

	assert_int_equal(fake_lock_state(host, &is_ours, &tag), 0);
	assert_int_equal(is_ours, expect_ours);
	assert_int_equal(tag, expect_tag);
}

void assert_fenced(struct fake_host *host, int result)
{
	if (result != -EBUSY && result != -ESHUTDOWN)
		fail_msg("the request of a fenced gateway ends with %d", result);
	fake_wait_events(host, 1);
	assert_int_equal(fake_reported(host).event, TCMU_BACKEND_FENCED);
}
