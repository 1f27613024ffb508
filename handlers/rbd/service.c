/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image in the cluster's service map, where `ceph service dump`, ceph-iscsi and the dashboard
 * look for it. Its names and keys are what they read.
 *
 * Who has the image's lock is not told by librbd when it changes hands, as it does with the first
 * write of somebody else. So it is asked for after a write while we are not known to have it, and
 * every few seconds while we are.
 */
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ------- counts ------- */

static pthread_mutex_t counts_lock = PTHREAD_MUTEX_INITIALIZER; /* for the list */
static struct image_counts *all_counts;

/* An image that was shut out is opened anew, and its counts go on. NULL: out of memory. */
static struct image_counts *find_counts(const char *name)
{
	struct image_counts *counts;

	pthread_mutex_lock(&counts_lock);
	for (counts = all_counts; counts && strcmp(counts->name, name) != 0;)
		counts = counts->next;
	if (!counts)
		counts = calloc(1, sizeof(*counts) + strlen(name) + 1);
	if (counts && !counts->name[0]) {
		memcpy(counts->name, name, strlen(name) + 1);
		counts->next = all_counts;
		all_counts = counts;
	}
	pthread_mutex_unlock(&counts_lock);
	return counts;
}

/* When the plugin is unloaded. */
__attribute__((destructor)) static void free_counts(void)
{
	struct image_counts *counts;

	while ((counts = all_counts)) {
		all_counts = counts->next;
		free(counts);
	}
}

static void count(atomic_uint *counter)
{
	atomic_fetch_add(counter, 1);
}

/* ------- the service map ------- */

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
	image->service.counts = find_counts(name);
	if (!image->service.counts)
		return -ENOMEM;
	image->service.registered = true;
	image_service_report(image);
	return 0;
}

/* Asks the cluster. Where it does not answer, what was known stays. */
static void look_at_lock(struct image *image)
{
	struct image_service *service = &image->service;
	int owner = 0, r = 0;

	if (!service->lockable)
		return;
	if (!atomic_load(&image->fenced))
		r = rbd_is_exclusive_lock_owner(image->rbd, &owner);
	/* One that writes nothing does not learn of it otherwise. */
	if (r == -ESHUTDOWN)
		image_fence(image);
	else if (r < 0)
		return;
	if (!atomic_exchange(&service->owner, owner != 0) || owner || atomic_load(&image->fenced))
		return;
	count(&service->counts->lock_lost);
	if (atomic_load(&image->on_demand))
		image->host->event(image->dev, TCMU_BACKEND_LOCK_LOST, 0);
}

void image_service_report(struct image *image)
{
	struct image_service *service = &image->service;
	struct dict dict = {.length = 0};

	if (!service->registered)
		return;
	look_at_lock(image);
	put_pair(&dict, "lock_owner", atomic_load(&service->owner) ? "true" : "false");
	put_count(&dict, "lock_lost_cnt", &service->counts->lock_lost);
	put_count(&dict, "conn_lost_cnt", &service->counts->conn_lost);
	put_count(&dict, "cmd_timed_out_cnt", &service->counts->timed_out);
	(void) rados_service_update_status(image->cluster.rados, dict.text);
}

static void report_soon(struct image *image)
{
	if (!atomic_exchange(&image->service.due, true))
		image_helper_wake(image);
}

void image_service_note(struct image *image, enum tcmu_io_op op, int error)
{
	struct image_service *service = &image->service;
	bool news = true;

	if (!service->registered)
		return;
	if (error == -ETIMEDOUT)
		count(&service->counts->timed_out);
	else if (error == -EROFS && atomic_exchange(&service->owner, false))
		count(&service->counts->lock_lost);
	else
		news = !error && op != TCMU_IO_READ && op != TCMU_IO_MAP && op != TCMU_IO_FLUSH &&
			service->lockable && !atomic_load(&service->owner);
	if (news)
		report_soon(image);
}

void image_service_note_fence(struct image *image)
{
	struct image_service *service = &image->service;

	if (!service->registered)
		return;
	count(&service->counts->conn_lost);
	if (atomic_load(&service->owner))
		count(&service->counts->lock_lost);
	report_soon(image);
}

void image_service_note_lock(struct image *image, bool ours)
{
	atomic_store(&image->service.owner, ours);
	if (image->service.registered)
		report_soon(image);
}
