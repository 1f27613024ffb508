/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one device's loop has another one read or write a range: a daemon-wide registry of loops by
 * their NAA designator, and requests that are posted from loop to loop.
 *
 * A peer stands for a loop and outlives it: it is counted, and says that there is nobody any more.
 * Every request is answered once, on the asking loop's thread: when it was carried out, or with
 * -ENODEV as soon as the performing loop is told to end, whatever is stuck in it. What carries out
 * a request may touch its buffer after such an answer; thus a request is counted too, by the two
 * references that peer_ask() is given.
 *
 * Locks: the registry's, then a peer's; no other lock is taken under either. Any thread where
 * nothing else is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>

struct loop;
struct peer;

enum peer_request_state {
	PEER_QUEUED,
	PEER_TAKEN,
	PEER_ANSWERED,
};

struct peer_request {
	struct peer *asker;
	struct peer *performer;
	bool write;
	uint64_t lba;
	uint64_t blocks;
	void *buffer;
	void (*answered)(struct peer_request *request); /* on the asker's thread; releases */
	void (*release)(struct peer_request *request);  /* one reference less; any thread */
	int error;                                      /* valid when answered */

	enum peer_request_state
		state; /* under the performer's lock, as next until it is answered */
	struct peer_request *next;
};

/* -ENOMEM. */
int peer_new(struct loop *loop, uint32_t block_size, struct peer **peer);
struct peer *peer_ref(struct peer *peer);
void peer_unref(struct peer *peer); /* takes NULL */

/* From now on the peer is found by this designator. */
void peer_identify(struct peer *peer, const uint8_t naa[SCSI_NAA_LENGTH]);

/* A reference to the one peer that has this designator and takes requests; NULL: none, or more than
 * one. */
struct peer *peer_find(const uint8_t naa[SCSI_NAA_LENGTH]);

uint32_t peer_block_size(const struct peer *peer);

/* Takes no more requests; those that are there are answered with -ENODEV. */
void peer_close(struct peer *peer);

bool peer_is_closed(struct peer *peer);

/* The loop's thread, at its end: nothing is told to it any more. */
void peer_end(struct peer *peer);

/* Posts a request that has two references more for it. */
void peer_ask(struct peer_request *request);

/* The loop's thread: the next request to be carried out, or NULL. */
struct peer_request *peer_take(struct peer *peer);

/* The loop's thread: a request that was taken has ended. Releases it. */
void peer_answer(struct peer_request *request, int error);

/* The loop's thread: calls answered() for every answer that is there. Returns how many. */
unsigned peer_take_answers(struct peer *peer);

/* Whether there is a request to take, or an answer. */
bool peer_has_requests(const struct peer *peer);
bool peer_has_answers(const struct peer *peer);
