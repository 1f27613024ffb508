/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a config string. The table is in options.c.
 */
#pragma once

#include <tcmu/handler.h>

/* The order of the option table. */
enum image_option {
	IMAGE_CONF,
	IMAGE_ID,
	IMAGE_OSD_OP_TIMEOUT,
	IMAGE_OPTIONS,
};

extern const struct tcmu_option image_options[IMAGE_OPTIONS + 1];
