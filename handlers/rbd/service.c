/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's entry in the cluster's service map, which `ceph service dump`, ceph-iscsi and the
 * dashboard read. The names and keys are those of tcmu-runner.
 *
 * librbd does not report that the image's lock has changed its holder. So the holder is queried
 * after a write while this host is not known to hold the lock, and periodically while it is.
 */
#include "service.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "request.h"
#include "status.h"

#define SERVICE   "tcmu-runner"
#define HOST_SIZE 65
#define DICT_SIZE (6 * IMAGE_NAME_SIZE)

/* Keys and values, each with its NUL; an empty key ends it. */
struct dict {
	char text[DICT_SIZE];
	size_t length;
};

static void put_text(struct dict *dict, const char *text)
{
	size_t size = strlen(text) + 1;

	/* keeps room for the last NUL */
	if (size >= sizeof(dict->text) - dict->length)
		return;
	memcpy(dict->text + dict->length, text, size);
	dict->length += size;
}

static void put_pair(struct dict *dict, const char *key, const char *value)
{
	put_text(dict, key);
	put_text(dict, value);
}

static void put_number(struct dict *dict, const char *key, unsigned number)
{
	char text[16];

	(void) snprintf(text, sizeof(text), "%u", number);
	put_pair(dict, key, text);
}

static void put_count(struct dict *dict, const char *key, atomic_uint *count)
{
	put_number(dict, key, atomic_load(count));
}

/* ------- the service map ------- */

int image_service_register(struct image *image, const struct image_target *target)
{
	char host[HOST_SIZE] = "", id[IMAGE_NAME_SIZE] = "", name[HOST_SIZE + 5 * IMAGE_NAME_SIZE];
	struct dict dict = {.length = 0};
	uint64_t features = 0;
	int r;

	assert(!image->service.registered && !image->has_thread);
	(void) gethostname(host, sizeof(host) - 1);
	r = rbd_get_id(image->rbd, id, sizeof(id));
	if (r >= 0)
		r = rbd_get_features(image->rbd, &features);
	if (r < 0)
		return r;
	image->service.lockable = !image->read_only && (features & RBD_FEATURE_EXCLUSIVE_LOCK);
	(void) snprintf(
		name, sizeof(name), "%s:%s/%s%s%s%s%s", host, target->pool, target->name_space,
		target->name_space[0] ? "/" : "", target->name, target->snapshot[0] ? "@" : "",
		target->snapshot);
	put_pair(&dict, "pool_name", target->pool);
	put_pair(&dict, "image_name", target->name);
	put_pair(&dict, "image_id", id);
	put_pair(&dict, "daemon_type", "portal");
	put_pair(&dict, "daemon_prefix", host);
	r = rados_service_register(image->cluster.rados, SERVICE, name, dict.text);
	if (r < 0)
		return r;
	image->service.counts = image_counts_get(name);
	if (!image->service.counts)
		return -ENOMEM;
	image->service.registered = true;
	image_status_join(image);
	image_service_report(image);
	return 0;
}

/* Queries whether this host holds the lock. Without an answer the known state stays; an old
 * connection is not asked. */
static void query_lock_holder(struct image *image)
{
	struct image_service *service = &image->service;
	int holder = 0, r;

	if (!service->lockable || atomic_load(&image->old))
		return;
	r = rbd_is_exclusive_lock_owner(image->rbd, &holder);
	/* A host that writes nothing would not notice it otherwise. */
	if (r == -ESHUTDOWN)
		image_fence(image);
	else if (r < 0)
		return;
	if (!atomic_exchange(&service->locked, holder != 0) || holder ||
	    atomic_load(&image->fenced))
		return;
	atomic_fetch_add(&service->counts->lock_lost, 1);
	if (atomic_load(&image->on_demand))
		image_event(image, TCMU_BACKEND_LOCK_LOST, 0);
}

void image_service_report(struct image *image)
{
	struct image_service *service = &image->service;
	struct dict dict = {.length = 0};

	if (!service->registered)
		return;
	assert(service->counts);
	query_lock_holder(image);
	put_pair(&dict, "lock_owner", atomic_load(&service->locked) ? "true" : "false");
	put_count(&dict, "lock_lost_cnt", &service->counts->lock_lost);
	put_count(&dict, "conn_lost_cnt", &service->counts->conn_lost);
	put_count(&dict, "cmd_timed_out_cnt", &service->counts->timed_out);
	put_count(&dict, "old_conn_cnt", &service->counts->old);
	put_number(&dict, "host_old_conn_cnt", image_status_old());
	(void) rados_service_update_status(image->cluster.rados, dict.text);
}
