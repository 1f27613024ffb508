/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open, close, resize and checks; the properties of the image.
 *
 * Each call runs on its own thread and may block, within a limit (calls.h). Opening fails if the
 * cluster does not answer within IMAGE_OPEN_TIMEOUT; afterwards the device's own limit applies.
 */
#include "open.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "cluster.h"
#include "fence/ended.h"
#include "image-thread.h"
#include "image.h"
#include "lock.h"
#include "options.h"
#include "request.h"
#include "service.h"
#include "settings.h"
#include "status.h"
#include "target.h"

#define FSID_SIZE      37
#define PHYSICAL_BLOCK 4096u /* the unit that OSDs allocate */
#define SECTOR         512u  /* of an image */
#define UNMAP_OBJECTS  64u   /* of one command */
#define KILLED_TIMEOUT 1u    /* seconds */
#define IMAGE_ID_SIZE  256

/* A cluster whose calls each take nearly as long as they may opens no image. */
#define OPEN_LIMIT_MS 30000u

/* Images that were left to calls that have not returned. */
static atomic_uint given_up;

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
	return tcmu_refuse(
		reason, error, "%s: %s%s%s/%s%s%s", cause, target->pool, slash, target->name_space,
		target->name, target->snapshot[0] ? "@" : "", target->snapshot);
}

static int image_check_size(uint64_t wanted, uint64_t size, struct tcmu_reason *reason)
{
	if (wanted <= size)
		return 0;
	return tcmu_refuse(
		reason, -EINVAL,
		"the image has %" PRIu64 " bytes, too few for a device of %" PRIu64
		": resize the image first",
		size, wanted);
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
	return r < 0 ? refuse_image(target, r, reason)
		     : image_check_size(config->size, *size, reason);
}

/* ------- properties ------- */

static void describe_changes(struct image *image, uint32_t block)
{
	struct tcmu_backend_info *info = &image->info;
	bool cache = image_settings_cache(image->rbd);

	info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH) |
		TCMU_IO_CAP(TCMU_IO_UNMAP) | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES) |
		TCMU_IO_CAP(TCMU_IO_WRITE_SAME);
	info->fua = !cache;
	info->volatile_cache = cache;
	info->thin = true;
	info->unmap_granularity = (uint32_t) image->object_size;
	info->maximum_unmap = UNMAP_OBJECTS * image->object_size;
	/* librbd compares within one sector of the image, whatever the size of the objects. */
	if (block > SECTOR)
		return;
	info->caps |= TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE);
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
	image->block_size = config->block_size;
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

/* Everything but the memory. May block for ever. */
static void end_image(struct image *image)
{
	char name[IMAGE_ID_SIZE];

	/* Calls that were left have requests, too, that have no answer. */
	if (image_is_cut(image))
		(void) image_set_timeout(&image->cluster, KILLED_TIMEOUT);
	image_call_wait(image);
	if (!image_is_cut(image) && !atomic_load(&image->fenced))
		(void) image_lock_say_end(image);
	/* A write that timed out may still be in a buffer of a socket, which the kernel sends when
	 * the socket is closed. */
	if (atomic_load(&image->unanswered))
		lease_cut(&image->lease);
	/* librbd still makes requests to close, which have no answer. */
	if (image_is_cut(image))
		(void) image_set_timeout(&image->cluster, KILLED_TIMEOUT);
	if (image->watched)
		(void) rbd_update_unwatch(image->rbd, image->watch);
	image_thread_stop(image);
	if (image->rbd)
		(void) rbd_close(image->rbd);
	image_begin_disconnect(image);
	lease_free(&image->lease);
	image_disconnect(&image->cluster);
	image_status_leave(image);
	name_image(image, name);
	if (atomic_exchange(&image->recorded, false))
		ended_add(name, image->address, atomic_load(&image->unanswered));
}

