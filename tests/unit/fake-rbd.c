/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of librados and librbd that the handler calls.
 */
#include "fake-rbd.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAY(to, ...) ((void) snprintf(to, sizeof(to), __VA_ARGS__))

struct completion {
	rbd_callback_t callback;
	void *arg;
	int64_t result;
};

struct fake_rbd fake_rbd;
static int thing; /* what handles point to */

void fake_rbd_reset(void)
{
	memset(&fake_rbd, 0, sizeof(fake_rbd));
	fake_rbd.fsid = "6b1f7f5c-0000-4000-8000-0123456789ab";
	fake_rbd.cache = "false";
	atomic_store(&fake_rbd.size, 1u << 30);
	fake_rbd.object_size = 1u << 22;
	fake_rbd.stripe_count = 1;
	fake_rbd.features = RBD_FEATURE_EXCLUSIVE_LOCK;
}

bool fake_rbd_is_idle(void)
{
	return !fake_rbd.clusters && !fake_rbd.pools && !fake_rbd.images && !fake_rbd.watches &&
		!fake_rbd.completions;
}

static int answer(const char *function)
{
	return fake_rbd.fail && strcmp(fake_rbd.fail, function) == 0 ? fake_rbd.error : 0;
}

/* Counts what has been made. */
static int make(const char *function, void **handle, unsigned *count)
{
	int r = answer(function);

	if (r == 0) {
		*handle = &thing;
		++*count;
	}
	return r;
}

/* ------- librados ------- */

int rados_create(rados_t *cluster, const char *const id)
{
	SAY(fake_rbd.id, "%s", id);
	return make(__func__, cluster, &fake_rbd.clusters);
}

void rados_shutdown(rados_t cluster)
{
	(void) cluster;
	fake_rbd.clusters--;
}

int rados_conf_read_file(rados_t cluster, const char *path)
{
	(void) cluster;
	SAY(fake_rbd.conf, "%s", path ? path : "-");
	return answer(__func__);
}

int rados_conf_set(rados_t cluster, const char *option, const char *value)
{
	(void) cluster;
	if (strcmp(option, "rbd_cache") == 0)
		SAY(fake_rbd.rbd_cache, "%s", value);
	if (strcmp(option, "rados_osd_op_timeout") == 0)
		SAY(fake_rbd.osd_timeout[fake_rbd.osd_timeout[0][0] != '\0'], "%s", value);
	return answer(__func__);
}

int rados_conf_get(rados_t cluster, const char *option, char *buf, size_t len)
{
	(void) cluster;
	(void) option;
	(void) snprintf(buf, len, "%s", fake_rbd.fsid);
	return answer(__func__);
}

int rados_connect(rados_t cluster)
{
	(void) cluster;
	return answer(__func__);
}

int rados_cluster_fsid(rados_t cluster, char *buf, size_t len)
{
	(void) cluster;
	(void) snprintf(buf, len, "%s", fake_rbd.fsid);
	return answer(__func__);
}

int rados_ioctx_create(rados_t cluster, const char *pool_name, rados_ioctx_t *ioctx)
{
	(void) cluster;
	(void) pool_name;
	return make(__func__, ioctx, &fake_rbd.pools);
}

void rados_ioctx_destroy(rados_ioctx_t io)
{
	(void) io;
	fake_rbd.pools--;
}

void rados_ioctx_set_namespace(rados_ioctx_t io, const char *nspace)
{
	(void) io;
	SAY(fake_rbd.name_space, "%s", nspace);
}

/* "a\0b\0\0" as "a b". */
static void copy_dict(char *to, size_t size, const char *dict)
{
	to[0] = '\0';
	for (; *dict; dict += strlen(dict) + 1) {
		size_t used = strlen(to);

		(void) snprintf(to + used, size - used, "%s%s", used ? " " : "", dict);
	}
}

int rados_service_register(
	rados_t cluster, const char *service, const char *daemon, const char *metadata_dict)
{
	(void) cluster;
	SAY(fake_rbd.service, "%s %s", service, daemon);
	copy_dict(fake_rbd.metadata, sizeof(fake_rbd.metadata), metadata_dict);
	return answer(__func__);
}

int rados_service_update_status(rados_t cluster, const char *status_dict)
{
	(void) cluster;
	copy_dict(fake_rbd.status, sizeof(fake_rbd.status), status_dict);
	atomic_fetch_add(&fake_rbd.reports, 1);
	return 0;
}

/* ------- librbd: images ------- */

int rbd_get_id(rbd_image_t image, char *id, size_t id_len)
{
	(void) image;
	(void) snprintf(id, id_len, "abc123");
	return answer(__func__);
}

int rbd_get_features(rbd_image_t image, uint64_t *features)
{
	(void) image;
	*features = fake_rbd.features;
	return answer(__func__);
}

