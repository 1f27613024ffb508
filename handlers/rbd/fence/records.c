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

/* Whether the key is that of a record. */
static bool take_record(
	struct records *records, const char *key, const char *value, const char *own)
{
	const char *address = key + strlen(PREFIX);

	if (strncmp(key, PREFIX, strlen(PREFIX)) != 0)
		return false;
	if (strcmp(address, own) == 0 || strlen(address) >= RECORD_ADDRESS_SIZE ||
	    records->cnt == RECORDS_MAX)
		return true;
	memcpy(records->records[records->cnt].address, address, strlen(address) + 1);
	parse_state(value, &records->records[records->cnt++]);
	return true;
}

int records_read(rbd_image_t rbd, const char *own, struct records *records)
{
	char *keys = malloc(BATCH_SIZE), *values = malloc(BATCH_SIZE);
	const char *key = keys, *value = values;
	size_t key_size = BATCH_SIZE, value_size = BATCH_SIZE;
	int r = -ENOMEM;

	records->cnt = 0;
	if (keys && values)
		r = rbd_metadata_list(rbd, PREFIX, BATCH, keys, &key_size, values, &value_size);
	/* in the order of the keys */
	while (r >= 0 && key < keys + key_size && take_record(records, key, value, own)) {
		key += strlen(key) + 1;
		value += strlen(value) + 1;
	}
	free(keys);
	free(values);
	assert(records->cnt <= RECORDS_MAX);
	return r < 0 ? r : 0;
}
