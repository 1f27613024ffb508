/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between tcmud and a handler plugin; all that a plugin includes.
 *
 * A handler knows its backend (a file, an image, a cluster) and nothing of SCSI, of the ring or of
 * the kernel. The daemon gives it byte ranges and buffers, the handler answers with 0 or a negative
 * errno.
 *
 * Threads: check_config, open, resize and close are called on a thread of their own and may block
 * as long as they must; they delay no other device. submit of a TCMU_HANDLER_ASYNC handler is
 * called on the device's I/O thread and must not block. submit of a SERIAL or PARALLEL handler is
 * called on worker threads and may block. tcmu_io_complete may be called from any thread, exactly
 * once for each io, also from within submit. close is called when nothing is in flight any more;
 * nothing of the host may be called after it returns. lock, unlock and lock_state are called on a
 * thread of their own while I/O goes on, lock and unlock one at a time, and may block.
 *
 * ABI: a plugin is a shared object named handler_<subtype>.so with one visible function, defined by
 * TCMU_HANDLER(). Structures only ever grow at the end; both sides carry their size and look at no
 * more than the other one has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TCMU_HANDLER_ABI 1u

/* The longest "<subtype>/<config>" the kernel keeps, without the terminating NUL. */
#define TCMU_CONFIG_MAX 255

/* What can be asked of a backend. Offsets and lengths are bytes and multiples of the logical block
 * size. */
enum tcmu_io_op {
	TCMU_IO_READ = 1, /* fill iov from [offset, offset + length) */
	TCMU_IO_WRITE,    /* store iov at [offset, offset + length) */
	TCMU_IO_FLUSH,    /* all completed writes to stable storage; offset, length, iov unused */
	TCMU_IO_UNMAP,    /* [offset, offset + length) is no longer needed */
	TCMU_IO_WRITE_ZEROES,      /* [offset, offset + length) reads as zeros from now on. On
				    * -EOPNOTSUPP the daemon writes them itself */
	TCMU_IO_COMPARE_AND_WRITE, /* iov holds 2 * length bytes: compare the first half, then write
				    * the second, atomically. -EILSEQ and result = offset of the
				    * first differing byte, from io->offset, on a miscompare */
	TCMU_IO_MAP, /* result = bytes from offset, at most length, that are alike; TCMU_IO_MAPPED
		      * in result_flags if they are allocated */
	TCMU_IO_WRITE_SAME, /* iov holds one logical block, which every block of [offset, offset +
			       length) becomes */
};

#define TCMU_IO_CAP(op) (UINT64_C(1) << (op))

/* Beside the operations: a WRITE of info.atomic_write bytes, at a multiple of them, with
 * TCMU_IO_ATOMIC is stored whole or not at all, also when power fails. */
#define TCMU_CAP_ATOMIC (UINT64_C(1) << 63)

/* flags of an io */
#define TCMU_IO_FUA \
	(1u << 0) /* WRITE, WRITE_ZEROES, WRITE_SAME: on stable storage before completion */
#define TCMU_IO_MAY_UNMAP \
	(1u << 1) /* WRITE_ZEROES: space may be given back where it then reads as zeros */
#define TCMU_IO_ATOMIC (1u << 2) /* WRITE, with TCMU_CAP_ATOMIC: all or nothing, or an error */

/* result_flags of an io */
#define TCMU_IO_MAPPED (1u << 0)

struct tcmu_host;
struct tcmu_host_device;

/* One request to the backend. Owned by the daemon; the handler may use it until it completes it. */
struct tcmu_io {
	enum tcmu_io_op op;
	uint32_t flags;
	uint64_t offset;
	uint64_t length;
	struct iovec *iov; /* the io's own copy: the handler may change the entries */
	unsigned iov_cnt;
	uint32_t result_flags;
	uint64_t result;
	void *priv; /* io_priv_size bytes of the handler's own, not cleared between requests */
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
};

/* A system call that the device's I/O engine makes for an asynchronous handler. */
enum tcmu_aio_op {
	TCMU_AIO_READV = 1,
	TCMU_AIO_WRITEV,
	TCMU_AIO_FDATASYNC,
	TCMU_AIO_FALLOCATE,  /* mode, offset, length */
	TCMU_AIO_BLKDISCARD, /* ioctl on a block device: offset, length */
	TCMU_AIO_BLKZEROOUT,
	TCMU_AIO_SEEK_DATA, /* lseek from offset; -ENXIO: nothing more. The descriptor's position
			       means nothing */
	TCMU_AIO_SEEK_HOLE,
};

#define TCMU_AIO_DSYNC (1u << 0) /* WRITEV: RWF_DSYNC */
#define TCMU_AIO_CACHED \
	(1u << 1) /* READV: likely in the page cache; try it without waiting first */
#define TCMU_AIO_MEMORY \
	(1u << 2) /* READV, WRITEV: the file lies in memory (tmpfs), no call waits for a device */

