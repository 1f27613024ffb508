/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options.
 */
#include "options.h"

const struct tcmu_option image_options[IMAGE_OPTIONS + 1] = {
	[IMAGE_CONF] =
		{.name = "conf",
		 .type = TCMU_OPTION_STRING,
		 .help = "the cluster's configuration file; default: the search path of librados"},
	[IMAGE_ID] =
		{.name = "id",
		 .type = TCMU_OPTION_STRING,
		 .def = "admin",
		 .help = "the Ceph user, without \"client.\""},
	[IMAGE_OSD_OP_TIMEOUT] =
		{.name = "osd_op_timeout",
		 .type = TCMU_OPTION_UINT,
		 .def = "30",
		 .help = "seconds until a command that the cluster does not answer fails; 0: "
			 "never"},
};
