/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of nbdkit that serves a disk by a handler of tcmud. All connections share the disk. The
 * handler is loaded and the disk opened after nbdkit has forked, because both may start threads.
 *
 * nbdkit's threads wait for their requests; nothing here needs a lock.
 */
#define NBDKIT_API_VERSION 2

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <nbdkit-plugin.h>

#include <tcmu/host.h>

#if NBDKIT_VERSION_MAJOR > 1 || NBDKIT_VERSION_MINOR >= 30
#define NBDKIT_HAS_BLOCK_SIZE
#endif

#define THREAD_MODEL    NBDKIT_THREAD_MODEL_PARALLEL
#define SIZE_DEFAULT    (INT64_C(64) << 20)
#define BLOCK_DEFAULT   512
#define BLOCK_MAX       65536
#define PREFERRED_LEAST 4096u

static struct {
	char *handler; /* the path, or the subtype */
	const char *config;
	int64_t size;
	int64_t block_size;
	int must_exist;
	int strict;
	struct tcmu_plugin *plugin;
	struct tcmu_disk *disk;
} nbd = {.config = "", .size = SIZE_DEFAULT, .block_size = BLOCK_DEFAULT};

static const struct tcmu_backend_info *nbd_info(void)
{
	assert(nbd.disk);
	return tcmu_disk_info(nbd.disk);
}

static bool nbd_disk_can(enum tcmu_io_op op)
{
	return nbd_info()->caps & TCMU_IO_CAP(op);
}

/* ------- what the handler reports ------- */

static void nbd_on_log(void *userdata, enum tcmu_log_level level, const char *line)
{
	(void) userdata;
	if (level <= TCMU_LOG_WARNING)
		nbdkit_error("%s", line);
	else
		nbdkit_debug("%s", line);
}

static void nbd_on_event(void *userdata, enum tcmu_backend_event event, int64_t value)
{
	(void) userdata;
	if (event == TCMU_BACKEND_FAILED)
		nbdkit_error("the backend has failed: %s", strerror((int) -value));
	else
		nbdkit_debug("event %d of the backend, value %" PRId64, (int) event, value);
}

static void nbd_on_health(void *userdata, const char *text)
{
	(void) userdata;
	nbdkit_debug("health: %s", text ? text : "good");
}

static void nbd_on_violation(void *userdata, const char *what)
{
	(void) userdata;
	nbdkit_error("%s", what);
}

/* ------- configuration ------- */

static int nbd_take_size(const char *key, const char *value, int64_t *size)
{
	*size = nbdkit_parse_size(value);
	if (*size > 0)
		return 0;
	if (*size == 0)
		nbdkit_error("%s must not be 0", key);
	return -1;
}

static int nbd_take_bool(const char *value, int *flag)
{
	*flag = nbdkit_parse_bool(value);
	return *flag < 0 ? -1 : 0;
}

static int nbd_config(const char *key, const char *value)
{
	if (strcmp(key, "handler") == 0) {
		free(nbd.handler);
		/* nbdkit changes its directory. A subtype is no path. */
		nbd.handler = strchr(value, '/') || strstr(value, ".so")
			? nbdkit_absolute_path(value)
			: strdup(value);
		return nbd.handler ? 0 : -1;
	}
	if (strcmp(key, "config") == 0) {
		nbd.config = value;
		return 0;
	}
	if (strcmp(key, "size") == 0)
		return nbd_take_size(key, value, &nbd.size);
	if (strcmp(key, "block-size") == 0)
		return nbd_take_size(key, value, &nbd.block_size);
	if (strcmp(key, "must-exist") == 0)
		return nbd_take_bool(value, &nbd.must_exist);
	if (strcmp(key, "strict") == 0)
		return nbd_take_bool(value, &nbd.strict);
	nbdkit_error("unknown parameter '%s'", key);
	return -1;
}

static int nbd_config_complete(void)
{
	if (!nbd.handler) {
		nbdkit_error("handler=FILE or handler=SUBTYPE is missing");
		return -1;
	}
	if (nbd.block_size > BLOCK_MAX || nbd.size % nbd.block_size) {
		nbdkit_error("size is not a multiple of block-size, or block-size is too large");
		return -1;
	}
	return 0;
}

static int nbd_load(void)
{
	struct tcmu_reason reason = {""};

	if (tcmu_plugin_load(nbd.handler, &nbd.plugin, &reason) < 0) {
		nbdkit_error("cannot use the handler %s: %s", nbd.handler, reason.text);
		return -1;
	}
	if (tcmu_plugin_check(
		    nbd.plugin, nbd.config, (uint64_t) nbd.size, (uint32_t) nbd.block_size,
		    &reason) < 0) {
		nbdkit_error("the handler refuses config=%s: %s", nbd.config, reason.text);
		return -1;
	}
	return 0;
}