struct tcmu_aio {
	enum tcmu_aio_op op;
	int fd;
	uint32_t flags;
	int mode;
	struct iovec *iov;
	unsigned iov_cnt;
	uint64_t offset;
	uint64_t length;
	/* On the device's I/O thread, never from within host->aio(). res: what the call returned,
	 * or -errno; -ECANCELED when the request was cancelled. */
	void (*done)(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res);
	struct tcmu_io *io;
	uintptr_t engine[4]; /* the engine's own */
};

enum tcmu_log_level {
	TCMU_LOG_CRIT = 0,
	TCMU_LOG_ERROR,
	TCMU_LOG_WARNING,
	TCMU_LOG_INFO,
	TCMU_LOG_DEBUG,
};

enum tcmu_backend_event {
	TCMU_BACKEND_RESIZED = 1, /* value: the new size in bytes */
	TCMU_BACKEND_FAILED, /* value: -errno; nothing more is served until the device is reopened
			      */
	TCMU_BACKEND_LOCK_LOST, /* value: 0; what was taken by lock is not held any more */
	TCMU_BACKEND_FENCED,    /* value: -errno; another host has shut this one out of the backing
				 * store: nothing is written any more, and the backend is closed and
				 * opened anew */
};

/* What the daemon does for a handler. Valid from open to close. */
struct tcmu_host {
	uint32_t abi;
	uint32_t size;
	/* Any thread, once for each io. error: 0 or negative errno. */
	void (*complete)(struct tcmu_io *io, int error);
	/* ASYNC handlers only; in submit or in a done callback. Never fails: errors come through
	 * done. */
	void (*aio)(struct tcmu_io *io, struct tcmu_aio *aio);
	/* Any thread. One line, without the device's name, which the daemon puts before it. */
	void (*log)(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message);
	/* Any thread. */
	void (*event)(struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value);
};

/* How submit is called. */
enum tcmu_handler_threading {
	TCMU_HANDLER_ASYNC = 0, /* on the I/O thread; must not block */
	TCMU_HANDLER_SERIAL,    /* one worker thread; may block */
	TCMU_HANDLER_PARALLEL,  /* several worker threads at once; may block */
};

/* Handler flags */
/* Buffers are touched by system calls only, never in user space. The ring's mapping can then be
 * taken away under an I/O that is stuck: a late system call ends in -EFAULT and changes nothing. */
#define TCMU_HANDLER_SYSCALLS_ONLY (1u << 0)
/* After TCMU_BACKEND_FAILED the daemon may close the backend and open it anew by itself: nothing
 * that was acknowledged is lost by that. */
#define TCMU_HANDLER_REOPENS (1u << 1)

enum tcmu_option_type {
	TCMU_OPTION_BOOL = 1, /* 0 1 no yes off on false true */
	TCMU_OPTION_UINT,     /* decimal */
	TCMU_OPTION_SIZE,     /* bytes, with an optional K M G T (powers of 1024) */
	TCMU_OPTION_STRING,
	TCMU_OPTION_CHOICE, /* one of choices; the value's number is its index */
};

/* One ";name=value" of the config string. The table ends with a NULL name. It feeds the parser,
 * CheckConfig's message and ConfigDesc. */
struct tcmu_option {
	const char *name;
	enum tcmu_option_type type;
	const char *def;            /* as it would be written; NULL: none */
	const char *const *choices; /* NULL-terminated, for TCMU_OPTION_CHOICE */
	const char *help;           /* one line */
};

struct tcmu_option_value {
	bool given;
	uint64_t number;    /* BOOL, UINT, SIZE, CHOICE */
	const char *string; /* STRING */
};

/* A decoded config string. Valid during the call; a handler copies what it keeps. */
struct tcmu_config {
	const char *subtype;
	const char *target; /* what stands between "<subtype>/" and the first ';' */
	const struct tcmu_option_value
		*values; /* one for each entry of the handler's option table, same order */
	uint64_t
		size; /* bytes that the kernel's device has; 0 in check_config when not known yet */
	uint32_t block_size; /* bytes; 0 when not known yet */
	bool read_only;
};

/* Why something was refused: one sentence for a person, without a final newline. */
struct tcmu_reason {
	char text[256];
};

