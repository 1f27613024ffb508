/* SPDX-License-Identifier: Apache-2.0 */
/* See entries.h. */
#include "entries.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int entries_add(rados_t rados, const char *address)
{
	char text[RECORD_ADDRESS_SIZE];
	int r;

	assert(address[0] && strlen(address) < sizeof(text));
	(void) snprintf(text, sizeof(text), "%s", address);
	r = rados_blocklist_add(rados, text, ENTRY_SECONDS);
	/* Our own requests carry the map with the entry from now on, so the storage gets it. */
	return r < 0 ? r : rados_wait_for_latest_osdmap(rados);
}

/* The blocklist as JSON, to be passed to free(). NULL with *error: the cluster does not answer, or
 * refuses. */
static char *read_blocklist(rados_t rados, int *error)
{
	const char *command = "{\"prefix\":\"osd blocklist ls\",\"format\":\"json\"}";
	char *reply = NULL, *text = NULL;
	size_t length = 0;

	*error = rados_mon_command(rados, &command, 1, "", 0, &reply, &length, NULL, NULL);
	if (*error >= 0) {
		text = malloc(length + 1);
		*error = text ? 0 : -ENOMEM;
	}
	if (text) {
		if (length)
			memcpy(text, reply, length);
		text[length] = '\0';
	}
	rados_buffer_free(reply);
	return text;
}

/* The list has each address as one string. */
static bool has_entry(const char *blocklist, const char *address)
{
	char text[RECORD_ADDRESS_SIZE + 2];

	(void) snprintf(text, sizeof(text), "\"%s\"", address);
	return strstr(blocklist, text) != NULL;
}

int entries_keep(rados_t rados, const struct records *records, unsigned *missing)
{
	char *blocklist;
	int r;

	*missing = 0;
	if (!records->cnt)
		return 0;
	blocklist = read_blocklist(rados, &r);
	for (unsigned i = 0; r >= 0 && i < records->cnt; i++)
		if (!has_entry(blocklist, records->records[i].address)) {
			r = entries_add(rados, records->records[i].address);
			++*missing;
		}
	free(blocklist);
	return r;
}
