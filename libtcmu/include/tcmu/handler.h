/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface between tcmud and a handler plugin
 *
 * A handler serves one kind of backend: a file, an image, a cluster. It gets byte ranges and
 * buffers and answers with 0 or a negative errno. It sees no SCSI, no ring and no kernel interface.
 * A plugin includes this header alone.
 *
 * Threads: check_config, claim, open, resize and close run on a separate thread and may block.
 * They delay no other device. The submit of a TCMU_HANDLER_ASYNC handler runs on the device's I/O
 * thread and must not block. The submit of a SERIAL or PARALLEL handler runs on worker threads and
 * may block. lock, unlock and lock_state run on a separate thread while I/O goes on, and may
 * block; lock and unlock run one at a time. close runs when nothing is in flight. A plugin calls no
 * function of the host after close has returned.
 *
 * ABI: a plugin is a shared object named handler_<subtype>.so with one visible function, which
 * TCMU_HANDLER() defines. Structures grow at their end only. Both sides record the sizes of their
 * structures (struct tcmu_sizes), so neither writes or reads beyond what the other has.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TCMU_HANDLER_ABI 1u

/* The longest "<subtype>/<config>" that the kernel keeps, without the final NUL. */
#define TCMU_CONFIG_MAX 255

/* Operations of a backend. Offsets and lengths are bytes and multiples of the logical block
 * size. */
enum tcmu_io_op {
	TCMU_IO_READ = 1, /* fill iov from [offset, offset + length) */
	TCMU_IO_WRITE,    /* store iov at [offset, offset + length) */
	TCMU_IO_FLUSH, /* put all completed writes on stable storage; offset, length, iov unused */
	TCMU_IO_UNMAP, /* [offset, offset + length) is no longer needed */
	TCMU_IO_WRITE_ZEROES,      /* [offset, offset + length) reads as zeros from now on. On
				    * -EOPNOTSUPP the daemon writes the zeros itself */
	TCMU_IO_COMPARE_AND_WRITE, /* iov holds 2 * length bytes: compare the first half, then write
				    * the second, atomically. On a miscompare: -EILSEQ, and result =
				    * offset of the first byte that differs, from io->offset */
	TCMU_IO_MAP, /* result = bytes from offset, at most length, that are alike; TCMU_IO_MAPPED
		      * in result_flags if they are allocated */
	TCMU_IO_WRITE_SAME, /* iov holds one logical block: store it in every block of [offset,
			       offset + length) */
	/* With TCMU_CAP_COMMANDS: a SCSI command as it came, in cdb. iov holds length bytes of
	 * data-out or room for data-in, in any number of pieces; length need not be a multiple of a
	 * block. Complete it with 0, and set status, sense, and result = bytes of data-in; or with
	 * -EOPNOTSUPP, and the daemon executes the command itself. */
	TCMU_IO_COMMAND,
};

#define TCMU_IO_CAP(op) (UINT64_C(1) << (op))

/* A capability beside the operations: a WRITE with TCMU_IO_ATOMIC, of info.atomic_write bytes at a
 * multiple of them, is stored whole or not at all, even if power fails. */
#define TCMU_CAP_ATOMIC (UINT64_C(1) << 63)

/* Another one: the handler sees every SCSI command first, as TCMU_IO_COMMAND. */
#define TCMU_CAP_COMMANDS (UINT64_C(1) << 62)

/* Flags of a request */
#define TCMU_IO_FUA       (1u << 0) /* WRITE, WRITE_ZEROES, WRITE_SAME: stable before completion */
#define TCMU_IO_MAY_UNMAP (1u << 1) /* WRITE_ZEROES: may free space that then reads as zeros */
#define TCMU_IO_ATOMIC    (1u << 2) /* WRITE, with TCMU_CAP_ATOMIC: all, or nothing and an error */

/* result_flags of a request */
#define TCMU_IO_MAPPED (1u << 0)

struct tcmu_host;
struct tcmu_host_device;

/* How a request ends, for tcmu_io_complete(). Other negative errnos have one of these outcomes,
 * too: docs/handler-guide.md has the table. */
