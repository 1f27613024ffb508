/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault handler: a disk in a file that injects faults on request, to test everything that must
 * survive them.
 *
 * options.c: the table of options. inject.c: the faults, and waiting. open.c: from a config string
 * to a backend, and its end. io.c: requests. This file: the handler's table.
 *
 * It is built twice: `fault` copies between buffers and file by itself, `fault_sys` leaves that to
 * system calls.
 */
#include "backend.h"
#include "io.h"
#include "open.h"
#include "options.h"

TCMU_HANDLER(.subtype = FAULT_SUBTYPE, .name = "a file with injected faults, for tests",
	     .config_desc = "the absolute path of a regular file, then the faults to inject: "
			    "/path[;option=value]...",
	     .threading = TCMU_HANDLER_PARALLEL,
	     .flags = FAULT_COPIES ? 0 : TCMU_HANDLER_SYSCALLS_ONLY,
	     .io_priv_size = sizeof(struct fault_request), .workers = 64, .options = fault_options,
	     .check_config = fault_check_config, .open = fault_open, .close = fault_close,
	     .submit = fault_submit, .cancel = fault_cancel, .resize = fault_resize);