int rbd_is_exclusive_lock_owner(rbd_image_t image, int *is_owner)
{
	(void) image;
	*is_owner = atomic_load(&fake_rbd.lock_owner);
	return answer(__func__);
}

/* ------- librbd: the lock ------- */

#define SELF "client.4100"

int rbd_lock_get_owners(
	rbd_image_t image, rbd_lock_mode_t *lock_mode, char **lock_owners, size_t *max_lock_owners)
{
	const char *owner = atomic_load(&fake_rbd.lock_owner) ? SELF : fake_rbd.lock_holder;

	(void) image;
	if (answer(__func__))
		return answer(__func__);
	if (!owner[0])
		return -ENOENT;
	assert(*max_lock_owners >= 1);
	*lock_mode = fake_rbd.lock_shared ? RBD_LOCK_MODE_SHARED : RBD_LOCK_MODE_EXCLUSIVE;
	*max_lock_owners = 1;
	lock_owners[0] = strdup(owner);
	return 0;
}

void rbd_lock_get_owners_cleanup(char **lock_owners, size_t lock_owner_count)
{
	for (size_t i = 0; i < lock_owner_count; i++)
		free(lock_owners[i]);
}

int rbd_lock_break(rbd_image_t image, rbd_lock_mode_t lock_mode, const char *lock_owner)
{
	(void) image;
	(void) lock_mode;
	if (answer(__func__))
		return answer(__func__);
	SAY(fake_rbd.broken, "%s", lock_owner);
	fake_rbd.breaks++;
	if (fake_rbd.takes_again)
		fake_rbd.takes_again--;
	else
		fake_rbd.lock_holder[0] = '\0';
	return 0;
}

int rbd_lock_acquire(rbd_image_t image, rbd_lock_mode_t lock_mode)
{
	(void) image;
	(void) lock_mode;
	if (answer(__func__))
		return answer(__func__);
	if (fake_rbd.lock_holder[0])
		return -EROFS;
	fake_rbd.acquired++;
	atomic_store(&fake_rbd.lock_owner, true);
	return 0;
}

int rbd_lock_release(rbd_image_t image)
{
	(void) image;
	fake_rbd.released++;
	atomic_store(&fake_rbd.lock_owner, false);
	return answer(__func__);
}

int rbd_metadata_get(rbd_image_t image, const char *key, char *value, size_t *val_len)
{
	(void) image;
	if (answer(__func__))
		return answer(__func__);
	if (strcmp(key, "tcmu_rbd_locker_tag") != 0 || !fake_rbd.locker_tag[0])
		return -ENOENT;
	(void) snprintf(value, *val_len, "%s", fake_rbd.locker_tag);
	return 0;
}

int rbd_metadata_set(rbd_image_t image, const char *key, const char *value)
{
	(void) image;
	if (strcmp(key, "tcmu_rbd_locker_tag") == 0 && !answer(__func__))
		SAY(fake_rbd.locker_tag, "%s", value);
	return answer(__func__);
}

int rbd_namespace_exists(rados_ioctx_t io, const char *namespace_name, bool *exists)
{
	(void) io;
	(void) namespace_name;
	*exists = fake_rbd.has_namespace;
	return answer(__func__);
}

int rbd_open(rados_ioctx_t io, const char *name, rbd_image_t *image, const char *snap_name)
{
	(void) io;
	(void) name;
	SAY(fake_rbd.snapshot, "%s", snap_name ? snap_name : "");
	fake_rbd.read_only = false;
	return make(__func__, image, &fake_rbd.images);
}

int rbd_open_read_only(
	rados_ioctx_t io, const char *name, rbd_image_t *image, const char *snap_name)
{
	(void) io;
	(void) name;
	SAY(fake_rbd.snapshot, "%s", snap_name ? snap_name : "");
	fake_rbd.read_only = true;
	return make(__func__, image, &fake_rbd.images);
}

int rbd_close(rbd_image_t image)
{
	(void) image;
	fake_rbd.images--;
	return answer(__func__);
}

int rbd_get_size(rbd_image_t image, uint64_t *size)
{
	(void) image;
	*size = atomic_load(&fake_rbd.size);
	return answer(__func__);
}

int rbd_stat(rbd_image_t image, rbd_image_info_t *info, size_t infosize)
{
	(void) image;
	memset(info, 0, infosize);
	info->size = atomic_load(&fake_rbd.size);
	info->obj_size = fake_rbd.object_size;
	return answer(__func__);
}

int rbd_get_stripe_count(rbd_image_t image, uint64_t *stripe_count)
{
	(void) image;
	*stripe_count = fake_rbd.stripe_count;
	return answer(__func__);
}

int rbd_config_image_list(rbd_image_t image, rbd_config_option_t *options, int *max_options)
{
	bool room = *max_options >= 1;

	(void) image;
	*max_options = 1;
	if (!room)
		return answer(__func__) ? answer(__func__) : -ERANGE;
	options[0] = (rbd_config_option_t){
		.name = (char *) "rbd_cache", .value = (char *) fake_rbd.cache};
	return 0;
}

