/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a cluster, and the reasons why there is none: a mistyped name, or a cluster
 * that does not answer.
 *
 * The calling thread may block. The limits of librados, which are set here, bound the time.
 */
#include "cluster.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <rbd/librbd.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "settings.h"

static int set_number(rados_t rados, const char *name, uint64_t number)
{
	char text[24];

	(void) snprintf(text, sizeof(text), "%" PRIu64, number);
	return rados_conf_set(rados, name, text);
}

int image_set_timeout(struct image_cluster *cluster, uint64_t seconds)
{
	int r = set_number(cluster->rados, "rados_osd_op_timeout", seconds);

	assert(cluster->rados);
	return r < 0 ? r : set_number(cluster->rados, "rados_mon_op_timeout", seconds);
}

static int set_limits(struct image_cluster *cluster)
{
	int r = image_settings_set(cluster->rados);

	if (r >= 0)
		r = set_number(cluster->rados, "client_mount_timeout", IMAGE_OPEN_TIMEOUT);
	/* No call waits for requests in flight, of which the ring bounds the number. */
	if (r >= 0)
		r = set_number(cluster->rados, "objecter_inflight_ops", 0);
	if (r >= 0)
		r = set_number(cluster->rados, "objecter_inflight_op_bytes", 0);
	return r < 0 ? r : image_set_timeout(cluster, IMAGE_OPEN_TIMEOUT);
}

/* ------- threads ------- */

struct thread_option {
	const char *name;
	const char *value;
};

/* Each image has its own connection, so that a blocklist entry cuts off one image only. librados
 * and librbd then have all of their threads once for each image. These two pools have more than
 * one; an image does not become faster by that (docs/performance.md). */
static const struct thread_option thread_options[] = {
	{"ms_async_op_threads", "1"},   /* messenger: one, an epoll and two pipe descriptors each */
	{"librados_thread_count", "1"}, /* completions */
};

#define THREAD_OPTIONS (sizeof(thread_options) / sizeof(thread_options[0]))

/* The values before the configuration file is read. An option that this librados does not know has
 * the value "". */
struct thread_values {
	char text[THREAD_OPTIONS][24];
};

static void get_thread_values(rados_t rados, struct thread_values *values)
{
	for (unsigned i = 0; i < THREAD_OPTIONS; i++)
		if (rados_conf_get(
			    rados, thread_options[i].name, values->text[i],
			    sizeof(values->text[i])) < 0)
			values->text[i][0] = '\0';
}

/* A value in the configuration file stays: the operator has a reason for it. */
static int set_threads(rados_t rados, const struct thread_values *before)
{
	struct thread_values now;
	int r = 0;

	get_thread_values(rados, &now);
	for (unsigned i = 0; i < THREAD_OPTIONS && r >= 0; i++)
		if (now.text[i][0] && strcmp(now.text[i], before->text[i]) == 0)
			r = rados_conf_set(rados, thread_options[i].name, thread_options[i].value);
	return r;
}

int image_configure(
	const struct tcmu_config *config, struct image_cluster *cluster, struct tcmu_reason *reason)
{
	const char *conf = config->values[IMAGE_CONF].string;
	const char *id = config->values[IMAGE_ID].string;
	struct thread_values values;
	int r;

	*cluster = (struct image_cluster){.rados = NULL};
	r = rados_create(&cluster->rados, id);
	if (r < 0)
		return tcmu_refuse(
			reason, r, "cannot initialise librados as client.%.64s: %s", id,
			strerror(-r));
	get_thread_values(cluster->rados, &values);
	r = rados_conf_read_file(cluster->rados, conf);
	if (r < 0) {
		image_disconnect(cluster);
		return tcmu_refuse(
			reason, r, "cannot read the cluster's configuration: %s: %s", strerror(-r),
			conf ? conf : "no file in the default directories; name one with conf=");
	}
	r = set_limits(cluster);
	if (r >= 0)
		r = set_threads(cluster->rados, &values);
	if (r < 0) {
		image_disconnect(cluster);
		return tcmu_refuse(
			reason, r, "cannot set the options of librados: %s", strerror(-r));
	}
	return 0;
}

static int refuse_connection(
	const struct tcmu_config *config, int error, struct tcmu_reason *reason)
{
	const char *conf = config->values[IMAGE_CONF].string;
	const char *id = config->values[IMAGE_ID].string;

	if (error == -ETIMEDOUT)
		return tcmu_refuse(
			reason, error, "no monitor of the cluster has answered within %u s%s%s",
			IMAGE_OPEN_TIMEOUT, conf ? ": " : "", conf ? conf : "");
	if (error == -EACCES || error == -EPERM || error == -ENOENT)
		return tcmu_refuse(
			reason, error,
			"the cluster refuses client.%.64s: its key is missing or wrong", id);
	return tcmu_refuse(
		reason, error, "cannot connect to the cluster as client.%.64s: %s", id,
		strerror(-error));
}

static int open_namespace(
	const struct image_target *target, struct image_cluster *cluster,
	struct tcmu_reason *reason)
{
	bool exists = false;
	int r;

	assert(cluster->pool);
	/* The image inherits it: what needs room in a full pool fails at once, and does not wait
	 * until there is some, while UNMAP and overwriting go on. */
	rados_set_pool_full_try(cluster->pool);
	if (!target->name_space[0])
		return 0;
	r = rbd_namespace_exists(cluster->pool, target->name_space, &exists);
	if (r < 0)
		return tcmu_refuse(
			reason, r, "cannot read the namespaces of the pool: %s: %s", strerror(-r),
			target->pool);
	if (!exists)
		return tcmu_refuse(
			reason, -ENOENT, "the pool has no such namespace: %s/%s", target->pool,
			target->name_space);
	rados_ioctx_set_namespace(cluster->pool, target->name_space);
	return 0;
}

int image_connect(
	const struct tcmu_config *config, const struct image_target *target,
	struct image_cluster *cluster, struct tcmu_reason *reason)
{
	int r = image_configure(config, cluster, reason);

	if (r < 0)
		return r;
	r = kill_connect(cluster->rados, &cluster->kill);
	if (r < 0) {
		refuse_connection(config, r, reason);
	} else {
		r = rados_ioctx_create(cluster->rados, target->pool, &cluster->pool);
		if (r < 0)
			tcmu_refuse(
				reason, r, "%s: %s",
				r == -ENOENT ? "the cluster has no such pool" : strerror(-r),
				target->pool);
		else
			r = open_namespace(target, cluster, reason);
	}
	if (r < 0)
		image_disconnect(cluster);
	return r;
}

void image_disconnect(struct image_cluster *cluster)
{
	if (cluster->pool)
		rados_ioctx_destroy(cluster->pool);
	if (cluster->rados)
		rados_shutdown(cluster->rados);
	*cluster = (struct image_cluster){.rados = NULL};
}