static int nbd_open_disk(void)
{
	struct tcmu_disk_setup setup = {
		.size = sizeof(setup),
		.block_size = (uint32_t) nbd.block_size,
		.disk_size = (uint64_t) nbd.size,
		.must_exist = nbd.must_exist,
		.strict = nbd.strict,
		.log = nbd_on_log,
		.event = nbd_on_event,
		.violation = nbd_on_violation,
		.health = nbd_on_health,
		.debug = true,
	};
	struct tcmu_reason reason = {""};

	if (nbd_load() < 0)
		return -1;
	if (tcmu_disk_open(nbd.plugin, nbd.config, &setup, &nbd.disk, &reason) < 0) {
		nbdkit_error("cannot open the disk: %s", reason.text);
		return -1;
	}
	return 0;
}

/* A failure does not end the server here: the command that nbdkit runs would wait for a socket that
 * nobody listens on. Connections are refused instead. */
static int nbd_after_fork(void)
{
	(void) nbd_open_disk();
	return 0;
}

/* No connection is there any more. */
static void nbd_cleanup(void)
{
	if (nbd.disk)
		tcmu_disk_close(nbd.disk);
	nbd.disk = NULL;
}

static void nbd_unload(void)
{
	tcmu_plugin_free(nbd.plugin);
	free(nbd.handler);
}

/* ------- a connection ------- */

static void *nbd_open(int readonly)
{
	(void) readonly;
	if (!nbd.disk) {
		nbdkit_error(
			"the disk could not be opened at the start, for the reason given then");
		return NULL;
	}
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t nbd_get_size(void *handle)
{
	(void) handle;
	return (int64_t) tcmu_disk_size(nbd.disk);
}

static int nbd_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	const struct tcmu_backend_info *info = nbd_info();
	uint32_t physical = info->physical_block;

	(void) handle;
	*minimum = (uint32_t) nbd.block_size;
	*preferred = physical > *minimum ? physical : *minimum;
	if (*preferred < PREFERRED_LEAST)
		*preferred = PREFERRED_LEAST;
	*maximum = UINT32_MAX; /* longer requests are cut up here */
	return 0;
}

static int nbd_can_write(void *handle)
{
	(void) handle;
	return nbd_disk_can(TCMU_IO_WRITE);
}

/* Without a volatile cache there is nothing to flush. */
static int nbd_can_flush(void *handle)
{
	(void) handle;
	return nbd_disk_can(TCMU_IO_FLUSH) || !nbd_info()->volatile_cache;
}

static int nbd_can_trim(void *handle)
{
	(void) handle;
	return nbd_disk_can(TCMU_IO_UNMAP);
}

static int nbd_can_zero(void *handle)
{
	(void) handle;
	return nbd_disk_can(TCMU_IO_WRITE_ZEROES); /* without it nbdkit writes zeros */
}

static int nbd_can_fast_zero(void *handle)
{
	(void) handle;
	return nbd_disk_can(TCMU_IO_WRITE_ZEROES);
}

static int nbd_can_extents(void *handle)
{
	(void) handle;
	return nbd_disk_can(TCMU_IO_MAP);
}

static int nbd_can_fua(void *handle)
{
	(void) handle;
	if (nbd_info()->fua)
		return NBDKIT_FUA_NATIVE;
	return nbd_can_flush(handle) ? NBDKIT_FUA_EMULATE : NBDKIT_FUA_NONE;
}

static int nbd_can_multi_conn(void *handle)
{
	(void) handle;
	return 1;
}

/* ------- requests ------- */

static int nbd_fail(int error)
{
	if (error == -EINVAL)
		nbdkit_error(
			"a request is not aligned to %" PRId64
			" bytes: use --filter=blocksize minblock=%" PRId64,
			nbd.block_size, nbd.block_size);
	else if (error != -EOPNOTSUPP)
		nbdkit_error("a request fails: %s", strerror(-error));
	nbdkit_set_error(-error);
	return -1;
}

/* A request of any length, in parts of at most max bytes; 0: no limit. */
static int nbd_do(
	enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer, uint64_t length,
	uint64_t max)
{
	uint64_t done = 0;

	while (done < length) {
		uint64_t part = max && length - done > max ? max : length - done;
		int r = tcmu_disk_io(
			nbd.disk, op, flags, offset + done, buffer ? (char *) buffer + done : NULL,
			part);

		if (r < 0)
			return nbd_fail(r);
		done += part;
	}
	return 0;
}