void rbd_config_image_list_cleanup(rbd_config_option_t *options, int max_options)
{
	(void) options;
	(void) max_options;
}

int rbd_update_watch(rbd_image_t image, uint64_t *handle, rbd_update_callback_t watch_cb, void *arg)
{
	int r = answer(__func__);

	(void) image;
	if (r < 0)
		return r;
	*handle = 7;
	fake_rbd.updated = watch_cb;
	fake_rbd.updated_arg = arg;
	fake_rbd.watches++;
	return 0;
}

int rbd_update_unwatch(rbd_image_t image, uint64_t handle)
{
	(void) image;
	fake_rbd.watches -= handle == 7;
	return answer(__func__);
}

int rbd_diff_iterate2(
	rbd_image_t image, const char *fromsnapname, uint64_t ofs, uint64_t len,
	uint8_t include_parent, uint8_t whole_object, int (*cb)(uint64_t, size_t, int, void *),
	void *arg)
{
	int r = answer(__func__);

	(void) image;
	(void) fromsnapname;
	(void) include_parent;
	(void) whole_object;
	fake_rbd.offset = ofs;
	fake_rbd.length = len;
	for (unsigned i = 0; i < 4 && fake_rbd.extents[i].length && r == 0; i++)
		r = cb(fake_rbd.extents[i].offset, fake_rbd.extents[i].length, 1, arg);
	return r;
}

/* ------- librbd: requests ------- */

int rbd_aio_create_completion(void *cb_arg, rbd_callback_t complete_cb, rbd_completion_t *c)
{
	struct completion *completion;
	int r = answer(__func__);

	if (r < 0)
		return r;
	completion = calloc(1, sizeof(*completion));
	completion->callback = complete_cb;
	completion->arg = cb_arg;
	fake_rbd.completions++;
	*c = completion;
	return 0;
}

ssize_t rbd_aio_get_return_value(rbd_completion_t c)
{
	return ((struct completion *) c)->result;
}

void rbd_aio_release(rbd_completion_t c)
{
	fake_rbd.completions--;
	free(c);
}

static int request(
	const char *function, rbd_completion_t c, uint64_t offset, uint64_t length, int flags,
	int64_t result)
{
	struct completion *completion = c;
	int r = answer(function);

	if (r < 0)
		return r;
	fake_rbd.requests++;
	fake_rbd.offset = offset;
	fake_rbd.length = length;
	fake_rbd.flags = flags;
	completion->result = fake_rbd.result ? fake_rbd.result : result;
	completion->callback(c, completion->arg);
	return 0;
}

static uint64_t bytes(const struct iovec *iov, int iovcnt)
{
	uint64_t length = 0;

	for (int i = 0; i < iovcnt; i++)
		length += iov[i].iov_len;
	return length;
}

int rbd_aio_readv(
	rbd_image_t image, const struct iovec *iov, int iovcnt, uint64_t off, rbd_completion_t c)
{
	uint64_t length = bytes(iov, iovcnt);

	(void) image;
	return request(__func__, c, off, length, 0, (int64_t) length);
}

int rbd_aio_writev(
	rbd_image_t image, const struct iovec *iov, int iovcnt, uint64_t off, rbd_completion_t c)
{
	(void) image;
	return request(__func__, c, off, bytes(iov, iovcnt), 0, 0);
}

int rbd_aio_flush(rbd_image_t image, rbd_completion_t c)
{
	(void) image;
	return request(__func__, c, 0, 0, 0, 0);
}

int rbd_aio_write_zeroes(
	rbd_image_t image, uint64_t off, size_t len, rbd_completion_t c, int zero_flags,
	int op_flags)
{
	(void) image;
	(void) op_flags;
	return request(__func__, c, off, len, zero_flags, 0);
}

int rbd_aio_writesame(
	rbd_image_t image, uint64_t off, size_t len, const char *buf, size_t data_len,
	rbd_completion_t c, int op_flags)
{
	(void) image;
	(void) op_flags;
	memcpy(fake_rbd.data[0], buf, sizeof(fake_rbd.data[0]));
	assert(data_len && len % data_len == 0);
	return request(__func__, c, off, len, 0, 0);
}

ssize_t rbd_aio_compare_and_write(
	rbd_image_t image, uint64_t off, size_t len, const char *cmp_buf, const char *buf,
	rbd_completion_t c, uint64_t *mismatch_off, int op_flags)
{
	(void) image;
	(void) op_flags;
	memcpy(fake_rbd.data[0], cmp_buf, sizeof(fake_rbd.data[0]));
	memcpy(fake_rbd.data[1], buf, sizeof(fake_rbd.data[1]));
	*mismatch_off = fake_rbd.mismatch;
	return request(__func__, c, off, len, 0, 0);
}
