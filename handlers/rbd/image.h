/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd handler's parts: a device's bytes are those of an image in a Ceph cluster, by librbd.
 *
 * target.c: the config string. cluster.c: a connection, and why there is none. open.c: the image,
 * its properties, resize. io.c: requests. lock.c: which host writes to it. service.c: what the
 * cluster is told of it. helper.c: the image's own thread, for what librbd does only while its
 * caller waits. rbd.c: the table that the daemon sees.
 *
 * Every device has a connection of its own: the cluster shuts out a connection, not an image, so a
 * shared one would take the other devices with it. Threads of librbd call back; no callback comes
 * after rbd_close().
 *
 * The lock is for the fields under it and is held for a few instructions only.
 */
#pragma once

#include <pthread.h>
#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

/* The order of the option table. */
enum image_option {
	IMAGE_CONF,
	IMAGE_ID,
	IMAGE_OSD_OP_TIMEOUT,
	IMAGE_OPTIONS,
};

extern const struct tcmu_option image_options[IMAGE_OPTIONS + 1];

#define IMAGE_NAME_SIZE (TCMU_CONFIG_MAX + 1)

/* What a config string names. */
struct image_target {
	char pool[IMAGE_NAME_SIZE];
	char name_space[IMAGE_NAME_SIZE]; /* "": the pool's own */
	char name[IMAGE_NAME_SIZE];
	char snapshot[IMAGE_NAME_SIZE]; /* "": the image itself */
};

struct image_cluster {
	rados_t rados;
	rados_ioctx_t pool; /* NULL: not yet */
};

/* Kept while the daemon runs, however often the image is opened. */
struct image_counts {
	struct image_counts *next;
	atomic_uint lock_lost;
	atomic_uint conn_lost;
	atomic_uint timed_out;
	char name[]; /* in the service map */
};

/* What the service map says; service.c. All but due and owner do not change after open. */
struct image_service {
	bool registered;
	bool lockable;               /* it has an exclusive lock */
	atomic_bool due;             /* there is something to report */
	atomic_bool owner;           /* of the lock, as last asked */
	struct image_counts *counts; /* NULL: not registered */
};

struct image {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	struct image_cluster cluster;
	rbd_image_t rbd;
	bool read_only;
	uint64_t object_size; /* bytes */
	uint64_t watch;       /* of the image's header, if there is one */
	bool watched;
	struct tcmu_backend_info info;
	_Atomic uint64_t size; /* bytes, as last heard of */
	atomic_bool fenced;    /* the cluster has shut this connection out: librbd is not asked to
				  write any more */

	atomic_bool on_demand; /* its lock is taken and given up at the daemon's word only */

	struct image_service service;

	/* the helper */
	pthread_t helper;
	bool has_helper;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct image_request *first; /* requests for it, in the order they came */
	struct image_request *last;
	bool updated; /* the header has changed */
	bool ending;
};

/* At io->priv. */
struct image_request {
	struct tcmu_io *io;
	struct image *image;
	struct image_request *next; /* in the helper's list */
	char *copy;                 /* of scattered buffers, or NULL */
	uint64_t mismatch;          /* byte offset, as librbd tells it */
};

/* ------- target.c ------- */

/* Sets the reason; returns error. */
__attribute__((format(printf, 3, 4))) int image_refuse(
	struct tcmu_reason *reason, int error, const char *format, ...);

/* "pool[/namespace]/image[@snapshot]". 0, or -EINVAL with a reason. */
int image_parse(const char *text, struct image_target *target, struct tcmu_reason *reason);

/* The same for every spelling of an image in this cluster; "" for a snapshot, which never changes.
 */
void image_claim(const struct image_target *target, const char *fsid, char *claim, size_t size);

/* ------- cluster.c ------- */

/* Seconds that opening and checking wait for an answer of the cluster; the daemon's open_timeout_ms
 * is longer. */
#define IMAGE_OPEN_TIMEOUT 8u

/* Reads the configuration, but asks nobody. 0, or -errno with a reason and nothing left behind. */
int image_configure(
	const struct tcmu_config *config, struct image_cluster *cluster,
	struct tcmu_reason *reason);

/* The pool of the target, in its namespace. 0, or -errno with a reason and nothing left behind. */
int image_connect(
	const struct tcmu_config *config, const struct image_target *target,
	struct image_cluster *cluster, struct tcmu_reason *reason);

/* From now on a request is given up after so many seconds; 0: never. 0 or -errno. */
int image_set_timeout(struct image_cluster *cluster, uint64_t seconds);

/* Takes what is half-built. May wait for the cluster. */
void image_disconnect(struct image_cluster *cluster);

/* ------- open.c ------- */

int image_check_config(const struct tcmu_config *config, struct tcmu_reason *reason);
int image_identify(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason);
int image_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason);
void image_close(void *backend);
int image_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason);

/* ------- io.c ------- */

void image_submit(void *backend, struct tcmu_io *io);

/* Completes the request: result is what librbd returned. Any thread. */
void image_end(struct image_request *request, int64_t result);

/* The cluster has shut this connection out: nothing is asked of it any more, and the daemon is
 * told. Any thread. */
void image_fence(struct image *image);

/* ------- lock.c ------- */

int image_lock(void *backend, uint16_t tag, struct tcmu_reason *reason);
int image_unlock(void *backend);
int image_lock_state(void *backend, bool *ours, uint16_t *tag);

/* ------- service.c ------- */

/* 0, or -errno: then the service map does not have it, and all else goes on. Before the helper
 * starts. */
int image_service_register(struct image *image, const struct image_target *target);

/* Tells the cluster how things are; may wait for it. The helper, or its starter. */
void image_service_report(struct image *image);

/* A request has ended with 0 or an error of librbd's. Any thread. */
void image_service_note(struct image *image, enum tcmu_io_op op, int error);

/* The cluster has shut us out. Any thread. */
void image_service_note_fence(struct image *image);

/* The lock was taken or given up at the daemon's word. Any thread. */
void image_service_note_lock(struct image *image, bool ours);

/* ------- helper.c ------- */

/* 0 or -errno. */
int image_helper_start(struct image *image);

/* Waits for its end. Nothing may be left for it to do but an update. */
void image_helper_stop(struct image *image);

/* TCMU_IO_MAP. */
void image_helper_map(struct image_request *request);

/* There is a report due. Any thread. */
void image_helper_wake(struct image *image);

/* librbd's: the image's header has changed. */
void image_helper_update(void *image);
