/* SPDX-License-Identifier: Apache-2.0 */
/* See records.h. */
#include "records.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX     "tcmu_rbd_instance_"
#define KEY_SIZE   (sizeof(PREFIX) + RECORD_ADDRESS_SIZE)
#define CLASS      "rbd"
#define BATCH      64u
#define BATCH_SIZE 65536u
#define TRIES      5u

/* Of a holder with the number of its tenure: "holder:1234". */
static const char *const record_states[] = {"holder", "past", "ended"};
#define TENURE_MARK ':'

/* A number and text, as Ceph encodes strings. Returns the bytes. */
static size_t encode_text(char *to, const char *text)
{
	uint32_t length = (uint32_t) strlen(text), encoded = htole32(length);

	memcpy(to, &encoded, sizeof(encoded));
	memcpy(to + sizeof(encoded), text, length);
	return sizeof(encoded) + length;
}

static void make_key(char key[static KEY_SIZE], const char *address)
{
	assert(address[0]);
	(void) snprintf(key, KEY_SIZE, PREFIX "%s", address);
}

int records_set(
	rados_ioctx_t pool, const char *header, const char *address, enum record_state state,
	uint64_t tenure)
{
	uint32_t cnt = htole32(1);
	char key[KEY_SIZE], value[40], text[2 * KEY_SIZE], reply[1];
	size_t length = sizeof(cnt);
	int r;

	assert(state <= RECORD_ENDED);
	assert(!tenure || state == RECORD_HOLDER);
	make_key(key, address);
	memcpy(text, &cnt, sizeof(cnt));
	length += encode_text(text + length, key);
	(void) snprintf(value, sizeof(value), "%s", record_states[state]);
	if (tenure)
		(void) snprintf(
			value, sizeof(value), "%s%c%" PRIu64, record_states[state], TENURE_MARK,
			tenure);
	length += encode_text(text + length, value);
	r = rados_exec(pool, header, CLASS, "metadata_set", text, length, reply, sizeof(reply));
	return r < 0 ? r : 0;
}

int records_remove(rados_ioctx_t pool, const char *header, const char *address)
{
	char key[KEY_SIZE], text[KEY_SIZE + sizeof(uint32_t)], reply[1];
	int r;

	make_key(key, address);
	r = rados_exec(
		pool, header, CLASS, "metadata_remove", text, encode_text(text, key), reply,
		sizeof(reply));
	return r < 0 && r != -ENOENT ? r : 0;
}

int records_end(rados_ioctx_t pool, const char *header, const char *address, bool unanswered)
{
	return unanswered ? records_set(pool, header, address, RECORD_ENDED, 0)
			  : records_remove(pool, header, address);
}

/* An unknown state is that of a later version: it is treated like the one that needs most. */
static void parse_state(const char *text, struct record *record)
{
	const char *mark = strchr(text, TENURE_MARK);

	record->state = RECORD_HOLDER;
	record->tenure = mark ? strtoull(mark + 1, NULL, 10) : 0;
	for (unsigned i = 0; i < sizeof(record_states) / sizeof(record_states[0]); i++)
		if (strcmp(text, record_states[i]) == 0)
			record->state = (enum record_state) i;
}

/* Other text would change the meaning of a command of the monitors, and of the list of entries. */
static bool is_address(const char *text)
{
	size_t length = strlen(text);

	return length && length < RECORD_ADDRESS_SIZE &&
		strspn(text,
		       "0123456789abcdefghijklmnopqrstuvwxyz"
		       "ABCDEFGHIJKLMNOPQRSTUVWXYZ.:/[],-_%") == length;
}

static int add_record(struct records *records, const char *address, const char *value)
{
	struct record *record;

	if (records->cnt == records->room) {
		unsigned room = records->room ? 2 * records->room : 8;

		record = realloc(records->records, room * sizeof(*record));
		if (!record)
			return -ENOMEM;
		records->records = record;
		records->room = room;
	}
	assert(records->cnt < records->room);
	record = &records->records[records->cnt++];
	memcpy(record->address, address, strlen(address) + 1);
	parse_state(value, record);
	return 0;
}

void records_free(struct records *records)
{
	free(records->records);
	*records = (struct records){.cnt = 0};
}

/* ------- the image's metadata ------- */

/* Keys and values in the order of the keys, each with its NUL. */
struct batch {
	char *keys, *values;
	size_t key_size, value_size; /* of the memory */
	size_t key_end;              /* bytes of keys that were read */
};

static int batch_grow(struct batch *batch, size_t key_size, size_t value_size)
{
	char *keys = key_size > batch->key_size ? realloc(batch->keys, key_size) : batch->keys;
	char *values;

	if (!keys)
		return -ENOMEM;
	batch->keys = keys;
	batch->key_size = key_size > batch->key_size ? key_size : batch->key_size;
	values = value_size > batch->value_size ? realloc(batch->values, value_size)
						: batch->values;
	if (!values)
		return -ENOMEM;
	batch->values = values;
	batch->value_size = value_size > batch->value_size ? value_size : batch->value_size;
	return 0;
}

/* Reads the keys after `start`. The values of other keys may have any length. */
static int batch_read(rbd_image_t rbd, const char *start, struct batch *batch)
{
	size_t key_size = BATCH_SIZE, value_size = BATCH_SIZE;
	int r = -ERANGE;

	for (unsigned i = 0; i < TRIES && r == -ERANGE; i++) {
		r = batch_grow(batch, key_size, value_size);
		if (r < 0)
			return r;
		key_size = batch->key_size;
		value_size = batch->value_size;
		r = rbd_metadata_list(
			rbd, start, BATCH, batch->keys, &key_size, batch->values, &value_size);
	}
	batch->key_end = r < 0 ? 0 : key_size;
	return r < 0 ? r : 0;
}

/* Returns how many keys of records there were, *last being the last one of them, or a negative
 * errno. */
static int batch_take(
	const struct batch *batch, const char *own, struct records *records, const char **last)
{
	const char *key = batch->keys, *value = batch->values;
	int cnt = 0, r = 0;

	while (r >= 0 && key < batch->keys + batch->key_end &&
	       strncmp(key, PREFIX, strlen(PREFIX)) == 0) {
		const char *address = key + strlen(PREFIX);

		if (is_address(address) && strcmp(address, own) != 0)
			r = add_record(records, address, value);
		*last = key;
		key += strlen(key) + 1;
		value += strlen(value) + 1;
		cnt++;
	}
	return r < 0 ? r : cnt;
}

int records_read(rbd_image_t rbd, const char *own, struct records *records)
{
	struct batch batch = {.keys = NULL};
	char *start = strdup(PREFIX);
	const char *last = NULL;
	int r = -ENOMEM;

	records->cnt = 0;
	while (start) {
		r = batch_read(rbd, start, &batch);
		if (r >= 0)
			r = batch_take(&batch, own, records, &last);
		free(start);
		start = r == (int) BATCH ? strdup(last) : NULL;
		if (r == (int) BATCH && !start)
			r = -ENOMEM;
	}
	free(batch.keys);
	free(batch.values);
	assert(records->cnt <= records->room);
	return r < 0 ? r : 0;
}
