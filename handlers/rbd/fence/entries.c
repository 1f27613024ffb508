/* SPDX-License-Identifier: Apache-2.0 */
/* See entries.h. */
#include "entries.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_NAMES (sizeof(list_names) / sizeof(list_names[0]))

/* Ceph 15 and older call the list otherwise. */
static const char *const list_names[] = {"blocklist", "blacklist"};

/* Runs a command of the monitors, within rados_mon_op_timeout. reply: to be passed to
 * rados_buffer_free(), or NULL. */
static int run_command(rados_t rados, const char *command, char **reply, size_t *length)
{
	char *text = NULL;
	size_t size = 0;
	int r = rados_mon_command(rados, &command, 1, "", 0, &text, &size, NULL, NULL);

	if (reply) {
		*reply = text;
		*length = size;
	} else {
		rados_buffer_free(text);
	}
	return r;
}

/* The function of librados for this waits for the newest map, once for each entry. */
static int add_entry(rados_t rados, const char *address)
{
	char command[RECORD_ADDRESS_SIZE + 128];
	int r = -EINVAL;

	assert(address[0] && strlen(address) < RECORD_ADDRESS_SIZE);
	for (unsigned i = 0; i < LIST_NAMES && r == -EINVAL; i++) {
		(void) snprintf(
			command, sizeof(command),
			"{\"prefix\":\"osd %s\",\"%sop\":\"add\",\"addr\":\"%s\","
			"\"expire\":%u.0}",
			list_names[i], list_names[i], address, ENTRY_SECONDS);
		r = run_command(rados, command, NULL, NULL);
	}
	return r;
}

/* From now on our own requests carry the map with the entries, so the storage gets it. */
static int wait_for_map(rados_t rados)
{
	return rados_wait_for_latest_osdmap(rados);
}

int entries_add(rados_t rados, const struct records *records)
{
	int r = 0;

	for (unsigned i = 0; i < records->cnt && r >= 0; i++)
		r = add_entry(rados, records->records[i].address);
	return r < 0 || !records->cnt ? r : wait_for_map(rados);
}

/* The list as JSON, to be passed to free(). NULL with *error: the cluster does not answer, or
 * refuses. */
static char *read_blocklist(rados_t rados, int *error)
{
	char command[64], *reply = NULL, *text = NULL;
	size_t length = 0;

	*error = -EINVAL;
	for (unsigned i = 0; i < LIST_NAMES && *error == -EINVAL; i++) {
		rados_buffer_free(reply);
		(void) snprintf(
			command, sizeof(command), "{\"prefix\":\"osd %s ls\",\"format\":\"json\"}",
			list_names[i]);
		*error = run_command(rados, command, &reply, &length);
	}
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
			r = add_entry(rados, records->records[i].address);
			++*missing;
		}
	free(blocklist);
	return r < 0 || !*missing ? r : wait_for_map(rados);
}
