/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file handler: the bytes of a device are those of a regular file or of a block device, from
 * its start.
 *
 * options.c: the table of options. target.c: from a config string to a file or block device.
 * check.c: the check of a config string. exclusive-open.c: keeps others off a block device. open.c:
 * descriptors, properties, resize. queue.c, io.c: requests. This file: the handler's table.
 */
#include "check.h"
#include "io.h"
#include "open.h"
#include "options.h"
#include "request.h"

#if FILE_RAW_ONLY
#define FILE_KIND "a raw image; qcow images are refused"
#else
#define FILE_KIND "a missing file is created"
#endif

TCMU_HANDLER(.subtype = FILE_SUBTYPE,
	     .name = FILE_RAW_ONLY ? "raw image" : "raw file or block device",
	     .config_desc = "the absolute path of a regular file or a block device, then options: "
			    "/path[;name=value]...; " FILE_KIND,
	     .threading = TCMU_HANDLER_ASYNC, .flags = TCMU_HANDLER_SYSCALLS_ONLY,
	     .io_priv_size = sizeof(struct file_request), .options = file_options,
	     .check_config = file_check_config, .open = file_open, .close = file_close,
	     .submit = file_submit, .cancel = file_cancel, .resize = file_resize,
	     .claim = file_claim_config);
