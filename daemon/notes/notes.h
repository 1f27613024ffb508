/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The COMPARE AND WRITEs of a device that have begun to write and are not answered: in a file of
 * the run directory that is mapped, so that it outlives the daemon. A machine that crashes takes
 * the file with it, and the commands' initiators lose their sessions.
 *
 * A daemon that is killed leaves its commands to the kernel. Its successor has the kernel answer
 * BUSY, "not carried out, send it again". This is false for a COMPARE AND WRITE that was carried
 * out, and the repeated one miscompares. So the successor takes the notes, writes the data again,
 * which changes nothing where it was written, and answers GOOD.
 *
 * A note says which command it is, where it writes, and where its data is in the ring. The kernel
 * keeps the data until the answer. The file also has the tail of the ring: it shows whether the
 * noted commands are still the kernel's, and which answers the kernel has got
 * (tcmu_ring_resume()).
 *
 * A killed thread has done what stands before a point of its program, and nothing after it. So the
 * order of the stores is all that matters, and the compiler must keep it: positions and states are
 * atomic.
 *
 * Notes belong to the I/O thread while there is one, else to the main thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define NOTES_MAX        60 /* commands with a note */
#define NOTE_EXTENTS_MAX 18

enum note_state {
	NOTE_FREE,
	NOTE_WRITING,  /* what it found is equal, and its range is held until its answer */
	NOTE_ANSWERED, /* written; its answer is GOOD, and perhaps not published */
	NOTE_UNKNOWN,  /* as NOTE_WRITING; the answer that nobody knows whether it was carried out
			  is in the ring, and perhaps not published */
};

/* In the file. */
struct note {
	_Alignas(256) _Atomic(uint32_t) state; /* enum note_state */
	uint16_t cmd_id;
	uint16_t extent_cnt;
	uint64_t offset; /* on the medium, bytes */
	uint64_t length; /* bytes */
	/* where the data is: from the start of the ring's mapping, bytes */
	uint64_t data_offset[NOTE_EXTENTS_MAX];
	uint32_t data_length[NOTE_EXTENTS_MAX];
};

struct notes_file;

struct notes {
	struct notes_file *file;
	unsigned in_use; /* notes that are not free */
	char *device; /* a new file does not have it yet: only the first note touches its memory */
};

/* Opens the notes of a device, or makes them: a file at path. device: a text that differs for each
 * device and backing store; notes of another one are dropped. Returns 0 or -errno. */
int notes_open(const char *path, const char *device, struct notes **notes);

/* The file stays. Takes NULL. */
void notes_close(struct notes *notes);

/* Whether the last daemon has left notes. Takes NULL. */
static inline bool notes_left(const struct notes *notes)
{
	return notes && notes->in_use > 0;
}

/* ------- the I/O thread that serves ------- */

/* Notes a command that is about to write: length bytes at offset of the medium, from the iovecs,
 * where the first skip bytes are left out. base: of the ring's mapping. published: the ring's tail.
 * NULL: too many have notes, or its data is in too many pieces; it goes without. */
struct note *notes_begin(
	struct notes *notes, uint16_t cmd_id, uint64_t offset, uint64_t length,
	const struct iovec *iov, unsigned iov_cnt, uint64_t skip, const void *base,
	uint32_t published);

/* It is written, and its answer is GOOD. */
void notes_answer(struct notes *notes, struct note *note);

/* Its answer is in the ring: the outcome is unknown. */
void notes_answer_unknown(struct notes *notes, struct note *note);

/* The kernel has answered it, or it was refused and BUSY is the truth. All else leaves the note: a
 * device that ends before its answer is opened again, by this daemon or the next one, and the
 * command is finished then. */
void notes_drop(struct notes *notes, struct note *note);

/* Before the ring's tail goes from one position to another. */
void notes_publish(struct notes *notes, uint32_t from, uint32_t to);

/* After the kernel was notified: it has the answers. published: the ring's tail. */
void notes_published(struct notes *notes, uint32_t published);

/* ------- the one that takes them over ------- */

/* The tail that the last daemon has published, and the one that it was about to publish; the same,
 * if it was about to publish none. */
void notes_positions(const struct notes *notes, uint32_t *published, uint32_t *next);

/* The note after another one that is not free; NULL: the first. NULL: there is none. */
struct note *notes_next(struct notes *notes, const struct note *after);

/* The ring has none of the answers that were not published: unknown outcomes are to be written
 * again. */
void notes_resume(struct notes *notes);

/* Drops all. */
void notes_drop_all(struct notes *notes);
