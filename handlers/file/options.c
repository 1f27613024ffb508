/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options.
 */
#include "options.h"

#include <assert.h>

const struct tcmu_option file_options[FILE_OPTIONS + 1] = {
	[FILE_DIRECT] =
		{.name = "direct",
		 .type = TCMU_OPTION_BOOL,
		 .def = "0",
		 .help = "bypass the page cache (O_DIRECT)"},
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
		 .help = "UNMAP frees space if the store can"},
	[FILE_DECODE] =
		{.name = "decode",
		 .type = TCMU_OPTION_BOOL,
		 .def = "0",
		 .help = "%XX in the path is a byte: %2C a comma, %3A a colon, %20 a blank"},
};

const bool file_raw_only = FILE_RAW_ONLY;

bool file_option(const struct tcmu_config *config, enum file_option option)
{
	assert(option < FILE_OPTIONS);
	return config->values[option].number != 0;
}
