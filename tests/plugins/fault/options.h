/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a config string. The table is in options.c.
 */
#pragma once

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

/* The choices of FAULT_OPS: the requests that hold_file and delay_ms apply to. */
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
	WHEN_BEFORE, /* the request is carried out */
	WHEN_AFTER,
};
