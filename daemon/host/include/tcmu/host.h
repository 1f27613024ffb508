/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosting handler plugins without kernel, daemon and root
 *
 * A program loads a plugin for tcmud and uses it as a disk. It needs no privilege. The code is the
 * daemon's: the check of the plugin, the parser of config strings, the asynchronous system calls
 * and the pools of threads.
 *
 * A disk has an I/O thread. The submit of a TCMU_HANDLER_ASYNC handler runs there, and so do all
 * done callbacks. The submit of a SERIAL or PARALLEL handler runs on worker threads. Every other
 * function of a handler runs on the thread of the caller.
 *
 * The host keeps the daemon's promises: it passes on no request that is not aligned, lies beyond
 * the end of the disk, or is not among the handler's capabilities. It reports a handler that does
 * not keep its promises by the violation callback of struct tcmu_disk_setup.
 *
 * Every function may be called on any thread where nothing else is said. Errors are negative errno.
 * Running out of memory ends the process.
 */
#pragma once

#include <tcmu/handler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_plugin;
struct tcmu_disk;

/* How a program wants a disk. Callbacks run on any thread and must not block; each may be NULL. */
struct tcmu_disk_setup {
	uint32_t size;       /* of this structure */
	uint32_t block_size; /* bytes of a logical block */
	uint64_t disk_size;  /* bytes; a multiple of block_size */
	bool must_exist;     /* the store was served before: nothing is created or extended */
	bool threads_only;   /* system calls by threads, not by io_uring */
	/* Keep requests for long after their completion, to notice a handler that uses them. */
	bool strict;
	bool debug;     /* the handler logs TCMU_LOG_DEBUG lines, too */
	void *userdata; /* for the callbacks */
	void (*log)(void *userdata, enum tcmu_log_level level, const char *line);
	void (*event)(void *userdata, enum tcmu_backend_event event, int64_t value);
	/* The handler has broken its contract; what is a sentence. */
	void (*violation)(void *userdata, const char *what);
	/* The handler's words about the backend: "waiting for OSD 12". NULL: all is well. */
	void (*health)(void *userdata, const char *text);
};

/* Runs when a request has ended, on the disk's I/O thread. It must not block; it may submit and
 * cancel. error: 0 or negative errno. result and result_flags are those of struct tcmu_io. */
typedef void tcmu_disk_done_fn(void *userdata, int error, uint64_t result, uint32_t result_flags);

/* A SCSI command, and its answer. */
struct tcmu_disk_command {
	uint32_t size; /* of this structure */
	uint32_t cdb_length;
	uint8_t cdb[32];
	uint8_t status;    /* of SAM */
	uint8_t sense[96]; /* zeros, until the handler fills it */
};

struct tcmu_disk_request {
	uint32_t size; /* of this structure */
	enum tcmu_io_op op;
	uint32_t flags; /* TCMU_IO_ bits */
	unsigned iov_cnt;
	const struct iovec *iov; /* copied; the buffers stay until done */
	uint64_t offset;
	uint64_t length;
	tcmu_disk_done_fn *done;
	void *userdata;
	/* COMMAND, whose length is any; it stays until done. Its status and sense are set then, and
	 * the result is the bytes of data-in. -EOPNOTSUPP: the handler leaves it to the daemon. */
	struct tcmu_disk_command *command;
};

/* Faults of a system call that a handler asks for by tcmu_io_aio(). */
enum tcmu_disk_fault_kind {
	TCMU_FAULT_FAIL = 1, /* it is not made, and ends with value, a negative errno */
	TCMU_FAULT_SHORT,    /* it transfers value bytes at most */
	TCMU_FAULT_DELAY,    /* it is made, and ends value milliseconds later */
	TCMU_FAULT_STICK,    /* it is not made until tcmu_disk_unstick() or a cancellation */
};

struct tcmu_disk_fault {
	uint32_t size; /* of this structure */
	enum tcmu_disk_fault_kind kind;
	enum tcmu_aio_op op; /* 0: every operation */
	unsigned first;      /* the first call that it befalls, 1 is the next one */
	unsigned count;      /* so many calls; 0: all from then on */
	int64_t value;
};

struct tcmu_disk_stats {
	uint32_t size; /* of this structure */
	unsigned in_flight;
	uint64_t requests;       /* submitted since open */
	uint64_t system_calls;   /* that the handler has asked for */
	uint64_t longest_submit; /* nanoseconds that submit of an ASYNC handler took */
};

/* Loads a plugin: name is the path of a file, or a subtype, whose plugin is in the directory of
 * the installed handlers. The main thread, before other threads use the library.
 *
 * Returns 0 with *plugin, or an error with a reason:
 *
 * -ENOENT: there is no such file
 * -EPERM: others than root and this user may change the file
 * -EPROTO: it is built for another version of the interface
 * -ELIBACC: it cannot be loaded */
int tcmu_plugin_load(const char *name, struct tcmu_plugin **plugin, struct tcmu_reason *reason);

/* Frees what tcmu_plugin_load() has made. The code of the plugin stays loaded. Takes NULL. */
void tcmu_plugin_free(struct tcmu_plugin *plugin);

/* Gives access to the table of the plugin.
 *
 * Returns the description of the plugin, as far as this library knows its members. */
const struct tcmu_handler *tcmu_plugin_handler(const struct tcmu_plugin *plugin);

/* Names the file of the plugin.
 *
 * Returns its path. */
const char *tcmu_plugin_path(const struct tcmu_plugin *plugin);

