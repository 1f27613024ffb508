/* SPDX-License-Identifier: Apache-2.0 */
/* See cases.h. */
#include "cases.h"

#include <string.h>

#include "cases-data.h"
#include "cases-faults.h"
#include "cases-life.h"
#include "load.h"

static const struct test_case cases[] = {
	{"description", "the plugin is loaded, and its description makes sense", case_description},
	{"check-config", "check_config accepts the config string, and refuses with a reason",
	 case_check_config},
	{"open-close", "open and close, many times; nothing is left", case_open_close},
	{"properties", "what open says of the backend makes sense", case_properties},
	{"read-write", "every size, shape of buffers and end of the disk", case_read_write},
	{"operations", "each other operation, by itself", case_operations},
	{"concurrent", "all operations at once, compared with a model", case_concurrent},
	{"overlapping", "writes to the same blocks: each block is of one of them",
	 case_overlapping},
	{"compare-at-once", "of many COMPARE_AND_WRITE of one block, one wins each time",
	 case_compare_at_once},
	{"commands", "SCSI commands: each has an answer, or is left to the daemon", case_commands},
	{"reopen", "what was written is there after close and open", case_reopen},
	{"read-only", "a read-only disk opens and reads", case_read_only},
	{"cancel", "cancelled requests end once, and leave whole blocks", case_cancel},
	{"close-at-once", "close right behind the last completion", case_close_at_once},
	{"resize", "larger and smaller, while I/O goes on", case_resize},
	{"released-memory", "buffers that the kernel has taken back", case_released_memory},
	{"errors", "system calls fail, with every errno and at every place", case_errors},
	{"short-transfers", "system calls transfer less than asked for", case_short_transfers},
	{"slow-backend", "system calls take long; requests are served side by side",
	 case_slow_backend},
	{"hung-backend", "system calls hang; requests are cancelled, and later go on",
	 case_hung_backend},
	{"stalled-backend", "the backend hangs by --stall and goes on by --resume",
	 case_stalled_backend},
	{"lock", "lock, unlock and lock_state", case_lock},
	{"load", "throughput, and latencies", case_load},
};

size_t case_count(void)
{
	return sizeof(cases) / sizeof(cases[0]);
}

const struct test_case *case_at(size_t index)
{
	return &cases[index];
}

const struct test_case *case_find(const char *name)
{
	for (size_t i = 0; i < case_count(); i++)
		if (strcmp(cases[i].name, name) == 0)
			return &cases[i];
	return NULL;
}