/* What a backend is and can do; filled by open and by resize. The daemon clears it before open. */
struct tcmu_backend_info {
	uint64_t caps; /* TCMU_IO_CAP() of every op that submit takes; the daemon emulates or hides
			  the others */
	bool fua;      /* WRITE honours TCMU_IO_FUA; if not, the daemon flushes after the write */
	bool volatile_cache; /* completed writes need a FLUSH to be stable */
	bool rotational;
	bool thin;                  /* blocks can be unmapped and allocate on write */
	bool unmap_zeroes;          /* unmapped blocks read as zeros */
	uint32_t physical_block;    /* bytes; 0: the logical block */
	uint32_t optimal_transfer;  /* bytes; 0: none */
	uint32_t maximum_transfer;  /* bytes; 0: no limit of the backend's own */
	uint32_t unmap_granularity; /* bytes; 0: the logical block */
	uint64_t maximum_unmap;     /* bytes; 0: no limit of the backend's own */
	uint32_t optimal_dio_align; /* bytes an offset must be aligned to; 0: the logical block */
	char claim[128]; /* names the backing store itself, however it was spelled: equal claims are
			    the same store */
	uint32_t maximum_compare_and_write; /* bytes that are compared; 0: no limit of the backend's
					       own */
	uint32_t atomic_write;              /* bytes, with TCMU_CAP_ATOMIC; 0: the logical block */
};

struct tcmu_handler {
	uint32_t abi;        /* TCMU_HANDLER_ABI of the plugin's build */
	uint32_t size;       /* sizeof(struct tcmu_handler) of the plugin's build */
	const char *subtype; /* [a-z0-9_]+ */
	const char *name;    /* for people */
	const char
		*config_desc; /* how the config string reads; shown by targetcli's "help create" */
	enum tcmu_handler_threading threading;
	uint32_t flags;
	uint32_t io_priv_size; /* bytes at io->priv, aligned to 16 */
	uint32_t workers;      /* PARALLEL: at most so many at once; 0: the daemon's choice */
	const struct tcmu_option *options; /* NULL: none */
	/* 0, or -errno with a reason. Must not change the backing store. */
	int (*check_config)(const struct tcmu_config *config, struct tcmu_reason *reason);
	/* 0 with *backend and *info set, or -errno with a reason and nothing left behind. */
	int (*open)(
		const struct tcmu_config *config, const struct tcmu_host *host,
		struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
		struct tcmu_reason *reason);
	/* Acknowledged data is on stable storage when it returns, if that is possible at all. */
	void (*close)(void *backend);
	void (*submit)(void *backend, struct tcmu_io *io);
	/* Optional. Asks that io ends soon; it is completed as usual, with -ECANCELED or whatever
	 * became of it. On the thread that submit is called on for ASYNC handlers, else on the I/O
	 * thread. */
	void (*cancel)(void *backend, struct tcmu_io *io);
	/* Optional. While I/O goes on. info as it is to be after the change. 0, or -errno with a
	 * reason and no change. */
	int (*resize)(
		void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
		struct tcmu_reason *reason);
	/* Optional. Names the backing store as info.claim of open will, or leaves claim empty where
	 * that is not known before. Must neither wait for the store itself nor change anything. 0,
	 * or -errno with a reason. */
	int (*claim)(
		const struct tcmu_config *config, char *claim, size_t size,
		struct tcmu_reason *reason);
	/* Optional, all three or none: the ownership of a backing store that several hosts share.
	 * Takes it for this host, and keeps tag with it, where the other hosts can read it. Another
	 * owner is shut out first: nothing of what it has begun may be written once this has
	 * returned 0. What is held already is kept, with the new tag. 0; -ESHUTDOWN: this host was
	 * shut out itself, TCMU_BACKEND_FENCED is told; or -errno with a reason. */
	int (*lock)(void *backend, uint16_t tag, struct tcmu_reason *reason);
	/* Gives it up, after what is under way. 0, also where it was not held, or -errno. */
	int (*unlock)(void *backend);
	/* Who has it. *tag: the owner's; 0: nobody has it, or an owner who keeps no tag. 0;
	 * -ESHUTDOWN as for lock; or -errno. */
	int (*lock_state)(void *backend, bool *ours, uint16_t *tag);
};

/* What a plugin exports. The daemon looks it up by this name. */
#define TCMU_HANDLER_ENTRY "tcmu_handler_entry"
typedef const struct tcmu_handler *tcmu_handler_entry_fn(void);

/* Defines the plugin's entry. Give the fields of struct tcmu_handler except abi and size. */
#define TCMU_HANDLER(...) \
	static const struct tcmu_handler tcmu_handler_self = { \
		.abi = TCMU_HANDLER_ABI, .size = sizeof(struct tcmu_handler), __VA_ARGS__}; \
	__attribute__((visibility("default"))) const struct tcmu_handler *tcmu_handler_entry( \
		void); \
	const struct tcmu_handler *tcmu_handler_entry(void) \
	{ \
		return &tcmu_handler_self; \
	} \
	_Static_assert(sizeof(struct tcmu_handler) <= UINT32_MAX, "size fits")

static inline void tcmu_io_complete(struct tcmu_io *io, int error)
{
	io->host->complete(io, error);
}

static inline void tcmu_io_aio(struct tcmu_io *io, struct tcmu_aio *aio)
{
	io->host->aio(io, aio);
}

#ifdef __cplusplus
}
#endif
