/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for a handler plugin, without kernel, daemon and root: it loads the plugin, opens a
 * device, submits requests, and makes the plugin's system calls with the daemon's own I/O engine,
 * in turns. In a turn everything that was asked for is called and has ended before the plugin hears
 * of it, so a test runs the same way every time.
 *
 * It watches the contract: a request is completed once and not touched afterwards; a plugin that
 * says so (TCMU_HANDLER_SYSCALLS_ONLY) cannot reach a buffer but through system calls; nothing is
 * in flight at close. A breach fails the test. And it makes system calls fail, fall short, or get
 * stuck.
 *
 * Everything is called by the test's own thread.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include <tcmu/handler.h>

#include "aio.h"
#include "workers.h"

#define FAKE_AIO_OPS 16

struct fake_host {
	const struct tcmu_handler *handler;
	enum aio_kind kind; /* of the engine */
	bool read_only;     /* for the next open or check_config */

	/* of the open device */
	struct tcmu_backend_info info;
	struct tcmu_reason reason; /* of the last refusal */

	/* what the plugin said */
	unsigned events;
	enum tcmu_backend_event event; /* the last one */
	int64_t event_value;
	char log[256]; /* the last line */

	/* what it asked for, since open */
	unsigned calls[FAKE_AIO_OPS];       /* by enum tcmu_aio_op */
	struct tcmu_aio last[FAKE_AIO_OPS]; /* the last of each; do not follow its pointers */
	int64_t last_result[FAKE_AIO_OPS];

	struct fake_inside *inside;
};

/* plugin: its path; environment TCMUD_TEST_HANDLERS: another folder than the one in it. An I/O
 * engine of this kind is made if the plugin is an asynchronous one. */
struct fake_host *fake_host_new(const char *plugin, enum aio_kind kind);

/* The same for a plugin that is linked with the test. */
struct fake_host *fake_host_with(const struct tcmu_handler *handler, enum aio_kind kind);

/* Closes the device if it is open. Takes NULL. */
void fake_host_free(struct fake_host *host);

/* What WRITE SAME repeats. */
#define FAKE_SAME_BLOCK 512u

/* config: what stands after "<subtype>/", with options. As the plugin says, or -EINVAL for an
 * option that is not in its table; the reason is in host->reason, empty if there was none. */
int fake_check(struct fake_host *host, const char *config, uint64_t size, uint32_t block_size);
int fake_identify(struct fake_host *host, const char *config, char *claim, size_t claim_size);
int fake_open(struct fake_host *host, const char *config, uint64_t size, uint32_t block_size);
int fake_resize(struct fake_host *host, const char *config, uint64_t size);
void fake_close(struct fake_host *host);
int fake_lock(struct fake_host *host, uint16_t tag);
int fake_unlock(struct fake_host *host);
int fake_lock_state(struct fake_host *host, bool *ours, uint16_t *tag);

/* Waits until the plugin has told so many events since open, up to half a minute. */
void fake_wait_events(struct fake_host *host, unsigned events);

/* ------- requests ------- */

struct fake_io {
	struct tcmu_io io;
	struct fake_host *host;
	struct fake_io *next;
	bool submitted;
	bool done;
	int error;
	uint8_t *data;      /* its buffer; not to be touched while it is under way */
	size_t data_length; /* a multiple of the page size */
	struct iovec *iov;
	struct iovec *own_iov; /* the plugin's copy while it is under way */
	struct work work;
};

/* A request with a buffer of length bytes, for COMPARE AND WRITE twice that, at the start of a
 * page. It is filled with 0xEE. */
struct fake_io *fake_io_new(
	struct fake_host *host, enum tcmu_io_op op, uint64_t offset, uint64_t length);

/* Its buffer in pieces: of piece bytes, the last one what is left; gap bytes lie before each. */
void fake_io_split(struct fake_io *io, size_t piece, size_t gap);

/* Copies length bytes to or from the buffer, wherever its pieces are. */
void fake_io_fill(struct fake_io *io, const void *data, size_t length);
void fake_io_fetch(struct fake_io *io, void *data, size_t length);

void fake_io_submit(struct fake_io *io);

/* Turns until it is done. Returns its error. */
int fake_io_wait(struct fake_io *io);

/* As the daemon does it: first the system calls under way, then the plugin. */
void fake_io_cancel(struct fake_io *io);

/* As when the system calls under way cannot be stopped any more. */
void fake_io_cancel_late(struct fake_io *io);

void fake_io_free(struct fake_io *io);

/* Turns until nothing goes on but what is stuck. */
void fake_turn(struct fake_host *host);

/* Whole requests: the error they end with. */
int fake_read(struct fake_host *host, uint64_t offset, void *data, size_t length);
int fake_write(
	struct fake_host *host, uint64_t offset, const void *data, size_t length, uint32_t flags);
int fake_do(
	struct fake_host *host, enum tcmu_io_op op, uint64_t offset, uint64_t length,
	uint32_t flags);

/* ------- faults ------- */

enum fake_fault {
	FAKE_FAIL,   /* not called; it ends with value */
	FAKE_RESULT, /* called; it ends with value whatever came of it */
	FAKE_SHORT,  /* called for value bytes only */
	FAKE_STICK,  /* not called, until fake_unstick() or a cancellation */
	FAKE_DELAY,  /* called; it does not end until fake_unstick() */
};

/* Befalls the nth call of op from now on (1: the next). */
void fake_fault(
	struct fake_host *host, enum tcmu_aio_op op, unsigned nth, enum fake_fault fault,
	int64_t value);

/* Befalls every call of op from now on. */
void fake_fault_always(
	struct fake_host *host, enum tcmu_aio_op op, enum fake_fault fault, int64_t value);

/* No faults any more. What is stuck stays so. */
void fake_no_faults(struct fake_host *host);

/* What is stuck goes on with the next turn. */
void fake_unstick(struct fake_host *host);

/* What is stuck ends with this result. */
void fake_end_stuck(struct fake_host *host, int64_t res);
unsigned fake_stuck(const struct fake_host *host);