enum tcmu_error {
	TCMU_ERROR_MEDIUM = -EIO,        /* io->result: the offset of the failure */
	TCMU_ERROR_MISCOMPARE = -EILSEQ, /* COMPARE_AND_WRITE, with io->result */
	TCMU_ERROR_SPACE_EXHAUSTED = -ENOSPC,
	TCMU_ERROR_WRITE_PROTECTED = -EROFS,
	TCMU_ERROR_BECOMING_READY = -EINPROGRESS, /* not carried out: repeat it in a while */
	TCMU_ERROR_NO_MEDIUM = -ENOMEDIUM,
	TCMU_ERROR_CONFLICT = -EBADE,      /* a reservation in the backing store */
	TCMU_ERROR_BUSY = -EBUSY,          /* not carried out: repeat it */
	TCMU_ERROR_TIMED_OUT = -ETIMEDOUT, /* it may have been carried out: repeat it */
	TCMU_ERROR_FENCED = -ESHUTDOWN,    /* likewise; with TCMU_BACKEND_FENCED */
	TCMU_ERROR_CANCELLED = -ECANCELED,
	TCMU_ERROR_UNKNOWN = -ENOTRECOVERABLE, /* it may have been carried out: do not repeat it */
	TCMU_ERROR_FAILED = -EREMOTEIO,
};

/* One request to the backend. The daemon owns it; the handler may use it until it completes it. */
struct tcmu_io {
	enum tcmu_io_op op;
	uint32_t flags; /* TCMU_IO_ bits */
	uint64_t offset;
	uint64_t length;
	struct iovec *iov; /* the request's own copy: the handler may change the entries */
	unsigned iov_cnt;
	uint32_t result_flags;
	uint64_t result;
	void *priv; /* io_priv_size bytes for the handler; not cleared between requests */
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	/* COMMAND */
	const uint8_t *cdb;
	uint8_t *sense;      /* 96 bytes of zeros, for CHECK CONDITION */
	uint32_t cdb_length; /* bytes */
	uint8_t status;      /* of SAM; 0, which is GOOD, until the handler sets it */
};

/* A system call that the daemon makes for an asynchronous handler. */
enum tcmu_aio_op {
	TCMU_AIO_READV = 1,
	TCMU_AIO_WRITEV,
	TCMU_AIO_FDATASYNC,
	TCMU_AIO_FALLOCATE,  /* mode, offset, length */
	TCMU_AIO_BLKDISCARD, /* ioctl on a block device: offset, length */
	TCMU_AIO_BLKZEROOUT,
	TCMU_AIO_SEEK_DATA, /* lseek from offset; -ENXIO: no more data. The descriptor's position
			       is undefined */
	TCMU_AIO_SEEK_HOLE,
};

#define TCMU_AIO_DSYNC (1u << 0) /* WRITEV: RWF_DSYNC */
#define TCMU_AIO_CACHED \
	(1u << 1) /* READV: the data is likely in the page cache; try without waiting first */
#define TCMU_AIO_MEMORY \
	(1u << 2) /* READV, WRITEV: the file is in memory (tmpfs); no call waits for a device */

struct tcmu_aio {
	enum tcmu_aio_op op;
	int fd;
	uint32_t flags; /* TCMU_AIO_ bits */
	int mode;
	struct iovec *iov;
	unsigned iov_cnt;
	uint64_t offset;
	uint64_t length;
	/* Runs on the device's I/O thread, never within host->aio(). res: what the call has
	 * returned, or -errno; -ECANCELED if the request was cancelled. */
	void (*done)(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res);
	struct tcmu_io *io;
	uintptr_t engine[8]; /* for the daemon */
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
	TCMU_BACKEND_FAILED,    /* value: -errno. Nothing is served until the device is reopened */
	TCMU_BACKEND_LOCK_LOST, /* value: 0. The lock that lock() took is no longer held; or,
				 * without lock(), another host has it and refuses to pass it on */
	TCMU_BACKEND_FENCED,    /* value: -errno. Another host has fenced this one out of the
				 * backing store: nothing is written any more, and the daemon
				 * reopens the backend */
};

/* A number of the handler's own, for each device. The table ends with a NULL name, after 64 entries
 * at most. "tcmuctl stats" shows them, and "tcmuctl metrics" as tcmu_handler_<subtype>_<name>. */
struct tcmu_counter {
	const char *name; /* [a-z0-9_]+, at most 31 characters */
	const char *help; /* one line */
	uint32_t flags;   /* TCMU_COUNTER_ bits */
};

/* It may fall; without the flag it only grows. */
#define TCMU_COUNTER_GAUGE (1u << 0)

