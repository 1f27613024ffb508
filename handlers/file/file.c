/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that the daemon sees.
 */
#include "file.h"

#if FILE_RAW_ONLY
#define FILE_OF_ITS_KIND "a raw image; qcow images are refused"
#else
#define FILE_OF_ITS_KIND "a missing file is created"
#endif

const struct tcmu_option file_options[FILE_OPTIONS + 1] = {
	[FILE_DIRECT] =
		{.name = "direct",
		 .type = TCMU_OPTION_BOOL,
		 .def = "0",
		 .help = "past the page cache (O_DIRECT)"},
	[FILE_CREATE] =
		{.name = "create",
		 .type = TCMU_OPTION_BOOL,
		 .def = FILE_RAW_ONLY ? "0" : "1",
		 .help = "create a missing file, sparse, with mode 0600"},
	[FILE_GROW] =
		{.name = "grow",
		 .type = TCMU_OPTION_BOOL,
		 .def = "0",
		 .help = "extend a file that is shorter than the device"},
	[FILE_SHRINK] =
		{.name = "shrink",
		 .type = TCMU_OPTION_BOOL,
		 .def = "0",
		 .help = "a resize may make the device smaller; the file keeps its length"},
	[FILE_DISCARD] =
		{.name = "discard",
		 .type = TCMU_OPTION_BOOL,
		 .def = "1",
		 .help = "UNMAP gives space back, where the store can"},
	[FILE_DECODE] =
		{.name = "decode",
		 .type = TCMU_OPTION_BOOL,
		 .def = "0",
		 .help = "%XX in the path is a byte: %2C a comma, %3A a colon, %20 a blank"},
};

const bool file_raw_only = FILE_RAW_ONLY;

TCMU_HANDLER(.subtype = FILE_SUBTYPE,
	     .name = FILE_RAW_ONLY ? "raw image" : "raw file or block device",
	     .config_desc = "the absolute path of a regular file or a block device, then options: "
			    "/path[;name=value]...; " FILE_OF_ITS_KIND,
	     .threading = TCMU_HANDLER_ASYNC, .flags = TCMU_HANDLER_SYSCALLS_ONLY,
	     .io_priv_size = sizeof(struct file_request), .options = file_options,
	     .check_config = file_check_config, .open = file_open, .close = file_close,
	     .submit = file_submit, .cancel = file_cancel, .resize = file_resize,
	     .claim = file_identify);
