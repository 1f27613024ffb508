/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one device's I/O thread has another one read or write a range for EXTENDED COPY: a
 * daemon-wide registry of devices by their NAA designator, and requests that are posted from I/O
 * thread to I/O thread.
 *
 * An xcopy_disk stands for a device's I/O thread and outlives it: it is counted, and it reports
 * that the thread has ended. Every request is answered once, on the waiter's thread: when it was
 * carried out, or with -ENODEV as soon as the performer is closed, however stuck it is. The
 * performer may touch a request's buffer after such an answer; so a request is counted too, by the
 * two references that xcopy_disk_request() is given.
 *
 * Locks: the registry's, then a disk's; no other lock is taken under either. Any thread where
 * nothing else is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <scsi/scsi.h>
#include <tcmu/scan.h>

#include "base/list.h"
#include "wait/wait.h"

struct xcopy_disk;

enum xcopy_request_state {
	XCOPY_REQUEST_QUEUED,
	XCOPY_REQUEST_TAKEN, /* it waits at its performer, which limits its rate, or is in flight */
	XCOPY_REQUEST_ANSWERED,
};

struct xcopy_request {
	struct xcopy_disk *waiter;
	struct xcopy_disk *performer;
	bool write;
	uint64_t lba;
	uint64_t blocks;
	unsigned generation; /* of the performer, see xcopy_disk_generation() */
	void *buffer;
	void (*answered)(struct xcopy_request *request); /* on the waiter's thread; releases */
	void (*release)(struct xcopy_request *request);  /* drops one reference; any thread */
	int error;                                       /* 0 or -errno, valid when answered */

	enum xcopy_request_state state; /* under the performer's lock, as begun, withdrawn, and node
					   until it is answered */
	bool begun;
	bool withdrawn;
	bool waits;        /* for the performer's ring, see xcopy_disk_take() */
	uint64_t position; /* until it is read up to there */
	struct list_node node;
};

/* wait: how the device's I/O thread is woken; it lives until xcopy_disk_end(). name: the device's
 * directory in configfs; copied. block_size: bytes. -ENOMEM. */
int xcopy_disk_new(
	struct wait *wait, const struct tcmu_name *name, uint32_t block_size,
	struct xcopy_disk **disk);

/* One more reference; returns the disk. */
struct xcopy_disk *xcopy_disk_ref(struct xcopy_disk *disk);

/* Drops a reference. Takes NULL. */
void xcopy_disk_unref(struct xcopy_disk *disk);

/* From now on the disk is found by this designator. */
void xcopy_disk_set_naa(struct xcopy_disk *disk, const uint8_t naa[SCSI_NAA_LENGTH]);

/* A reference to the one open disk that has this designator. NULL: there is none, or several. */
struct xcopy_disk *xcopy_disk_find(const uint8_t naa[SCSI_NAA_LENGTH]);

/* As long as the caller has a reference. */
const struct tcmu_name *xcopy_disk_name(const struct xcopy_disk *disk);

/* Bytes. */
uint32_t xcopy_disk_block_size(const struct xcopy_disk *disk);

/* Takes no more requests; those that it has are answered with -ENODEV. May be called again. */
void xcopy_disk_close(struct xcopy_disk *disk);

bool xcopy_disk_is_closed(struct xcopy_disk *disk);

/* The number of the permission under which the disk's I/O thread submits requests; the thread sets
 * it. A request carries the one under which its xcopy began. */
void xcopy_disk_set_generation(struct xcopy_disk *disk, unsigned generation);
unsigned xcopy_disk_generation(struct xcopy_disk *disk);

/* The disk's I/O thread, at its end: it gets no more answers. Takes NULL. */
void xcopy_disk_end(struct xcopy_disk *disk);

/* Posts a request to its performer. It takes two references. */
void xcopy_disk_request(struct xcopy_request *request);

/* The waiter waits no longer. A request that its performer has not taken yet is taken back and its
 * references are dropped; another one is answered as usual, but is not begun any more. Returns
 * whether it will never have been begun. */
bool xcopy_disk_withdraw(struct xcopy_request *request);

/* The disk's I/O thread: a request that was taken is to be carried out now. False: it was
 * withdrawn or answered meanwhile, and is only to be passed to xcopy_disk_answer(). */
bool xcopy_disk_begin(struct xcopy_request *request);

/* The disk's I/O thread: the next request to be carried out, or NULL. Commands that are in the
 * disk's ring when another disk's request is first seen go before it. read: how far the ring is
 * read, any count that grows; end: how far it is filled; the same: nothing goes before. */
struct xcopy_request *xcopy_disk_take(struct xcopy_disk *disk, uint64_t read, uint64_t end);

/* The disk's I/O thread: a request that was taken has ended, with 0 or -errno. Releases it. */
void xcopy_disk_answer(struct xcopy_request *request, int error);

/* The disk's I/O thread: calls answered() for every answer that is there. Returns how many. */
unsigned xcopy_disk_take_answers(struct xcopy_disk *disk);

/* Whether there is a request to take, or an answer. */
bool xcopy_disk_has_requests(const struct xcopy_disk *disk);
bool xcopy_disk_has_answers(const struct xcopy_disk *disk);
