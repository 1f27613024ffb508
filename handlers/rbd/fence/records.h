/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which client instances may still have something on its way to an image: one record each, in the
 * image's metadata, so that every host sees them and none overwrites another's. A lock holder makes
 * its record before it answers as the holder, and removes it when nothing that it has sent can
 * reach the image any more.
 *
 * Records are written without a notification of the image's watchers: one that hangs would delay
 * that by seconds.
 *
 * Every function may block until the cluster answers.
 */
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdbool.h>
#include <stdint.h>

#define RECORD_ADDRESS_SIZE 128

enum record_state {
	RECORD_HOLDER, /* it may hold the lock, as far as it knows */
	RECORD_PAST,   /* its lease has passed, as another host has waited */
	RECORD_ENDED,  /* it has ended with writes that were never answered */
};

struct record {
	char address[RECORD_ADDRESS_SIZE]; /* of the client instance */
	enum record_state state;
	uint64_t tenure; /* of RECORD_HOLDER: distinguishes the tenures of an instance */
};

/* All zeros at first. */
struct records {
	struct record *records;
	unsigned cnt, room;
};

/* header: the image's header object; tenure: 0 unless the state is RECORD_HOLDER. Returns 0 or a
 * negative errno. */
int records_set(
	rados_ioctx_t pool, const char *header, const char *address, enum record_state state,
	uint64_t tenure);

/* Returns 0, also if there is none, or a negative errno. */
int records_remove(rados_ioctx_t pool, const char *header, const char *address);

/* The client instance has ended, and it has a record. unanswered: the cluster may have writes of it
 * that were never answered: then the record stays and says so. Returns 0 or a negative errno. */
int records_end(rados_ioctx_t pool, const char *header, const char *address, bool unanswered);

/* Reads the records of all client instances but own, in place of those that *records has. Returns 0
 * or a negative errno. */
int records_read(rbd_image_t rbd, const char *own, struct records *records);

/* Frees the memory of *records. */
void records_free(struct records *records);
