/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a cluster, and why there is none: the reason is what a person sees who has
 * mistyped a name, or whose cluster is away.
 *
 * Called by threads that may block. How long they do is bounded by librados's own limits, which are
 * set here.
 */
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int set_seconds(rados_t rados, const char *name, uint64_t seconds)
{
	char text[24];

	(void) snprintf(text, sizeof(text), "%" PRIu64, seconds);
	return rados_conf_set(rados, name, text);
}

int image_set_timeout(struct image_cluster *cluster, uint64_t seconds)
{
	int r = set_seconds(cluster->rados, "rados_osd_op_timeout", seconds);

	return r < 0 ? r : set_seconds(cluster->rados, "rados_mon_op_timeout", seconds);
}

/* Whose lock is taken away is shut out, whatever the configuration says: else he would go on
 * writing. */
static int set_fencing(struct image_cluster *cluster)
{
	int r = rados_conf_set(cluster->rados, "rbd_blocklist_on_break_lock", "true");

	return r == -ENOENT ? rados_conf_set(cluster->rados, "rbd_blacklist_on_break_lock", "true")
			    : r;
}

/* What a command has completed must be in the cluster, where the other gateways see it, and not in
 * this one's memory. */
static int set_limits(struct image_cluster *cluster)
{
	int r = rados_conf_set(cluster->rados, "rbd_cache", "false");

	if (r >= 0)
		r = set_fencing(cluster);
	if (r >= 0)
		r = set_seconds(cluster->rados, "client_mount_timeout", IMAGE_OPEN_TIMEOUT);
	return r < 0 ? r : image_set_timeout(cluster, IMAGE_OPEN_TIMEOUT);
}

int image_configure(
	const struct tcmu_config *config, struct image_cluster *cluster, struct tcmu_reason *reason)
{
	const char *conf = config->values[IMAGE_CONF].string;
	const char *id = config->values[IMAGE_ID].string;
	int r;

	*cluster = (struct image_cluster){.rados = NULL};
	r = rados_create(&cluster->rados, id);
	if (r < 0)
		return image_refuse(
			reason, r, "librados cannot be used as client.%.64s: %s", id, strerror(-r));
	r = rados_conf_read_file(cluster->rados, conf);
	if (r < 0) {
		image_disconnect(cluster);
		return image_refuse(
			reason, r, "the cluster's configuration cannot be read: %s: %s",
			strerror(-r),
			conf ? conf : "none is in the usual places; name one with conf=");
	}
	r = set_limits(cluster);
	if (r < 0) {
		image_disconnect(cluster);
		return image_refuse(reason, r, "librados takes no limit: %s", strerror(-r));
	}
	return 0;
}

static int refuse_connection(
	const struct tcmu_config *config, int error, struct tcmu_reason *reason)
{
	const char *conf = config->values[IMAGE_CONF].string;
	const char *id = config->values[IMAGE_ID].string;

	if (error == -ETIMEDOUT)
		return image_refuse(
			reason, error, "no monitor of the cluster has answered within %u s%s%s",
			IMAGE_OPEN_TIMEOUT, conf ? ": " : "", conf ? conf : "");
	if (error == -EACCES || error == -EPERM || error == -ENOENT)
		return image_refuse(
			reason, error,
			"the cluster does not let in client.%.64s: no key, or not the right one",
			id);
	return image_refuse(
		reason, error, "the cluster cannot be reached as client.%.64s: %s", id,
		strerror(-error));
}

static int open_namespace(
	const struct image_target *target, struct image_cluster *cluster,
	struct tcmu_reason *reason)
{
	bool exists = false;
	int r;

	if (!target->name_space[0])
		return 0;
	r = rbd_namespace_exists(cluster->pool, target->name_space, &exists);
	if (r < 0)
		return image_refuse(
			reason, r, "the namespaces of the pool cannot be read: %s: %s",
			strerror(-r), target->pool);
	if (!exists)
		return image_refuse(
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
	r = rados_connect(cluster->rados);
	if (r < 0) {
		refuse_connection(config, r, reason);
	} else {
		r = rados_ioctx_create(cluster->rados, target->pool, &cluster->pool);
		if (r < 0)
			image_refuse(
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