static void release_image(struct image *image)
{
	assert(!image->cluster.rados && !image->has_thread && !image->calls);
	pthread_cond_destroy(&image->calls_ended);
	pthread_cond_destroy(&image->wake);
	pthread_mutex_destroy(&image->lock);
	pthread_mutex_destroy(&image->connection_lock);
	pthread_mutex_destroy(&image->event_lock);
	pthread_mutex_destroy(&image->log_lock);
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
	image_log(image, TCMU_LOG_WARNING, text);
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
	image->connected = image->cluster.rados != NULL;
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

static struct image *new_image(
	const struct tcmu_config *config, const struct image_target *target,
	const struct tcmu_host *host, struct tcmu_host_device *dev)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->host = host;
	image->dev = dev;
	image->read_only = config->read_only || target->snapshot[0];
	image->op_timeout = config->values[IMAGE_OSD_OP_TIMEOUT].number;
	atomic_store(&image->lease.until, LEASE_NONE);
	pthread_mutex_init(&image->log_lock, NULL);
	pthread_mutex_init(&image->event_lock, NULL);
	pthread_mutex_init(&image->connection_lock, NULL);
	pthread_mutex_init(&image->lock, NULL);
	pthread_cond_init(&image->wake, NULL);
	pthread_cond_init(&image->calls_ended, NULL);
	return image;
}

/* ------- within a limit: open, check ------- */

/* An open, or the check of a config string: then there is no image. It has its own copy of the
 * config, as it may be left. */
struct opening {
	struct bound_call bound;
	struct image *image;
	struct image_target target;
	struct tcmu_config config;
	struct tcmu_option_value values[IMAGE_OPTIONS];
	char *conf, *id;
	struct tcmu_reason reason;
	int result;
};

static struct opening *opening_of(struct bound_call *bound)
{
	return (struct opening *) ((char *) bound - offsetof(struct opening, bound));
}

static void free_opening(struct opening *opening)
{
	free(opening->conf);
	free(opening->id);
	free(opening);
}

/* NULL: no memory. */
static struct opening *new_opening(
	const struct tcmu_config *config, const struct image_target *target)
{
	struct opening *opening = calloc(1, sizeof(*opening));
	const char *conf = config->values[IMAGE_CONF].string, *id = config->values[IMAGE_ID].string;

	if (!opening)
		return NULL;
	opening->target = *target;
	opening->config = *config;
	opening->config.subtype = opening->config.target = NULL;
	opening->config.values = opening->values;
	memcpy(opening->values, config->values, sizeof(opening->values));
	opening->conf = conf ? strdup(conf) : NULL;
	opening->id = id ? strdup(id) : NULL;
	opening->values[IMAGE_CONF].string = opening->conf;
	opening->values[IMAGE_ID].string = opening->id;
	if (!opening->conf == !conf && !opening->id == !id)
		return opening;
	free_opening(opening);
	return NULL;
}

static void open_work(struct bound_call *bound)
{
	struct opening *opening = opening_of(bound);

	opening->result = build_image(
		opening->image, &opening->config, &opening->target, &opening->reason);
	if (opening->result < 0)
		end_image(opening->image);
}

/* It has written nothing. */
static void open_leave(struct bound_call *bound)
{
	struct opening *opening = opening_of(bound);

	if (opening->image)
		image_leave_host(opening->image);
	atomic_fetch_add(&given_up, 1);
}

static void open_ended(struct bound_call *bound)
{
	struct opening *opening = opening_of(bound);

	if (opening->image && opening->result >= 0)
		end_image(opening->image);
	if (opening->image)
		release_image(opening->image);
	free_opening(opening);
	atomic_fetch_sub(&given_up, 1);
}

static void check_work(struct bound_call *bound)
{
	struct opening *opening = opening_of(bound);
	struct image_cluster cluster;
	rbd_image_t rbd;
	uint64_t size;
	int r = image_connect(&opening->config, &opening->target, &cluster, &opening->reason);

	if (r >= 0) {
		r = open_image(
			&opening->config, &opening->target, &cluster, true, &rbd, &size,
			&opening->reason);
		if (rbd)
			(void) rbd_close(rbd);
		image_disconnect(&cluster);
	}
	opening->result = r;
}