/* Describes config strings for people.
 *
 * Returns a text with all options, to be freed by free(). */
char *tcmu_plugin_help(const struct tcmu_plugin *plugin);

/* Checks a config string: the text after "<subtype>/", with options, as targetcli takes it. Calls
 * check_config of the handler. disk_size and block_size: 0 if they are not known.
 *
 * Returns 0, or an error with a reason. */
int tcmu_plugin_check(
	const struct tcmu_plugin *plugin, const char *config, uint64_t disk_size,
	uint32_t block_size, struct tcmu_reason *reason);

/* Reads the name of the backing store of a config string without opening it; empty if the handler
 * does not say. size: bytes of claim.
 *
 * Returns 0, or an error with a reason. */
int tcmu_plugin_claim(
	const struct tcmu_plugin *plugin, const char *config, char *claim, size_t size,
	struct tcmu_reason *reason);

/* Opens a disk, which is to be closed before the plugin is freed.
 *
 * Returns 0 with *disk, or an error with a reason. */
int tcmu_disk_open(
	const struct tcmu_plugin *plugin, const char *config, const struct tcmu_disk_setup *setup,
	struct tcmu_disk **disk, struct tcmu_reason *reason);

/* Waits until nothing is in flight, and closes the disk. Nobody else uses it any more. Takes NULL.
 */
void tcmu_disk_close(struct tcmu_disk *disk);

/* Gives access to what the handler says of the backend. It changes in tcmu_disk_resize() only.
 *
 * Returns the properties of the backend. */
const struct tcmu_backend_info *tcmu_disk_info(const struct tcmu_disk *disk);

/* Reads the size of the disk.
 *
 * Returns bytes. */
uint64_t tcmu_disk_size(const struct tcmu_disk *disk);

/* Changes the size of the disk, while I/O goes on.
 *
 * Returns 0, or an error with a reason:
 *
 * -EOPNOTSUPP: the handler has no resize */
int tcmu_disk_resize(struct tcmu_disk *disk, uint64_t disk_size, struct tcmu_reason *reason);

/* Starts a request. *id: its number, for tcmu_disk_cancel(); id may be NULL.
 *
 * Returns 0 if done will be called, or an error if it will not:
 *
 * -EINVAL: the range is not aligned, is empty, lies beyond the end, is longer than the backend
 * takes at once, or differs from the buffers
 * -EOPNOTSUPP: the handler does not have the operation */
int tcmu_disk_submit(struct tcmu_disk *disk, const struct tcmu_disk_request *request, uint64_t *id);

/* Carries out a request that has no done callback, and waits for its end. Not in a done callback.
 * *result and *flags: those that a done callback would get; NULL: not wanted.
 *
 * Returns the error of the request, or one of those of tcmu_disk_submit(). */
int tcmu_disk_run(
	struct tcmu_disk *disk, const struct tcmu_disk_request *request, uint64_t *result,
	uint32_t *flags);

/* Carries out a request with one buffer, and waits for its end. Not in a done callback.
 *
 * Returns the error of the request, or one of those of tcmu_disk_submit(). */
int tcmu_disk_io(
	struct tcmu_disk *disk, enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer,
	uint64_t length);

/* Asks that a request ends soon. It ends as usual, with -ECANCELED or with its result. A request
 * that has ended is left alone. */
void tcmu_disk_cancel(struct tcmu_disk *disk, uint64_t id);

/* Waits until nothing is in flight.
 *
 * Returns 0, or an error:
 *
 * -ETIMEDOUT: requests are still in flight after so many milliseconds */
int tcmu_disk_drain(struct tcmu_disk *disk, unsigned milliseconds);

/* Writes a list of the requests in flight to text, for people, as far as it fits. */
void tcmu_disk_describe(struct tcmu_disk *disk, char *text, size_t size);

/* Gives access to the handler's own counters, for tcmu_disk_read_counter().
 *
 * Returns their table, which ends with a NULL name; NULL: there are none. */
const struct tcmu_counter *tcmu_disk_counters(const struct tcmu_disk *disk);

/* Reads a counter by its place in the table.
 *
 * Returns its value. */
uint64_t tcmu_disk_read_counter(const struct tcmu_disk *disk, unsigned index);

/* Fills *stats, whose size is set. */
void tcmu_disk_read_stats(struct tcmu_disk *disk, struct tcmu_disk_stats *stats);

/* Injects a fault into system calls that an ASYNC handler asks for from now on; at most 16. */
void tcmu_disk_inject(struct tcmu_disk *disk, const struct tcmu_disk_fault *fault);

/* Removes all faults. Calls that are stuck stay stuck. */
void tcmu_disk_clear_faults(struct tcmu_disk *disk);

/* Makes the system calls that are stuck. */
void tcmu_disk_unstick(struct tcmu_disk *disk);

/* Calls lock of the handler, which must have it.
 *
 * Returns the handler's result, with a reason. */
int tcmu_disk_lock(struct tcmu_disk *disk, uint16_t tag, struct tcmu_reason *reason);

/* Calls unlock of the handler, which must have it.
 *
 * Returns the handler's result. */
int tcmu_disk_unlock(struct tcmu_disk *disk);

/* Calls lock_state of the handler, which must have it.
 *
 * Returns the handler's result. */
int tcmu_disk_lock_state(struct tcmu_disk *disk, bool *ours, uint16_t *tag);

/* Calls abandon of the handler, which must have it. */
void tcmu_disk_abandon(struct tcmu_disk *disk);

#ifdef __cplusplus
}
#endif
