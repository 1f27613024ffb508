/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file handler's parts: a device's bytes are those of a regular file or of a block device, from
 * its beginning.
 *
 * target.c: from a config string to what is there, and whether it will do. hold.c: keeps others off
 * a block device. open.c: descriptors, properties, resize. io.c: requests. file.c: the table that
 * the daemon sees.
 *
 * A backend is made by open. After that `size` belongs to whoever calls resize, everything under
 * "the I/O thread's" to the device's I/O thread, and the rest does not change until close.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <tcmu/handler.h>

/* The order of the option table. */
enum file_option {
	FILE_DIRECT,
	FILE_CREATE,
	FILE_GROW,
	FILE_SHRINK,
	FILE_DISCARD,
	FILE_DECODE,
	FILE_OPTIONS,
};

extern const struct tcmu_option file_options[FILE_OPTIONS + 1];

/* A file with a header of its own is refused: under this subtype, whoever made it expects that it
 * is understood. */
extern const bool file_raw_only;

static inline bool file_option(const struct tcmu_config *config, enum file_option option)
{
	return config->values[option].number != 0;
}

/* Requests in the order they came. */
struct file_queue {
	struct file_request *first;
	struct file_request *last;
};

struct file_backend {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	int fd;          /* READ, WRITE; with O_DIRECT if asked for */
	int sync_fd;     /* FLUSH, which alone is told through it that writing back has failed */
	int buffered_fd; /* READ, WRITE that do not fit direct I/O; -1: no direct I/O */
	int zero_fd; /* /dev/zero: what is behind the end of a regular file; -1: a block device */
	struct file_hold *hold; /* NULL: a regular file, or only read */
	bool block;
	bool memory;           /* the file lies in memory */
	bool discard;          /* UNMAP, and WRITE_ZEROES that may unmap, give space back */
	uint32_t block_size;   /* bytes, of the device */
	uint32_t granularity;  /* bytes: what ranges of calls other than READ and WRITE must be
				  aligned to */
	uint32_t offset_align; /* direct I/O: of offsets and of the lengths of buffers */
	uint32_t memory_align; /* direct I/O: of addresses of buffers */
	struct tcmu_backend_info info;
	uint64_t size;

	/* the I/O thread's */
	bool failed;             /* what was written may be lost: nothing is written any more */
	bool no_punch;           /* learned: WRITE_ZEROES cannot give space back */
	bool no_zeroing;         /* learned: WRITE_ZEROES cannot keep space */
	bool alone;              /* a buffered request beside direct I/O is under way */
	unsigned shared;         /* other reads and writes under way */
	struct file_queue turns; /* reads and writes that wait for `alone` or `shared` to end */
	struct file_queue flush_waiting; /* for the next fdatasync() */
	struct file_queue flush_running; /* for the one under way, which the first has made */
};

#define FILE_PATH_SIZE (TCMU_CONFIG_MAX + 1)

/* What a config string leads to. */
struct file_target {
	char path[FILE_PATH_SIZE];
	bool exists;
	bool block;
	uint64_t size; /* bytes, of a regular file */
	dev_t dev;     /* of the file, or the block device itself */
	ino_t ino;
};

/* ------- target.c ------- */

/* Sets the reason; returns error. */
__attribute__((format(printf, 3, 4))) int file_refuse(
	struct tcmu_reason *reason, int error, const char *format, ...);

/* 0, also for what can be created; or -errno with a reason. */
int file_find(
	const struct tcmu_config *config, struct file_target *target, struct tcmu_reason *reason);

/* With file_raw_only: whether what fd reads, past the page cache or not, begins with another
 * format's header. 0, or -errno with a reason. */
int file_check_format(const struct file_target *target, int fd, struct tcmu_reason *reason);

/* Whether a store of so many bytes can be a device of config->size. 0, or -errno with a reason. */
int file_check_size(
	const struct tcmu_config *config, const struct file_target *target, uint64_t size,
	struct tcmu_reason *reason);

/* For an open file or block device. Bytes, or -errno. */
int64_t file_size(int fd, bool block);

/* open(), with a reason when it fails, also when it is not the target any more. */
int file_open_target(const struct file_target *target, int flags, struct tcmu_reason *reason);

/* For why an open failed with O_DIRECT or without. */
int file_refuse_open(
	const struct file_target *target, int flags, int error, struct tcmu_reason *reason);

/* Whether an open block device can be written. 0, or -errno with a reason. */
int file_check_writable(int fd, const struct file_target *target, struct tcmu_reason *reason);

/* What direct I/O to an open file demands. 0, or -errno with a reason. */
int file_direct_align(
	int fd, const struct file_target *target, uint32_t *offset_align, uint32_t *memory_align,
	struct tcmu_reason *reason);

/* Whether a device of config->block_size gets by with it. 0, or -errno with a reason. */
int file_check_align(
	const struct tcmu_config *config, uint32_t offset_align, struct tcmu_reason *reason);

/* Names what is there, the same whatever path leads to it. */
void file_claim(const struct file_target *target, char *claim, size_t size);
int file_identify(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason);

int file_check_config(const struct tcmu_config *config, struct tcmu_reason *reason);

/* ------- hold.c ------- */

/* Keeps mounts and other drivers off a block device; all backends of the process share one hold of
 * a device, the daemon decides whether they may. -EBUSY: others hold it. Any thread; may block. */
int file_hold_get(const struct file_target *target, struct file_hold **hold);

/* Takes NULL. Any thread. */
void file_hold_put(struct file_hold *hold);

/* ------- open.c ------- */

int file_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason);
void file_close(void *backend);
int file_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason);

/* ------- io.c ------- */

/* At io->priv. */
struct file_request {
	struct tcmu_aio aio;
	struct tcmu_io *io;
	struct file_backend *backend;
	struct file_request *next; /* in a queue of the backend's */
	uint64_t done;             /* bytes read or written so far */
	struct iovec *iov;         /* the buffers of the rest */
	unsigned iov_cnt;
	bool alone;      /* its turn: nothing else is read or written meanwhile */
	bool not_direct; /* the kernel has refused direct I/O for it */
	bool past_end;   /* the rest is behind the end of the file */
	bool cancelled;
};

void file_submit(void *backend, struct tcmu_io *io);
void file_cancel(void *backend, struct tcmu_io *io);
