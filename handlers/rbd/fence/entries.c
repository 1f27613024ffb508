/* SPDX-License-Identifier: Apache-2.0 */
/* See entries.h. */
#include "entries.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS    8
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

/* The records whose entries are added. */
struct addition {
	rados_t rados;
	const struct records *records;
	const char *blocklist; /* those that it does not have */
	atomic_uint next, added;
	atomic_int error;
};

static bool is_wanted(const struct addition *addition, const struct record *record)
{
	return !has_entry(addition->blocklist, record->address);
}

static void *add_some(void *arg)
{
	struct addition *addition = arg;
	const struct records *records = addition->records;
	unsigned i;
	int r;

	while (!atomic_load(&addition->error) &&
	       (i = atomic_fetch_add(&addition->next, 1)) < records->cnt) {
		if (!is_wanted(addition, &records->records[i]))
			continue;
		r = add_entry(addition->rados, records->records[i].address);
		if (r < 0)
			atomic_store(&addition->error, r);
		else
			atomic_fetch_add(&addition->added, 1);
	}
	return NULL;
}

/* The monitors answer a command after up to a second, however many they get meanwhile: several
 * threads send them. Without threads it only takes longer. */
static int add_entries(struct addition *addition)
{
	const struct records *records = addition->records;
	pthread_t threads[THREADS];
	unsigned wanted = 0, cnt = 0;

	for (unsigned i = 0; i < records->cnt; i++)
		wanted += is_wanted(addition, &records->records[i]);
	while (cnt < THREADS && cnt + 1 < wanted &&
	       pthread_create(&threads[cnt], NULL, add_some, addition) == 0)
		cnt++;
	(void) add_some(addition);
	for (unsigned i = 0; i < cnt; i++)
		(void) pthread_join(threads[i], NULL);
	assert(atomic_load(&addition->error) || atomic_load(&addition->added) == wanted);
	return atomic_load(&addition->error);
}

int entries_add(rados_t rados, const char *address)
{
	return add_entry(rados, address);
}

/* Returns how many entries were added, or a negative errno. */
static int add_missing(rados_t rados, const struct records *records)
{
	struct addition addition = {.rados = rados, .records = records};
	char *blocklist;
	int r;

	if (!records->cnt)
		return 0;
	blocklist = read_blocklist(rados, &r);
	addition.blocklist = blocklist;
	if (r >= 0)
		r = add_entries(&addition);
	free(blocklist);
	return r < 0 ? r : (int) atomic_load(&addition.added);
}

int entries_begin(rados_t rados, const struct records *records)
{
	int r = add_missing(rados, records);

	return r < 0 || !records->cnt ? r : wait_for_map(rados);
}

int entries_keep(rados_t rados, const struct records *records, unsigned *missing)
{
	int r = add_missing(rados, records);

	*missing = r > 0 ? (unsigned) r : 0;
	return r <= 0 ? r : wait_for_map(rados);
}
