/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options.
 */
#include "options.h"

static const char *const ops_choices[] = {
	[OPS_ALL] = "all",
	[OPS_READ] = "READ",
	[OPS_WRITE] = "WRITE",
	[OPS_FLUSH] = "FLUSH",
	[OPS_UNMAP] = "UNMAP",
	[OPS_WRITE_ZEROES] = "WRITE_ZEROES",
	NULL};
static const char *const when_choices[] = {[WHEN_BEFORE] = "before", [WHEN_AFTER] = "after", NULL};

#define OPTION(option_name, option_type, option_def, option_help) \
	{ \
		.name = (option_name), .type = (option_type), .def = (option_def), \
		.help = (option_help) \
	}

const struct tcmu_option fault_options[FAULT_OPTIONS + 1] = {
	[FAULT_CHECK_HANG] = OPTION(
		"check_hang", TCMU_OPTION_BOOL, "0", "CheckConfig never returns"),
	[FAULT_CHECK_HANG_FILE] = OPTION(
		"check_hang_file", TCMU_OPTION_STRING, NULL,
		"CheckConfig hangs while this file exists"),
	[FAULT_OPEN_DELAY_MS] = OPTION(
		"open_delay_ms", TCMU_OPTION_UINT, "0", "open takes so many milliseconds"),
	[FAULT_OPEN_HANG] = OPTION("open_hang", TCMU_OPTION_BOOL, "0", "open never returns"),
	[FAULT_OPEN_HANG_FILE] = OPTION(
		"open_hang_file", TCMU_OPTION_STRING, NULL, "open hangs while this file exists"),
	[FAULT_OPEN_ERROR] = OPTION(
		"open_error", TCMU_OPTION_STRING, NULL, "open fails with this errno"),
	[FAULT_RESIZE_HANG] = OPTION(
		"resize_hang", TCMU_OPTION_BOOL, "0", "a resize never returns"),
	[FAULT_RESIZE_HANG_FILE] = OPTION(
		"resize_hang_file", TCMU_OPTION_STRING, NULL,
		"a resize hangs while this file exists"),
	[FAULT_RESIZE_ERROR] = OPTION(
		"resize_error", TCMU_OPTION_STRING, NULL, "a resize fails with this errno"),
	[FAULT_CLOSE_HANG] = OPTION("close_hang", TCMU_OPTION_BOOL, "0", "close never returns"),
	[FAULT_CLOSE_HANG_FILE] = OPTION(
		"close_hang_file", TCMU_OPTION_STRING, NULL, "close hangs while this file exists"),
	[FAULT_HOLD_FILE] = OPTION(
		"hold_file", TCMU_OPTION_STRING, NULL, "requests hang while this file exists"),
	[FAULT_DELAY_MS] = OPTION(
		"delay_ms", TCMU_OPTION_UINT, "0", "requests take so many milliseconds longer"),
	[FAULT_ERROR] = OPTION(
		"error", TCMU_OPTION_STRING, NULL,
		"OP:ERRNO[:NTH][+...]: the nth request of OP, or every one, fails"),
	[FAULT_OPS] =
		{.name = "ops",
		 .type = TCMU_OPTION_CHOICE,
		 .def = "all",
		 .choices = ops_choices,
		 .help = "the requests that hold_file and delay_ms apply to"},
	[FAULT_WHEN] =
		{.name = "when",
		 .type = TCMU_OPTION_CHOICE,
		 .def = "before",
		 .choices = when_choices,
		 .help = "faults are injected before a request is carried out, or after"},
	[FAULT_CANCEL] = OPTION(
		"cancel", TCMU_OPTION_BOOL, "0",
		"a request that hangs or is delayed can be cancelled"),
	[FAULT_FAIL_AFTER] = OPTION(
		"fail_after", TCMU_OPTION_UINT, "0", "the backend fails after so many requests"),
};
