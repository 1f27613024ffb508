/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that the daemon sees.
 */
#include "image.h"

const struct tcmu_option image_options[IMAGE_OPTIONS + 1] = {
	[IMAGE_CONF] =
		{.name = "conf",
		 .type = TCMU_OPTION_STRING,
		 .help = "the cluster's configuration file, else where librados looks for it"},
	[IMAGE_ID] =
		{.name = "id",
		 .type = TCMU_OPTION_STRING,
		 .def = "admin",
		 .help = "the Ceph user, without \"client.\""},
	[IMAGE_OSD_OP_TIMEOUT] =
		{.name = "osd_op_timeout",
		 .type = TCMU_OPTION_UINT,
		 .def = "30",
		 .help = "seconds until a command that the cluster does not answer is given up; 0: "
			 "never"},
};

TCMU_HANDLER(.subtype = "rbd", .name = "Ceph RBD image",
	     .config_desc = "an image of a Ceph cluster, or a snapshot of one, then options: "
			    "pool[/namespace]/image[@snapshot][;name=value]...",
	     .threading = TCMU_HANDLER_ASYNC, .io_priv_size = sizeof(struct image_request),
	     .options = image_options, .check_config = image_check_config, .open = image_open,
	     .close = image_close, .submit = image_submit, .resize = image_resize,
	     .claim = image_identify, .flags = TCMU_HANDLER_REOPENS, .lock = image_lock,
	     .unlock = image_unlock, .lock_state = image_lock_state);
