/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in a file that makes trouble when it is told to, for tests of everything that must bear
 * it.
 *
 * trouble.c: what goes wrong, and waiting. open.c: from a config string to a backend, and its end.
 * io.c: requests. fault.c: the table that the daemon sees.
 *
 * It is built twice: `fault` copies between buffers and file by itself, `fault_sys` leaves that to
 * system calls. A backend does not change after open but for its counters and what is under `lock`.
 * Requests are made by several threads at once.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tcmu/handler.h>

/* The order of the option table. */
enum fault_option {
	FAULT_CHECK_HANG,
	FAULT_CHECK_HANG_FILE,
	FAULT_OPEN_DELAY_MS,
	FAULT_OPEN_HANG,
	FAULT_OPEN_HANG_FILE,
	FAULT_OPEN_ERROR,
	FAULT_RESIZE_HANG,
	FAULT_RESIZE_HANG_FILE,
	FAULT_RESIZE_ERROR,
	FAULT_CLOSE_HANG,
	FAULT_CLOSE_HANG_FILE,
	FAULT_HOLD_FILE,
	FAULT_DELAY_MS,
	FAULT_ERROR,
	FAULT_OPS,
	FAULT_WHEN,
	FAULT_CANCEL,
	FAULT_FAIL_AFTER,
	FAULT_OPTIONS,
};

extern const struct tcmu_option fault_options[FAULT_OPTIONS + 1];

/* The choices of FAULT_OPS: what hold_file and delay_ms befall. */
enum fault_ops {
	OPS_ALL,
	OPS_READ,
	OPS_WRITE,
	OPS_FLUSH,
	OPS_UNMAP,
	OPS_WRITE_ZEROES,
};

/* The choices of FAULT_WHEN. */
enum fault_when {
	WHEN_BEFORE, /* the request is made */
	WHEN_AFTER,
};

#define FAULT_ERRORS_MAX 8
#define FAULT_OP_CNT     (TCMU_IO_MAP + 1)

/* Every request of op, or the nth only, ends with error. */
struct fault_error {
	enum tcmu_io_op op; /* 0: any */
	int error;          /* negative errno */
	uint64_t nth;       /* 0: every one */
};

/* One of the calls that may hang. */
struct fault_hang {
	bool forever;
	char file[TCMU_CONFIG_MAX + 1]; /* as long as it exists; empty: no such file */
};

struct fault_backend {
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	int fd;
	struct fault_hang close_hang;
	struct fault_hang hold; /* of requests */
	uint64_t delay_ms;
	enum fault_ops ops;
	enum fault_when when;
	bool cancel;
	uint64_t fail_after; /* 0: never */
	struct fault_error errors[FAULT_ERRORS_MAX];
	unsigned error_cnt;
	atomic_uint_fast64_t requests;
	atomic_uint_fast64_t requests_of[FAULT_OP_CNT];

	pthread_mutex_t lock;
	pthread_cond_t cancelled; /* a request has been, or what waits looks again */
};

/* At io->priv. */
struct fault_request {
	uint64_t nth;   /* of its op, from 1 */
	bool cancelled; /* under lock */
};

/* Sets the reason; returns error. */
__attribute__((format(printf, 3, 4))) int fault_refuse(
	struct tcmu_reason *reason, int error, const char *format, ...);

/* ------- trouble.c ------- */

/* The hang of two options of the table. */
struct fault_hang fault_hang_of(
	const struct tcmu_config *config, enum fault_option forever, enum fault_option file);

/* Returns when the hang is over. Not with anything locked. */
void fault_hang(const struct fault_hang *hang);

void fault_delay(uint64_t ms);

/* "EIO" is -EIO; 0: no such name. */
int fault_errno(const char *name, size_t length);

/* OP:ERRNO[:NTH][+OP:ERRNO[:NTH]]...; a point will do for a colon. Returns how many, or -EINVAL. */
int fault_parse_errors(const char *text, struct fault_error errors[FAULT_ERRORS_MAX]);

/* What is to befall the request, wherever it has got to: waits, then 0 or the error it shall end
 * with. */
int fault_befall(struct fault_backend *backend, const struct tcmu_io *io);

/* ------- open.c ------- */

int fault_check_config(const struct tcmu_config *config, struct tcmu_reason *reason);
int fault_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason);
void fault_close(void *backend);
int fault_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason);

/* ------- io.c ------- */

void fault_submit(void *backend, struct tcmu_io *io);
void fault_cancel(void *backend, struct tcmu_io *io);
