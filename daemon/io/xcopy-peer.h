/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one device's I/O thread has another one read or write a range for EXTENDED COPY: a
 * daemon-wide registry of devices by their NAA designator, and requests that are posted from I/O
 * thread to I/O thread.
 *
 * A peer stands for a device's I/O thread and outlives it: it is counted, and it reports that the
 * thread has ended. Every request is answered once, on the waiter's thread: when it was carried
 * out, or with -ENODEV as soon as the performer is closed, however stuck it is. The performer may
 * touch a request's buffer after such an answer; so a request is counted too, by the two references
 * that xcopy_peer_request() is given.
 *
 * Locks: the registry's, then a peer's; no other lock is taken under either. Any thread where
 * nothing else is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>

#include "base/list.h"
#include "io/wait.h"

struct xcopy_peer;

enum xcopy_request_state {
	XCOPY_REQUEST_QUEUED,
	XCOPY_REQUEST_TAKEN,
	XCOPY_REQUEST_ANSWERED,
};

struct xcopy_request {
	struct xcopy_peer *waiter;
	struct xcopy_peer *performer;
	bool write;
	uint64_t lba;
	uint64_t blocks;
	void *buffer;
	void (*answered)(struct xcopy_request *request); /* on the waiter's thread; releases */
	void (*release)(struct xcopy_request *request);  /* drops one reference; any thread */
	int error;                                       /* 0 or -errno, valid when answered */

	enum xcopy_request_state
		state; /* under the performer's lock, as node until it is answered */
	struct list_node node;
};

/* wait: how the device's I/O thread is woken; it lives until xcopy_peer_end(). block_size: bytes.
 * -ENOMEM. */
int xcopy_peer_new(struct wait *wait, uint32_t block_size, struct xcopy_peer **peer);

/* One more reference; returns the peer. */
struct xcopy_peer *xcopy_peer_ref(struct xcopy_peer *peer);

/* Drops a reference. Takes NULL. */
void xcopy_peer_unref(struct xcopy_peer *peer);

/* From now on the peer is found by this designator. */
void xcopy_peer_set_naa(struct xcopy_peer *peer, const uint8_t naa[SCSI_NAA_LENGTH]);

/* A reference to the one open peer that has this designator. NULL: there is none, or more than one.
 */
struct xcopy_peer *xcopy_peer_find(const uint8_t naa[SCSI_NAA_LENGTH]);

/* Bytes. */
uint32_t xcopy_peer_block_size(const struct xcopy_peer *peer);

/* Takes no more requests; those that it has are answered with -ENODEV. May be called again. */
void xcopy_peer_close(struct xcopy_peer *peer);

bool xcopy_peer_is_closed(struct xcopy_peer *peer);

/* The peer's I/O thread, at its end: it gets no more answers. Takes NULL. */
void xcopy_peer_end(struct xcopy_peer *peer);

/* Posts a request to its performer. It takes two references. */
void xcopy_peer_request(struct xcopy_request *request);

/* The waiter waits no longer. A request that its performer has not taken yet is taken back and its
 * references are dropped; another one is answered as usual. */
void xcopy_peer_withdraw(struct xcopy_request *request);

/* The peer's I/O thread: the next request to be carried out, or NULL. */
struct xcopy_request *xcopy_peer_take(struct xcopy_peer *peer);

/* The peer's I/O thread: a request that was taken has ended, with 0 or -errno. Releases it. */
void xcopy_peer_answer(struct xcopy_request *request, int error);

/* The peer's I/O thread: calls answered() for every answer that is there. Returns how many. */
unsigned xcopy_peer_take_answers(struct xcopy_peer *peer);

/* Whether there is a request to take, or an answer. */
bool xcopy_peer_has_requests(const struct xcopy_peer *peer);
bool xcopy_peer_has_answers(const struct xcopy_peer *peer);
