/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that all modules of one device's I/O thread share: its setup, the logical unit, the
 * ring with its lock, and how far the service has come. It includes no module above it; calls
 * upwards go through function pointers in the command or the setup.
 *
 * The ring lock is a mutex that the I/O thread holds exactly while it touches the ring in user
 * space. It holds it neither while a handler runs nor while it waits for storage or sleeps: so
 * another thread can always take the ring away, however stuck the I/O thread is. It is the
 * innermost lock.
 *
 * Everything belongs to the I/O thread but for the members that say otherwise.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/handler.h>
#include <tcmu/ring.h>
#include <tcmu/scan.h>
#include <tcmu/uio.h>

#include "aio/aio.h"
#include "base/list.h"
#include "base/rate-limit.h"
#include "io/stats.h"
#include "notes/notes.h"
#include "wait/wait.h"

struct command_pool;
struct submit;

/* The signals of an I/O thread: bits of one word. A signal that is not taken is not sent twice. */
#define IO_SIGNAL_ATTACHED      (1u << 0) /* the ring is mapped: commands are served */
#define IO_SIGNAL_UNREGISTERED  (1u << 1) /* uio reports that the kernel's device is gone */
#define IO_SIGNAL_RING_BROKEN   (1u << 2) /* the ring could not be attached, or is corrupt */
#define IO_SIGNAL_NEEDS_LU_INFO (1u << 3) /* commands wait for io_thread_set_lu_info() */
#define IO_SIGNAL_ENDED \
	(1u << 4) /* the last one: io_thread_free() may be called, and the handler be closed */
#define IO_SIGNAL_FORMAT   (1u << 5) /* io_thread_format_state() has changed */
#define IO_SIGNAL_DEFERRED (1u << 6) /* a command waits for io_thread_deferred_done() */
#define IO_SIGNAL_WANTS_LOCK \
	(1u << 7)                /* a command was refused that io_thread_set_permission() forbids */
#define IO_SIGNAL_IDLE (1u << 8) /* io_thread_is_idle() may have become true */
#define IO_SIGNAL_RING_RESET \
	(1u << 9) /* somebody else has reset the ring: nothing is fetched or answered */
#define IO_SIGNAL_RING_IDLE \
	(1u << 10) /* then: nothing that was fetched before is in flight; the device blocks the \
		      kernel, resets the ring and calls io_thread_reattach() */
#define IO_SIGNAL_WRITE_CACHE \
	(1u << 11) /* io_thread_set_write_cache(false) is in force and all that was written \
		      before is stable, or it has failed */
#define IO_SIGNAL_TIMED_OUT (1u << 12) /* the backend has not answered a request in time */

/* Which requests may go to the backend; the others are answered BUSY. */
enum io_permission {
	IO_PERMIT_ALL,
	IO_PERMIT_READS,
	IO_PERMIT_NONE,
};

/* How the ring is found. */
enum io_thread_start {
	IO_THREAD_FRESH,     /* nobody has used it before, or its last user left nothing behind */
	IO_THREAD_RECOVERED, /* its last user died and left notes: what they say is done first,
				while the kernel is blocked; then the ring counts as reset */
};

/* The parameters of an I/O thread; copied. The pointers live as long as the thread. */
struct io_thread_setup {
	const char *name;        /* for the names of threads */
	struct tcmu_name device; /* the directory in configfs, for the recovery */
	unsigned minor;          /* of the uio device */
	enum io_thread_start start;
	enum aio_kind aio;
	unsigned depth; /* commands in flight at most */
	struct rate_limits limits;
	uint64_t command_timeout; /* ns after which the kernel gives a command up (cmd_time_out);
				     0: never */
	unsigned
		busy_poll; /* percent of a CPU that waiting awake may cost, see wait/wait-tuner.h */
	const struct tcmu_handler *handler;
	void *backend;
	const struct tcmu_host *host;
	struct tcmu_host_device *host_device;
	struct tcmu_backend_info info;
	struct scsi_lu lu;
	bool cache_is_off;   /* lu.write_cache was saved as off: it is flushed first */
	struct stats *stats; /* outlives the thread; NULL: nothing is counted */
	/* Likewise, and the thread's until it ends. NULL: none are made, because others may write
	 * to the store. */
	struct notes *notes;
	const atomic_bool *tracing; /* whether each command is passed to trace(); NULL: none is */
	/* As signal. */
	void (*trace)(void *userdata, const uint8_t *cdb, uint8_t cdb_length, uint64_t data_length);
	enum io_permission permission;
	void (*signal)(void *userdata, uint32_t bits); /* from the I/O thread; must not block */
	void *userdata;                                /* of trace and signal */
};

/* How far the service has come; it only grows. */
enum core_service {
	CORE_SERVING,
	CORE_DRAINING,  /* fetches no more; ends when nothing is in flight */
	CORE_ABANDONED, /* also: nobody waits for the commands in flight; the backend gets no more
			   requests */
	CORE_UNREGISTERED, /* also: the kernel's device is gone */
};

