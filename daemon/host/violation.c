/* SPDX-License-Identifier: Apache-2.0 */
/* See host/violation.h. */
#include "host/violation.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include <glib.h>

static const char *const op_names[] = {
	[TCMU_IO_READ] = "READ",
	[TCMU_IO_WRITE] = "WRITE",
	[TCMU_IO_FLUSH] = "FLUSH",
	[TCMU_IO_UNMAP] = "UNMAP",
	[TCMU_IO_WRITE_ZEROES] = "WRITE_ZEROES",
	[TCMU_IO_COMPARE_AND_WRITE] = "COMPARE_AND_WRITE",
	[TCMU_IO_MAP] = "MAP",
	[TCMU_IO_WRITE_SAME] = "WRITE_SAME",
	[TCMU_IO_COMMAND] = "COMMAND",
};

static const char *violation_op_name(enum tcmu_io_op op)
{
	return (size_t) op < G_N_ELEMENTS(op_names) && op_names[op] ? op_names[op] : "?";
}

int host_describe(const struct host_request *request, char *text, size_t size)
{
	return snprintf(
		text, size, "%s of %" PRIu64 " bytes at %" PRIu64, violation_op_name(request->op),
		request->length, request->offset);
}

void host_violation(struct tcmu_disk *disk, const struct host_request *request, const char *what)
{
	char text[320], described[128] = "";

	if (request)
		(void) host_describe(request, described, sizeof(described));
	(void) snprintf(
		text, sizeof(text), "the handler %s%s%s%s", what, request ? " (" : "", described,
		request ? ")" : "");
	if (disk->setup.violation)
		disk->setup.violation(disk->setup.userdata, text);
	else if (disk->setup.log)
		disk->setup.log(disk->setup.userdata, TCMU_LOG_ERROR, text);
}
