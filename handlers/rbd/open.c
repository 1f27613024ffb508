/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open, close, resize and checks; the properties of the image.
 *
 * Each call runs on its own thread and may block. Opening fails if the cluster does not answer
 * within IMAGE_OPEN_TIMEOUT; afterwards the device's own limit applies.
 */
#include "open.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "fence/ended.h"
#include "image-thread.h"
#include "image.h"
#include "lock.h"
#include "options.h"
#include "reason.h"
#include "request.h"
#include "service.h"
#include "settings.h"
#include "status.h"
#include "target.h"

#define FSID_SIZE      37
#define PHYSICAL_BLOCK 4096u /* the unit that OSDs allocate */
#define UNMAP_OBJECTS  64u   /* of one command */
#define KILLED_TIMEOUT 1u    /* seconds */
#define IMAGE_ID_SIZE  256

/* ------- the image ------- */

static int refuse_image(const struct image_target *target, int error, struct tcmu_reason *reason)
{
	const char *slash = target->name_space[0] ? "/" : "";
	const char *cause = strerror(-error);

	if (error == -ENOENT)
		cause = target->snapshot[0] ? "there is no such image, or no such snapshot of it"
					    : "there is no such image";
	else if (error == -ETIMEDOUT)
		cause = "the cluster's storage does not answer";
	else if (error == -EPERM || error == -EACCES)
		cause = "the user has no permission to open it";
	else if (error == -ESHUTDOWN)
		cause = "the cluster has blocklisted this host";
	return image_refuse(
		reason, error, "%s: %s%s%s/%s%s%s", cause, target->pool, slash, target->name_space,
		target->name, target->snapshot[0] ? "@" : "", target->snapshot);
}

static int image_check_size(
	const struct tcmu_config *config, uint64_t size, struct tcmu_reason *reason)
{
	if (config->size <= size)
		return 0;
	return image_refuse(
		reason, -EINVAL,
		"the image has %" PRIu64 " bytes, too few for a device of %" PRIu64
		": resize the image first",
		size, config->size);
}

/* Opens the image and reads its size. *rbd is NULL if the open fails. */
static int open_image(
	const struct tcmu_config *config, const struct image_target *target,
	const struct image_cluster *cluster, bool read_only, rbd_image_t *rbd, uint64_t *size,
	struct tcmu_reason *reason)
{
	const char *snapshot = target->snapshot[0] ? target->snapshot : NULL;
	int r;

	r = read_only ? rbd_open_read_only(cluster->pool, target->name, rbd, snapshot)
		      : rbd_open(cluster->pool, target->name, rbd, NULL);
	if (r < 0) {
		*rbd = NULL;
		return refuse_image(target, r, reason);
	}
	r = rbd_get_size(*rbd, size);
	return r < 0 ? refuse_image(target, r, reason) : image_check_size(config, *size, reason);
}

/* ------- properties ------- */

static void describe_changes(struct image *image, uint32_t block)
{
	struct tcmu_backend_info *info = &image->info;
	bool cache = image_settings_cache(image->rbd);

	info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH) |
		TCMU_IO_CAP(TCMU_IO_UNMAP) | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES) |
		TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE) | TCMU_IO_CAP(TCMU_IO_WRITE_SAME);
	info->fua = !cache;
	info->volatile_cache = cache;
	info->thin = true;
	info->unmap_granularity = (uint32_t) image->object_size;
	info->maximum_unmap = UNMAP_OBJECTS * image->object_size;
	/* A compared range must be inside one object. */
	info->maximum_compare_and_write = block;
}

static int image_describe(struct image *image, const struct tcmu_config *config)
{
	struct tcmu_backend_info *info = &image->info;
	rbd_image_info_t stat;
	uint64_t stripes;
	int r = rbd_stat(image->rbd, &stat, sizeof(stat));

	assert(image->rbd);
	if (r >= 0)
		r = rbd_get_stripe_count(image->rbd, &stripes);
	if (r < 0)
		return r;
	image->object_size = stat.obj_size;
	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	/* librbd does not report the extents of a striped image in ascending order. */
	if (stripes == 1)
		info->caps |= TCMU_IO_CAP(TCMU_IO_MAP);
	info->unmap_zeroes = true;
	info->physical_block = PHYSICAL_BLOCK;
	info->optimal_transfer = (uint32_t) stat.obj_size;
	if (!image->read_only)
		describe_changes(image, config->block_size);
	return 0;
}

/* ------- open, close ------- */

/* Names the image among those of all clusters. */
static void name_image(const struct image *image, char name[static IMAGE_ID_SIZE])
{
	(void) snprintf(name, IMAGE_ID_SIZE, "%s %s", image->info.claim, image->lease.header);
}

static void free_image(struct image *image)
{
	char name[IMAGE_ID_SIZE];

	if (!lease_is_killed(&image->lease) && !atomic_load(&image->fenced))
		(void) image_lock_say_end(image);
	/* A write that timed out may still be in a buffer of a socket, which the kernel sends when
	 * the socket is closed. */
	if (atomic_load(&image->unanswered))
		lease_cut(&image->lease);
	/* librbd still makes requests to close, which have no answer. */
	if (lease_is_killed(&image->lease))
		(void) image_set_timeout(&image->cluster, KILLED_TIMEOUT);
	if (image->watched)
		(void) rbd_update_unwatch(image->rbd, image->watch);
	image_thread_stop(image);
	if (image->rbd)
		(void) rbd_close(image->rbd);
	lease_free(&image->lease);
	image_disconnect(&image->cluster);
	image_status_leave(image);
	name_image(image, name);
	if (image->recorded)
		ended_add(name, image->address, atomic_load(&image->unanswered));
	pthread_cond_destroy(&image->wake);
	pthread_mutex_destroy(&image->lock);
	free(image);
}