static int nbd_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void) handle;
	(void) flags;
	return nbd_do(TCMU_IO_READ, 0, offset, buf, count, nbd_info()->maximum_transfer);
}

static int nbd_pwrite(
	void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void) handle;
	return nbd_do(
		TCMU_IO_WRITE, flags & NBDKIT_FLAG_FUA ? TCMU_IO_FUA : 0, offset, (void *) buf,
		count, nbd_info()->maximum_transfer);
}

static int nbd_flush(void *handle, uint32_t flags)
{
	int r = 0;

	(void) handle;
	(void) flags;
	if (nbd_disk_can(TCMU_IO_FLUSH))
		r = tcmu_disk_io(nbd.disk, TCMU_IO_FLUSH, 0, 0, NULL, 0);
	return r < 0 ? nbd_fail(r) : 0;
}

static int nbd_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	int r = nbd_do(TCMU_IO_UNMAP, 0, offset, NULL, count, nbd_info()->maximum_unmap);

	return r == 0 && (flags & NBDKIT_FLAG_FUA) ? nbd_flush(handle, 0) : r;
}

static int nbd_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void) handle;
	return nbd_do(
		TCMU_IO_WRITE_ZEROES,
		(flags & NBDKIT_FLAG_FUA ? TCMU_IO_FUA : 0) |
			(flags & NBDKIT_FLAG_MAY_TRIM ? TCMU_IO_MAY_UNMAP : 0),
		offset, NULL, count, 0);
}

/* ------- extents ------- */

static int nbd_extents(
	void *handle, uint32_t count, uint64_t offset, uint32_t flags,
	struct nbdkit_extents *extents)
{
	uint64_t block = (uint64_t) nbd.block_size;
	uint64_t at = offset / block * block;
	uint64_t end = (offset + count + block - 1) / block * block;

	(void) handle;
	while (at < end) {
		struct tcmu_disk_request map = {
			.size = sizeof(map), .op = TCMU_IO_MAP, .offset = at, .length = end - at};
		uint64_t length = 0;
		uint32_t mapped = 0, type = NBDKIT_EXTENT_HOLE;
		int r = tcmu_disk_run(nbd.disk, &map, &length, &mapped);

		if (r < 0)
			return nbd_fail(r);
		if (mapped & TCMU_IO_MAPPED)
			type = 0;
		else if (nbd_info()->unmap_zeroes)
			type |= NBDKIT_EXTENT_ZERO;
		if (!length || length > end - at)
			return nbd_fail(-EIO); /* the handler's mistake */
		if (nbdkit_add_extent(extents, at, length, type) < 0)
			return -1;
		at += length;
		if ((flags & NBDKIT_FLAG_REQ_ONE) && at > offset)
			break;
	}
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "tcmu",
	.longname = "handlers of tcmud",
	.description = "serves a disk by a handler plugin of tcmud",
	.version = TCMUD_VERSION,
	.magic_config_key = "handler",
	.config_help = "handler=FILE|SUBTYPE  (required) The handler plugin.\n"
		       "config=TEXT           The config string without the subtype.\n"
		       "size=BYTES            The size of the disk (default: 64M).\n"
		       "block-size=BYTES      The logical block (default: 512).\n"
		       "must-exist=BOOL       Do not create or extend the store.\n"
		       "strict=BOOL           Look for requests that are used too late.",
	.config = nbd_config,
	.config_complete = nbd_config_complete,
	.after_fork = nbd_after_fork,
	.cleanup = nbd_cleanup,
	.unload = nbd_unload,
	.open = nbd_open,
	.get_size = nbd_get_size,
#ifdef NBDKIT_HAS_BLOCK_SIZE
	.block_size = nbd_block_size,
#endif
	.can_write = nbd_can_write,
	.can_flush = nbd_can_flush,
	.can_trim = nbd_can_trim,
	.can_zero = nbd_can_zero,
	.can_fast_zero = nbd_can_fast_zero,
	.can_extents = nbd_can_extents,
	.can_fua = nbd_can_fua,
	.can_multi_conn = nbd_can_multi_conn,
	.pread = nbd_pread,
	.pwrite = nbd_pwrite,
	.flush = nbd_flush,
	.trim = nbd_trim,
	.zero = nbd_zero,
	.extents = nbd_extents,
	.errno_is_preserved = 0,
};

/* The macro defines it and does not declare it. */
struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
