/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a config string. The table is in options.c.
 */
#pragma once

#include <stdbool.h>

#include <tcmu/handler.h>

/* The order of the option table. */
enum file_option {
	FILE_DIRECT,
	FILE_CREATE,
	FILE_GROW,
	FILE_SHRINK,
	FILE_DISCARD,
	FILE_DECODE,
	FILE_OPTIONS,
};

extern const struct tcmu_option file_options[FILE_OPTIONS + 1];

/* Whether an image with a header of another format is refused. Under the subtype qcow, an initiator
 * would otherwise see the header as the first blocks of its disk. */
extern const bool file_raw_only;

/* The value of a boolean option. */
bool file_option(const struct tcmu_config *config, enum file_option option);