/* Returns 0; or a negative errno with a reason. -ETIMEDOUT: it may have been left. */
static int run_opening(
	const struct tcmu_config *config, const struct image_target *target, struct image *image,
	struct tcmu_reason *reason)
{
	struct opening *opening = new_opening(config, target);
	int r;

	if (!opening) {
		if (image)
			release_image(image);
		(void) tcmu_refuse(reason, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	opening->image = image;
	opening->reason = *reason;
	opening->bound = (struct bound_call){
		.limit_ms = OPEN_LIMIT_MS,
		.work = image ? open_work : check_work,
		.leave = open_leave,
		.ended = open_ended};
	if (!bound_run(&opening->bound)) {
		(void) refuse_image(target, -ETIMEDOUT, reason);
		return -ETIMEDOUT;
	}
	r = opening->result;
	*reason = opening->reason;
	free_opening(opening);
	if (r < 0 && image)
		release_image(image);
	return r;
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
	image = new_image(config, &target, host, dev);
	if (!image)
		return tcmu_refuse(reason, -ENOMEM, "out of memory");
	r = run_opening(config, &target, image, reason);
	if (r < 0)
		return r;
	*info = image->info;
	*backend = image;
	return 0;
}

int image_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	struct image_target target;
	int r = image_parse(config->target, &target, reason);

	return r < 0 ? r : run_opening(config, &target, NULL, reason);
}

/* ------- within a limit: close ------- */

struct closing {
	struct bound_call bound;
	struct image *image;
};

static struct image *closed_image(struct bound_call *bound)
{
	return ((struct closing *) ((char *) bound - offsetof(struct closing, bound)))->image;
}

static void close_work(struct bound_call *bound)
{
	end_image(closed_image(bound));
}

static bool close_hurries(struct bound_call *bound)
{
	return image_is_cut(closed_image(bound));
}

/* Nothing of it reaches the storage from now on, so its record can say that it has ended. */
static void close_leave(struct bound_call *bound)
{
	struct image *image = closed_image(bound);
	char name[IMAGE_ID_SIZE], address[RECORD_ADDRESS_SIZE];

	image_cut(image);
	name_image(image, name);
	pthread_mutex_lock(&image->lock);
	memcpy(address, image->address, sizeof(address));
	pthread_mutex_unlock(&image->lock);
	if (atomic_exchange(&image->recorded, false))
		ended_add(name, address, atomic_load(&image->unanswered));
	atomic_fetch_add(&given_up, 1);
	image_log(
		image, TCMU_LOG_WARNING,
		"a call to the cluster has not returned: its connection was ended and given up; it "
		"keeps memory and threads until the call returns or tcmud ends");
	image_leave_host(image);
}

static void close_ended(struct bound_call *bound)
{
	release_image(closed_image(bound));
	free(bound);
	atomic_fetch_sub(&given_up, 1);
}

void image_close(void *backend)
{
	struct image *image = backend;
	struct closing *closing = calloc(1, sizeof(*closing));

	if (!closing) {
		end_image(image);
		release_image(image);
		return;
	}
	closing->image = image;
	closing->bound = (struct bound_call){
		.limit_ms = image_call_limit(image),
		.work = close_work,
		.hurries = close_hurries,
		.leave = close_leave,
		.ended = close_ended};
	if (!bound_run(&closing->bound))
		return;
	release_image(image);
	free(closing);
}

unsigned image_given_up(void)
{
	return atomic_load(&given_up);
}

/* ------- resize, claim ------- */

static void work_resize(struct image_call *call)
{
	struct image *image = call->image;
	uint64_t size;
	int r = rbd_get_size(image->rbd, &size);

	if (r < 0)
		tcmu_refuse(
			&call->reason, r, "cannot read the size of the image: %s", strerror(-r));
	else
		r = image_check_size(call->size, size, &call->reason);
	if (r >= 0)
		atomic_store(&image->size, size);
	call->result = r;
}

int image_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct image *image = backend;
	struct image_call call = {
		.work = work_resize, .name = "resize", .size = config->size, .reason = *reason};
	int r = image_call_run(image, &call);

	*reason = call.reason;
	if (r >= 0)
		*info = image->info;
	return r;
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