/* The sizes of one build's structures, in bytes: the plugin's, which TCMU_HANDLER() records, and
 * the daemon's. The daemon gives each structure room for the longer of the two and clears what it
 * does not know. Elements of arrays have the plugin's size. So both sides use their own
 * declarations, and a member that the other side does not know is 0 or has no effect. */
struct tcmu_sizes {
	uint32_t size; /* of this structure */
	uint32_t io;
	uint32_t aio;
	uint32_t config;
	uint32_t reason;
	uint32_t backend_info;
	uint32_t option;
	uint32_t option_value;
	uint32_t counter;
};

#define TCMU_SIZES \
	{ \
		sizeof(struct tcmu_sizes), sizeof(struct tcmu_io), sizeof(struct tcmu_aio), \
			sizeof(struct tcmu_config), sizeof(struct tcmu_reason), \
			sizeof(struct tcmu_backend_info), sizeof(struct tcmu_option), \
			sizeof(struct tcmu_option_value), sizeof(struct tcmu_counter), \
	}

/* Whether the daemon has a member of struct tcmu_host: a function may be called then. */
#define TCMU_HOST_HAS(host, member) \
	((host)->size >= offsetof(struct tcmu_host, member) + sizeof((host)->member) && \
	 (host)->member)

/* Whether the daemon knows a member of struct tcmu_<kind>; kind is a member of tcmu_sizes. */
#define TCMU_HOST_KNOWS(host, kind, member) \
	(TCMU_HOST_HAS(host, sizes) && \
	 (host)->sizes->kind >= offsetof(struct tcmu_##kind, member) + \
			 sizeof(((struct tcmu_##kind *) 0)->member))

/* Functions of the daemon for a handler. Valid from open to close. */
struct tcmu_host {
	uint32_t abi;
	uint32_t size;
	/* Completes a request. Any thread, once for each request. error: 0 or negative errno. */
	void (*complete)(struct tcmu_io *io, int error);
	/* Makes a system call. ASYNC handlers only, in submit or in a done callback. Errors come
	 * through done. */
	void (*aio)(struct tcmu_io *io, struct tcmu_aio *aio);
	/* Logs one line; the daemon puts the device's name before it. Any thread. */
	void (*log)(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message);
	/* Reports an event of the backend. Any thread. */
	void (*event)(struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value);
	const struct tcmu_sizes *sizes; /* of the daemon's build */
	/* The functions below may be missing: ask TCMU_HOST_HAS(). */
	uint32_t handler_flags; /* the TCMU_HANDLER_ bits that the daemon knows */
	/* The device's name, "user_0/disk". Valid until close has returned. Any thread. */
	const char *(*name)(struct tcmu_host_device *dev);
	/* Whether TCMU_LOG_DEBUG lines are logged. Any thread; it may change at any time. */
	bool (*debug)(struct tcmu_host_device *dev);
	/* Says how the backend is, and what it waits for: "waiting for OSD 12". At most 127
	 * bytes, which are copied. NULL: all is well. "tcmuctl list" and "status" show it. An open
	 * begins without one. Any thread; does not block. */
	void (*health)(struct tcmu_host_device *dev, const char *text);
	/* The device's counters, in the order of the handler's table; NULL if that is empty. They
	 * begin at 0, and keep their values when the backend is reopened. For tcmu_counter_add()
	 * and tcmu_counter_set(), until close has returned. Any thread. */
	uint64_t *(*counters)(struct tcmu_host_device *dev);
};

/* How the daemon calls submit. */
enum tcmu_handler_threading {
	TCMU_HANDLER_ASYNC = 0, /* on the I/O thread; must not block */
	TCMU_HANDLER_SERIAL,    /* on one worker thread; may block */
	TCMU_HANDLER_PARALLEL,  /* on several worker threads at once; may block */
};

/* Handler flags */
/* Only system calls access buffers, never code in user space. The daemon can then remove the
 * ring's mapping under a request that is stuck: a late system call fails with EFAULT and changes
 * nothing. */
#define TCMU_HANDLER_SYSCALLS_ONLY (1u << 0)
/* After TCMU_BACKEND_FAILED the daemon may reopen the backend by itself: no acknowledged data is
 * lost by that. */
#define TCMU_HANDLER_REOPENS (1u << 1)
/* Targets and values are percent-encoded: %XX stands for a byte. Without the flag they are so only
 * in config strings with the option "escaped". The handler gets them decoded. */
#define TCMU_HANDLER_ESCAPED_CONFIG (1u << 2)
/* The text after "<subtype>/" has the handler's own syntax: it is the target, without the daemon's
 * own options. The handler has no table of options. */
#define TCMU_HANDLER_RAW_CONFIG (1u << 3)
/* Pieces of a request that are neighbours in memory come as one. */
#define TCMU_HANDLER_JOINED (1u << 4)
/* A request has one piece at most. The daemon copies the data where it lies in several places. */
#define TCMU_HANDLER_FLAT (1u << 5)

enum tcmu_option_type {
	TCMU_OPTION_BOOL = 1, /* 0 1 no yes off on false true */
	TCMU_OPTION_UINT,     /* decimal */
	TCMU_OPTION_SIZE,     /* bytes, with an optional K M G T (powers of 1024) */
	TCMU_OPTION_STRING,
	TCMU_OPTION_CHOICE, /* one of choices; the value's number is its index */
	TCMU_OPTION_SECRET, /* in the config string, the absolute path of a file; in the value's
			     * string, its content without a final newline */
};

/* One ";name=value" of the config string. The table ends with a NULL name. The parser,
 * CheckConfig's message and ConfigDesc use it. */
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
	const char *string; /* STRING, SECRET */
};

/* A decoded config string. Valid during the call; a handler copies what it keeps. Secrets are
 * overwritten after the call. */
struct tcmu_config {
	const char *subtype;
	const char *target; /* the text between "<subtype>/" and the first ';', decoded */
	const struct tcmu_option_value
		*values;     /* one for each entry of the handler's option table, in its order */
	uint64_t size;       /* bytes of the kernel's device; 0 in check_config if not known yet */
	uint32_t block_size; /* bytes; 0 if not known yet */
	bool read_only;
	/* claim, open: the store was served before. It is neither created nor extended: -ENOENT if
	 * it is missing, -EINVAL if it is too small. False for a creation, and in check_config. An
	 * older daemon leaves it false: it lies in the padding of the first version. */
	bool must_exist;
	const char *raw; /* all after "<subtype>/", as it is in configfs */
};

#ifndef __cplusplus
_Static_assert(
	offsetof(struct tcmu_config, must_exist) == offsetof(struct tcmu_config, read_only) + 1,
	"a plugin of this version may run in an older daemon");
#endif

/* The reason of a refusal: one sentence for a person, without a final newline. */
struct tcmu_reason {
	char text[256];
};

/* Properties of a backend; filled by open and by resize. The daemon clears it before open. */
struct tcmu_backend_info {
	uint64_t caps; /* TCMU_IO_CAP() of every op that submit accepts; the daemon emulates or
			  hides the others */
	bool fua;      /* WRITE honours TCMU_IO_FUA; if not, the daemon flushes after the write */
	bool volatile_cache; /* completed writes need a FLUSH to be stable */
	bool rotational;
	bool thin;                 /* blocks can be unmapped and are allocated on write */
	bool unmap_zeroes;         /* unmapped blocks read as zeros */
	uint32_t physical_block;   /* bytes; 0: the logical block */
	uint32_t optimal_transfer; /* bytes; 0: none */
	uint32_t maximum_transfer; /* bytes of a READ or WRITE: the daemon makes several requests of
				      a longer one; 0: the backend has no limit */
	uint32_t unmap_granularity; /* bytes; 0: the logical block */
	uint64_t maximum_unmap;     /* bytes of an UNMAP, likewise; 0: no limit */
	uint32_t optimal_dio_align; /* bytes an offset must be aligned to; 0: the logical block */
	char claim[128]; /* names the backing store itself, not its spelling: equal claims are the
			    same store */
	uint32_t maximum_compare_and_write; /* bytes that are compared; 0: the backend has no
					       limit */
	uint32_t atomic_write;              /* bytes, with TCMU_CAP_ATOMIC; 0: the logical block */
};

/* A handler. Members that are not set are 0 and mean "not there". */
struct tcmu_handler {
	uint32_t abi;        /* TCMU_HANDLER_ABI of the plugin's build */
	uint32_t size;       /* sizeof(struct tcmu_handler) of the plugin's build */
	const char *subtype; /* [a-z0-9_]+ */
	const char *name;    /* for people */
	const char
		*config_desc; /* describes the config string; shown by targetcli's "help create" */
	enum tcmu_handler_threading threading;
	uint32_t flags;                    /* TCMU_HANDLER_SYSCALLS_ONLY, TCMU_HANDLER_REOPENS */
	uint32_t io_priv_size;             /* bytes at io->priv, aligned to 16 */
	uint32_t workers;                  /* PARALLEL: the most at once; 0: the daemon chooses */
	const struct tcmu_option *options; /* NULL: none */
	/* Optional. Checks a config string. Must not change the backing store. 0, or -errno with a
	 * reason. */
	int (*check_config)(const struct tcmu_config *config, struct tcmu_reason *reason);
	/* Opens the backing store. 0 with *backend and *info set; or -errno with a reason, and
	 * nothing is left behind. */
	int (*open)(
		const struct tcmu_config *config, const struct tcmu_host *host,
		struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
		struct tcmu_reason *reason);
	/* Closes the backend and frees it. Puts acknowledged data on stable storage if that is
	 * possible at all. */
	void (*close)(void *backend);
	/* Starts a request, which tcmu_io_complete() ends. -ETIMEDOUT and -ESHUTDOWN mean that the
	 * request may have been carried out; -EBUSY, that it was not. */
	void (*submit)(void *backend, struct tcmu_io *io);
	/* Optional. Asks that a request ends soon. The request is completed as usual, with
	 * -ECANCELED or with its result. Runs on the I/O thread. */
	void (*cancel)(void *backend, struct tcmu_io *io);
	/* Optional. Takes a new size of the device while I/O goes on. info: the properties after
	 * the change. 0; or -errno with a reason, and nothing has changed. */
	int (*resize)(
		void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
		struct tcmu_reason *reason);
	/* Optional. Names the backing store before open, as info.claim of open will; empty if that
	 * is not known yet. Must neither wait for the store nor change anything. size: bytes of
	 * claim. 0, or -errno with a reason. */
	int (*claim)(
		const struct tcmu_config *config, char *claim, size_t size,
		struct tcmu_reason *reason);
	/* Optional: lock, unlock and lock_state, all three or none, for a backing store that
	 * several hosts share. Takes the lock of the store for this host, and keeps tag with it
	 * where the other hosts can read it. Another holder of the lock is fenced first: none of
	 * its writes in flight may reach the store after this has returned 0. A lock that this host
	 * holds already is kept, with the new tag. Before the daemon learns that the lock is lost,
	 * it may submit writes: they fail with -EBUSY, even if this function takes the lock before
	 * they end. 0; -ESHUTDOWN: this host is fenced itself, and has reported
	 * TCMU_BACKEND_FENCED; or -errno with a reason. */
	int (*lock)(void *backend, uint16_t tag, struct tcmu_reason *reason);
	/* Releases the lock after the requests in flight. 0, also if it was not held, or -errno. */
	int (*unlock)(void *backend);
	/* Reads the state of the lock. *ours: this host holds it. *tag: the tag of its holder; 0:
	 * it has no holder, or its holder keeps no tag. 0; -ESHUTDOWN as for lock; or -errno. */
	int (*lock_state)(void *backend, bool *ours, uint16_t *tag);
	/* Optional, for a backing store that several hosts share. The device is being deleted, and
	 * requests that have not ended in time are left alone. If this host has the lock, none of
	 * them may reach the store from now on, as far as that can be prevented: another host may
	 * take the lock meanwhile. They are completed all the same, some time. Must not block. The
	 * main thread; may run at the same time as submit and lock. */
	void (*abandon)(void *backend);
	const struct tcmu_sizes *sizes; /* of the plugin's build; TCMU_HANDLER() sets it */
	/* Optional. How many backends the handler has given up: their close, or their open, has
	 * returned although a call to their store has not. Nothing of them reaches the store any
	 * more. Any thread; must not block. */
	unsigned (*given_up)(void);
	const char *version; /* the plugin's own; NULL: none. "tcmuctl handlers" shows it */
	const struct tcmu_counter *counters; /* NULL: none */
	/* Optional. Runs once in the process, on the main thread, after the plugin was accepted and
	 * before any other function; the daemon serves nothing meanwhile. 0; or -errno with a
	 * reason, and the plugin is not used. */
	int (*init)(struct tcmu_reason *reason);
	/* Optional. Runs on the main thread when the process ends in good order: no backend is
	 * open, and no other function runs or will run. A process that ends otherwise leaves it
	 * out. */
	void (*fini)(void);
};

/* The function that a plugin exports and the daemon calls. */
#define TCMU_HANDLER_ENTRY "tcmu_handler_entry"
typedef const struct tcmu_handler *tcmu_handler_entry_fn(void);

/* Defines the plugin's entry. The arguments are designated initialisers of struct tcmu_handler,
 * except abi, size and sizes. In C++ they come in the order of the members; C++11 to C++17 take
 * them as an extension of the compiler, about which this macro does not let it warn. */
#ifdef __cplusplus
/* clang-format off */
#define TCMU_HANDLER_PRAGMAS \
	_Pragma("GCC diagnostic push") \
	_Pragma("GCC diagnostic ignored \"-Wpragmas\"") \
	_Pragma("GCC diagnostic ignored \"-Wunknown-warning-option\"") \
	_Pragma("GCC diagnostic ignored \"-Wpedantic\"") \
	_Pragma("GCC diagnostic ignored \"-Wc++20-extensions\"") \
	_Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"")
#define TCMU_HANDLER(...) \
	extern "C" __attribute__((visibility("default"))) const struct tcmu_handler * \
	tcmu_handler_entry(void); \
	extern "C" const struct tcmu_handler *tcmu_handler_entry(void) \
	{ \
		TCMU_HANDLER_PRAGMAS \
		static const struct tcmu_sizes sizes = TCMU_SIZES; \
		static struct tcmu_handler self = {__VA_ARGS__}; \
		_Pragma("GCC diagnostic pop"); \
		self.abi = TCMU_HANDLER_ABI; \
		self.size = sizeof(struct tcmu_handler); \
		self.sizes = &sizes; \
		return &self; \
	} \
	static_assert(sizeof(struct tcmu_handler) <= UINT32_MAX, "size fits")
/* clang-format on */
#else
#define TCMU_HANDLER(...) \
	static const struct tcmu_sizes tcmu_handler_sizes = TCMU_SIZES; \
	static const struct tcmu_handler tcmu_handler_self = { \
		.abi = TCMU_HANDLER_ABI, \
		.size = sizeof(struct tcmu_handler), \
		.sizes = &tcmu_handler_sizes, \
		__VA_ARGS__}; \
	__attribute__((visibility("default"))) const struct tcmu_handler *tcmu_handler_entry( \
		void); \
	const struct tcmu_handler *tcmu_handler_entry(void) \
	{ \
		return &tcmu_handler_self; \
	} \
	_Static_assert(sizeof(struct tcmu_handler) <= UINT32_MAX, "size fits")
#endif

/* Completes a request: exactly once, from any thread, also within submit. error: 0 or negative
 * errno. The request and its buffers must not be used afterwards. */
static inline void tcmu_io_complete(struct tcmu_io *io, int error)
{
	io->host->complete(io, error);
}

/* Writes the reason of a refusal, as printf() does. It is cut at the end of reason->text, so name
 * the cause before a path.
 *
 * Returns error. */
__attribute__((format(printf, 3, 4))) static inline int tcmu_refuse(
	struct tcmu_reason *reason, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void) vsnprintf(reason->text, sizeof(reason->text), format, arguments);
	va_end(arguments);
	return error;
}

/* Adds to a counter of host->counters(), which may be NULL. Any thread. */
static inline void tcmu_counter_add(uint64_t *counters, unsigned index, uint64_t number)
{
	if (counters)
		__atomic_fetch_add(&counters[index], number, __ATOMIC_RELAXED);
}

/* Sets a gauge. Any thread. */
static inline void tcmu_counter_set(uint64_t *counters, unsigned index, uint64_t number)
{
	if (counters)
		__atomic_store_n(&counters[index], number, __ATOMIC_RELAXED);
}

/* Makes a system call for a request, without blocking. Only an ASYNC handler may call it, in submit
 * or in a done callback. The caller fills *aio except io and engine, and keeps it until aio->done
 * runs. Errors come through done. */
static inline void tcmu_io_aio(struct tcmu_io *io, struct tcmu_aio *aio)
{
	io->host->aio(io, aio);
}

#ifdef __cplusplus
}
#endif
