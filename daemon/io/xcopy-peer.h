/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one device's loop has another one read or write a range: a daemon-wide registry of loops by
 * their NAA designator, and requests that are posted from loop to loop.
 *
 * A peer stands for a loop and outlives it: it is counted, and says that there is nobody any more.
 * Every request is answered once, on the asking loop's thread: when it was carried out, or with
 * -ENODEV as soon as the performing loop is told to end, whatever is stuck in it. What carries out
 * a request may touch its buffer after such an answer; thus a request is counted too, by the two
 * references that xcopy_peer_ask() is given.
 *
 * Locks: the registry's, then a peer's; no other lock is taken under either. Any thread where
 * nothing else is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>

struct io_thread;
struct xcopy_peer;

enum xcopy_request_state {
	XCOPY_PEER_QUEUED,
	XCOPY_PEER_TAKEN,
	XCOPY_PEER_ANSWERED,
};

struct xcopy_request {
	struct xcopy_peer *waiter;
	struct xcopy_peer *performer;
	bool write;
	uint64_t lba;
	uint64_t blocks;
	void *buffer;
	void (*answered)(struct xcopy_request *request); /* on the asker's thread; releases */
	void (*release)(struct xcopy_request *request);  /* one reference less; any thread */
	int error;                                       /* valid when answered */

	enum xcopy_request_state
		state; /* under the performer's lock, as next until it is answered */
	struct xcopy_request *next;
};

/* -ENOMEM. */
int xcopy_peer_new(struct io_thread *thread, uint32_t block_size, struct xcopy_peer **peer);
struct xcopy_peer *xcopy_peer_ref(struct xcopy_peer *peer);
void xcopy_peer_unref(struct xcopy_peer *peer); /* takes NULL */

/* From now on the peer is found by this designator. */
void xcopy_peer_set_naa(struct xcopy_peer *peer, const uint8_t naa[SCSI_NAA_LENGTH]);

/* A reference to the one peer that has this designator and takes requests; NULL: none, or more than
 * one. */
struct xcopy_peer *xcopy_peer_find(const uint8_t naa[SCSI_NAA_LENGTH]);

uint32_t xcopy_peer_block_size(const struct xcopy_peer *peer);

/* Takes no more requests; those that are there are answered with -ENODEV. */
void xcopy_peer_close(struct xcopy_peer *peer);

bool xcopy_peer_is_closed(struct xcopy_peer *peer);

/* The loop's thread, at its end: nothing is told to it any more. */
void xcopy_peer_end(struct xcopy_peer *peer);

/* Posts a request that has two references more for it. */
void xcopy_peer_ask(struct xcopy_request *request);

/* The loop's thread: the next request to be carried out, or NULL. */
struct xcopy_request *xcopy_peer_take(struct xcopy_peer *peer);

/* The loop's thread: a request that was taken has ended. Releases it. */
void xcopy_peer_answer(struct xcopy_request *request, int error);

/* The loop's thread: calls answered() for every answer that is there. Returns how many. */
unsigned xcopy_peer_take_answers(struct xcopy_peer *peer);

/* Whether there is a request to take, or an answer. */
bool xcopy_peer_has_requests(const struct xcopy_peer *peer);
bool xcopy_peer_has_answers(const struct xcopy_peer *peer);