/* Watches the image's header. librbd notifies only clients that can write. */
static int watch_header(struct image *image)
{
	int r;

	assert(!image->watched);
	if (image->read_only)
		return 0;
	r = rbd_update_watch(image->rbd, &image->watch, image_thread_update, image);
	image->watched = r >= 0;
	return r;
}

/* Without the entry the dashboard does not show the disk; the disk is served all the same. */
static void enter_service_map(struct image *image, const struct image_target *target)
{
	char text[128];
	int r = image_service_register(image, target);

	if (r >= 0)
		return;
	(void) snprintf(
		text, sizeof(text), "cannot enter the image in the cluster's service map: %s",
		strerror(-r));
	image->host->log(image->dev, TCMU_LOG_WARNING, text);
}

static void on_lease_lost(struct lease *lease)
{
	image_fence((struct image *) ((char *) lease - offsetof(struct image, lease)));
}

/* Says as well what earlier connections of this host could not say. */
static int prepare_lease(struct image *image)
{
	char id[LEASE_HEADER_SIZE], name[IMAGE_ID_SIZE];
	int r = rbd_get_id(image->rbd, id, sizeof(id));

	if (r < 0)
		return r;
	lease_init(
		&image->lease, image->cluster.rados, image->cluster.pool, &image->cluster.kill, id,
		on_lease_lost);
	name_image(image, name);
	(void) ended_say(name, image->cluster.pool, image->lease.header);
	return 0;
}

static int build_image(
	struct image *image, const struct tcmu_config *config, const struct image_target *target,
	struct tcmu_reason *reason)
{
	struct tcmu_reason unshared; /* no reason not to open it: the lock is refused */
	char fsid[FSID_SIZE] = "";
	uint64_t size = 0;
	int r = image_connect(config, target, &image->cluster, reason);

	if (r >= 0)
		r = open_image(
			config, target, &image->cluster, image->read_only, &image->rbd, &size,
			reason);
	if (r < 0)
		return r;
	atomic_store(&image->size, size);
	if (rados_cluster_fsid(image->cluster.rados, fsid, sizeof(fsid)) < 0)
		fsid[0] = '\0';
	image_claim(target, fsid, image->info.claim, sizeof(image->info.claim));
	r = image_describe(image, config);
	if (r >= 0)
		enter_service_map(image, target);
	if (r >= 0 && image->service.lockable)
		image->unsafe = image_settings_check(image->rbd, &unshared) < 0;
	if (r >= 0 && image->service.lockable)
		r = prepare_lease(image);
	if (r >= 0)
		r = image_thread_start(image);
	if (r >= 0)
		r = watch_header(image);
	if (r >= 0)
		r = image_set_timeout(&image->cluster, config->values[IMAGE_OSD_OP_TIMEOUT].number);
	return r < 0 ? refuse_image(target, r, reason) : 0;
}

int image_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	struct image_target target;
	struct image *image;
	int r = image_parse(config->target, &target, reason);

	if (r < 0)
		return r;
	image = calloc(1, sizeof(*image));
	if (!image)
		return image_refuse(reason, -ENOMEM, "out of memory");
	image->host = host;
	image->dev = dev;
	image->read_only = config->read_only || target.snapshot[0];
	image->op_timeout = config->values[IMAGE_OSD_OP_TIMEOUT].number;
	atomic_store(&image->lease.until, LEASE_NONE);
	pthread_mutex_init(&image->lock, NULL);
	pthread_cond_init(&image->wake, NULL);
	r = build_image(image, config, &target, reason);
	if (r < 0) {
		free_image(image);
		return r;
	}
	*info = image->info;
	*backend = image;
	return 0;
}

void image_close(void *backend)
{
	free_image(backend);
}

/* ------- resize, checks ------- */

int image_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct image *image = backend;
	uint64_t size;
	int r = rbd_get_size(image->rbd, &size);

	if (r < 0)
		return image_refuse(
			reason, r, "cannot read the size of the image: %s", strerror(-r));
	r = image_check_size(config, size, reason);
	if (r < 0)
		return r;
	atomic_store(&image->size, size);
	*info = image->info;
	return 0;
}

int image_claim_config(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	struct image_target target;
	struct image_cluster cluster;
	char fsid[FSID_SIZE] = "";
	int r = image_parse(config->target, &target, reason);

	if (r >= 0)
		r = image_configure(config, &cluster, reason);
	if (r < 0)
		return r;
	/* If the configuration has no fsid, only the cluster knows it. */
	if (rados_conf_get(cluster.rados, "fsid", fsid, sizeof(fsid)) < 0)
		fsid[0] = '\0';
	image_claim(&target, fsid, claim, size);
	image_disconnect(&cluster);
	return 0;
}

int image_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	struct image_target target;
	struct image_cluster cluster;
	rbd_image_t rbd;
	uint64_t size;
	int r = image_parse(config->target, &target, reason);

	if (r >= 0)
		r = image_connect(config, &target, &cluster, reason);
	if (r < 0)
		return r;
	r = open_image(config, &target, &cluster, true, &rbd, &size, reason);
	if (rbd)
		(void) rbd_close(rbd);
	image_disconnect(&cluster);
	return r;
}
