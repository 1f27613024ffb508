/* SPDX-License-Identifier: Apache-2.0 */
/* See journal.h. */
#include "commands/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-journal.h>

#define FIELD_MAX 8192
#define UNIT      "tcmud.service"

/* The fields of an entry, as strings. */
struct journal_entry {
	struct event event;
	char message_id[64];
	char device[512];
	char handler[128];
	char message[FIELD_MAX];
	char *cursor;
};

static int journal_match(sd_journal *journal, const char *field, const char *value)
{
	char text[128];

	(void) snprintf(text, sizeof(text), "%s=%s", field, value);
	return sd_journal_add_match(journal, text, 0);
}

/* Warnings and worse. */
static int journal_match_warnings(sd_journal *journal)
{
	int r = 0;

	for (int priority = 0; r >= 0 && priority <= 4; priority++) {
		char text[4];

		(void) snprintf(text, sizeof(text), "%d", priority);
		r = journal_match(journal, "PRIORITY", text);
	}
	return r;
}

/* Fields with an underscore are the journal's own: no process can forge them. */
static int journal_match_events(sd_journal *journal)
{
	int r = journal_match(journal, "_UID", "0");

	for (size_t i = 0; r >= 0 && event_id_at(i); i++)
		r = journal_match(journal, "MESSAGE_ID", event_id_at(i));
	if (r >= 0)
		r = sd_journal_add_disjunction(journal);
	if (r >= 0)
		r = journal_match(journal, "_SYSTEMD_UNIT", UNIT);
	if (r >= 0)
		r = journal_match_warnings(journal);
	if (r >= 0)
		r = sd_journal_add_disjunction(journal);
	if (r >= 0)
		r = journal_match(journal, "_PID", "1");
	if (r >= 0)
		r = journal_match(journal, "UNIT", UNIT);
	if (r >= 0)
		r = journal_match_warnings(journal);
	return r;
}

/* Copies a field; "": there is none. */
static const char *journal_field(sd_journal *journal, const char *name, char *buffer, size_t size)
{
	size_t length, prefix = strlen(name) + 1;
	const void *data;

	if (sd_journal_get_data(journal, name, &data, &length) < 0 || length < prefix)
		return NULL;
	length -= prefix;
	if (length >= size)
		length = size - 1;
	memcpy(buffer, (const char *) data + prefix, length);
	buffer[length] = '\0';
	return buffer;
}

static int journal_load(sd_journal *journal, struct journal_entry *entry)
{
	char priority[8];
	int r = sd_journal_get_realtime_usec(journal, &entry->event.time_us);

	if (r < 0)
		return r;
	entry->event.message_id = journal_field(
		journal, "MESSAGE_ID", entry->message_id, sizeof(entry->message_id));
	entry->event.device = journal_field(
		journal, "TCMU_DEVICE", entry->device, sizeof(entry->device));
	entry->event.handler = journal_field(
		journal, "TCMU_SUBTYPE", entry->handler, sizeof(entry->handler));
	entry->event.message = journal_field(
		journal, "MESSAGE", entry->message, sizeof(entry->message));
	entry->event.priority = journal_field(journal, "PRIORITY", priority, sizeof(priority))
		? (int) strtol(priority, NULL, 10)
		: -1;
	free(entry->cursor);
	entry->cursor = NULL;
	entry->event.cursor = sd_journal_get_cursor(journal, &entry->cursor) >= 0 ? entry->cursor
										  : NULL;
	return 0;
}

/* Goes back until so many events of the device have been met. Returns whether there is an entry to
 * begin with. */
static int journal_go_back(
	sd_journal *journal, const struct journal_query *query, struct journal_entry *entry)
{
	size_t found = 0;
	int r = sd_journal_seek_tail(journal);

	while (r >= 0 && found < query->count) {
		r = sd_journal_previous(journal);
		if (r <= 0)
			break;
		r = journal_load(journal, entry);
		found += r >= 0 && event_is_of(&entry->event, query->device);
	}
	if (r == 0 && found < query->count)
		r = sd_journal_seek_head(journal);
	if (r == 0 && found < query->count)
		return sd_journal_next(journal);
	return r < 0 ? r : found > 0;
}

/* From the entry where the journal is. Returns how many events there were, or -errno. */
static int journal_go_on(
	sd_journal *journal, const struct journal_query *query, struct journal_entry *entry,
	bool at_entry, journal_event_fn *take, void *userdata)
{
	int r = at_entry ? 1 : sd_journal_next(journal), cnt = 0;

	for (;;) {
		while (r == 0 && query->follow) {
			r = sd_journal_wait(journal, UINT64_MAX);
			if (r >= 0)
				r = sd_journal_next(journal);
		}
		if (r <= 0)
			return r < 0 ? r : cnt;
		r = journal_load(journal, entry);
		if (r < 0)
			return r;
		if (event_is_of(&entry->event, query->device)) {
			cnt++;
			if (!take(userdata, &entry->event))
				return cnt;
		}
		r = sd_journal_next(journal);
	}
}

int journal_read(const struct journal_query *query, journal_event_fn *take, void *userdata)
{
	struct journal_entry *entry = calloc(1, sizeof(*entry));
	sd_journal *journal = NULL;
	int r;

	if (!entry)
		return -ENOMEM;
	r = query->directory ? sd_journal_open_directory(&journal, query->directory, 0)
			     : sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY);
	if (r >= 0)
		r = journal_match_events(journal);
	if (r >= 0)
		r = journal_go_back(journal, query, entry);
	if (r >= 0)
		r = journal_go_on(journal, query, entry, r > 0, take, userdata);
	sd_journal_close(journal);
	free(entry->cursor);
	free(entry);
	return r;
}