/* Under the ring lock. */
enum core_ring_state {
	CORE_RING_NONE,      /* not mapped yet */
	CORE_RING_RECOVERED, /* left by a user who died: nothing is fetched; noted commands are
				finished and answered, then it is stale */
	CORE_RING_ATTACHED,
	CORE_RING_STALE,   /* it was reset: the kernel has answered the commands fetched before */
	CORE_RING_IDLE,    /* and none of them is in flight any more: it can be attached again */
	CORE_RING_BROKEN,  /* not attached, or corrupt: nothing is fetched or answered any more */
	CORE_RING_REVOKED, /* the mapping is no longer the kernel's; final */
};

struct core {
	struct io_thread_setup setup;  /* setup.backend changes while nothing is in flight; setup.lu
					  is the logical unit as it is now */
	struct tcmu_backend_info info; /* core_set_info() alone changes it */
	uint64_t most_at_once;         /* bytes that the backend takes at once, whatever the
					  operation is */
	enum core_service service;
	bool faulted;       /* the backend has failed: commands that need the medium are refused */
	bool rate_limited;  /* the device has rate limits */
	bool joins;         /* the handler wants pieces that are neighbours as one */
	bool flat;          /* the handler takes one piece */
	bool cancel_wanted; /* there are commands to be cancelled */
	bool late;          /* there may be late commands, see io/late.h */
	bool ring_late;     /* the commands in the ring are late when they are fetched */
	bool ring_refused;  /* and get BUSY: another host may have written meanwhile */
	unsigned cache_ending; /* flushes in flight that are to switch the write cache off */
	uint64_t ring_read;    /* how far the ring has been fetched, in bytes; it only grows */
	unsigned xcopy_pieces; /* requests of xcopies that this device carries out */
	bool xcopy_waits;      /* the next of them waits for late commands in the ring */
	unsigned permission_generation; /* number of the control request that the permission of
					   requests is from; see submit_set_permission() */
	struct wait wait;
	struct command_pool *pool;
	struct submit *submit;
	struct list ready; /* commands that are decided and not started */
	struct list ended; /* commands to be completed to the kernel */
	uint8_t *data;     /* SCSI_DATA_MAX bytes for the answers of emulated commands */
	int error;         /* why IO_SIGNAL_RING_BROKEN, -errno; 0: it was not signalled */
	char error_text[160];

	pthread_mutex_t ring_lock;
	bool ring_locked; /* by the I/O thread, which alone reads and writes this */
	enum core_ring_state ring_state;
	struct tcmu_uio uio;
	struct tcmu_ring ring;
	bool clean; /* valid at the end: every command that was fetched has been answered */
};

/* The core whose I/O thread the calling thread is; NULL: it is another thread. */
extern __thread struct core *core_current __attribute__((tls_model("initial-exec")));

/* Copies the setup. -errno: nothing is left; core_destroy() may be called. Any thread. */
int core_init(struct core *core, const struct io_thread_setup *setup);

/* Another description of the backend. I/O thread. */
void core_set_info(struct core *core, const struct tcmu_backend_info *info);

/* Bytes that the backend takes at once for an operation, in whole blocks; UINT64_MAX: any. I/O
 * thread. */
uint64_t core_most_at_once(const struct core *core, enum tcmu_io_op op);

/* After the I/O thread has ended. Any thread. */
void core_destroy(struct core *core);

/* I/O thread. Not while it holds the lock already. */
void core_lock_ring(struct core *core);
void core_unlock_ring(struct core *core);

/* Passes IO_SIGNAL_ bits to the device on the main thread. I/O thread. */
void core_signal(struct core *core, uint32_t bits);

/* The service goes on to at least this state. I/O thread. */
void core_set_service(struct core *core, enum core_service service);

/* Under the ring lock, I/O thread: the ring cannot be used. error: -errno. text: a sentence,
 * copied. Signals once. */
void core_break_ring(struct core *core, int error, const char *text);

/* The kernel's device is gone: stop at once, without a request to. Signals once. I/O thread. */
void core_set_unregistered(struct core *core);

/* Opens and maps uio and attaches the ring. Signals IO_SIGNAL_ATTACHED or IO_SIGNAL_RING_BROKEN, or
 * neither where the ring was revoked before or is CORE_RING_RECOVERED now. I/O thread, without the
 * ring lock. */
void core_attach(struct core *core);

/* Under the ring lock, I/O thread: attaches an idle ring again. Signals as core_attach(). */
void core_attach_again(struct core *core);

/* Unmaps the ring and closes uio; core->clean is valid afterwards. I/O thread, without the ring
 * lock. */
void core_detach(struct core *core);

/* Under the ring lock, which the caller has locked by itself, any thread: puts other memory over
 * the ring and closes uio. keep: memory that I/O may still read, cnt iovecs in the ring. -ENOMEM:
 * nothing was taken away. */
int core_revoke_ring(struct core *core, const struct iovec *keep, size_t cnt);
