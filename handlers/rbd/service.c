/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image in the cluster's service map, where `ceph service dump`, ceph-iscsi and the dashboard look for it. Its names
 * and keys are what they read.
 *
 * Who has the image's lock is not told by librbd when it changes hands, as it does with the first write of somebody else.
 * So it is asked for after a write while we are not known to have it, and every few seconds while we are.
 */
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERVICE   "tcmu-runner"
#define HOST_SIZE 65
#define DICT_SIZE (6 * IMAGE_NAME_SIZE)

/* Keys and values, each with its NUL; an empty key ends it. */
struct dict {
	char text[DICT_SIZE];
	size_t length;
};

static void put(struct dict *dict, const char *text)
{
	size_t size = strlen(text) + 1;

	/* room for the last NUL is left */
	if (size >= sizeof(dict->text) - dict->length)
		return;
	memcpy(dict->text + dict->length, text, size);
	dict->length += size;
}

static void put_pair(struct dict *dict, const char *key, const char *value)
{
	put(dict, key);
	put(dict, value);
}

static void put_count(struct dict *dict, const char *key, atomic_uint *count)
{
	char text[16];

	(void) snprintf(text, sizeof(text), "%u", atomic_load(count));
	put_pair(dict, key, text);
}

int image_service_register(struct image *image, const struct image_target *target)
{
	char host[HOST_SIZE] = "", id[IMAGE_NAME_SIZE] = "", name[HOST_SIZE + 5 * IMAGE_NAME_SIZE];
	struct dict dict = {.length = 0};
	uint64_t features = 0;
	int r;

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
	image->service.registered = true;
	image_service_report(image);
	return 0;
}

/* Asks the cluster. Where it does not answer, what was known stays. */
static void look_at_lock(struct image *image)
{
	struct image_service *service = &image->service;
	int owner = 0;

	if (!service->lockable)
		return;
	if (!atomic_load(&image->fenced) && rbd_is_exclusive_lock_owner(image->rbd, &owner) < 0)
		return;
	if (atomic_exchange(&service->owner, owner != 0) && !owner && !atomic_load(&image->fenced))
		atomic_fetch_add(&service->lock_lost, 1);
}

void image_service_report(struct image *image)
{
	struct image_service *service = &image->service;
	struct dict dict = {.length = 0};

	if (!service->registered)
		return;
	look_at_lock(image);
	put_pair(&dict, "lock_owner", atomic_load(&service->owner) ? "true" : "false");
	put_count(&dict, "lock_lost_cnt", &service->lock_lost);
	put_count(&dict, "conn_lost_cnt", &service->conn_lost);
	put_count(&dict, "cmd_timed_out_cnt", &service->timed_out);
	(void) rados_service_update_status(image->cluster.rados, dict.text);
}

void image_service_note(struct image *image, enum tcmu_io_op op, int error)
{
	struct image_service *service = &image->service;
	bool news = true;

	if (error == -ETIMEDOUT)
		atomic_fetch_add(&service->timed_out, 1);
	else if (error == -EROFS)
		atomic_fetch_add(&service->lock_lost, 1);
	else
		news = !error && op != TCMU_IO_READ && op != TCMU_IO_MAP && op != TCMU_IO_FLUSH &&
			service->lockable && !atomic_load(&service->owner);
	if (news && service->registered && !atomic_exchange(&service->due, true))
		image_helper_wake(image);
}

void image_service_note_fence(struct image *image)
{
	struct image_service *service = &image->service;

	atomic_fetch_add(&service->conn_lost, 1);
	if (atomic_load(&service->owner))
		atomic_fetch_add(&service->lock_lost, 1);
	if (service->registered && !atomic_exchange(&service->due, true))
		image_helper_wake(image);
}
