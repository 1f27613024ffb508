/* SPDX-License-Identifier: Apache-2.0 */
/* See notes/notes.h. */
#include "notes/notes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_VERSION UINT64_C(0x31736574756d6374) /* changes with the file's form */
#define DEVICE_MAX    992

struct notes_file {
	uint64_t version;
	_Atomic(uint64_t) positions; /* published, and in the low half the next one */
	char device[DEVICE_MAX];
	struct note notes[NOTES_MAX];
};

_Static_assert(sizeof(struct note) == 256, "the file's form");
_Static_assert(sizeof(struct notes_file) == 16384, "the file's form");

/* ------- the file ------- */

/* Memory that is not there when it is touched would kill the daemon. is_new: all of it is zero. */
static int notes_map(int fd, struct notes_file **file, bool *is_new)
{
	struct stat status;
	void *memory;
	int r;

	if (fstat(fd, &status) < 0)
		return -errno;
	*is_new = status.st_size == 0;
	r = posix_fallocate(fd, 0, sizeof(**file));
	if (r)
		return -r;
	memory = mmap(NULL, sizeof(**file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*file = memory;
	return 0;
}

static bool notes_are_sound(const struct notes_file *file, const char *device)
{
	assert(file);
	if (file->version != NOTES_VERSION || strncmp(file->device, device, DEVICE_MAX) != 0)
		return false;
	for (unsigned i = 0; i < NOTES_MAX; i++)
		if (atomic_load(&file->notes[i].state) > NOTE_UNKNOWN ||
		    file->notes[i].extent_cnt > NOTE_EXTENTS_MAX)
			return false;
	return true;
}

/* The version comes last: a file that is cut short is not sound. A new file is zeros already. */
static void notes_init(struct notes_file *file, const char *device, bool is_new)
{
	assert(file);
	if (!is_new)
		memset(file, 0, sizeof(*file));
	strncpy(file->device, device, DEVICE_MAX - 1);
	atomic_signal_fence(memory_order_seq_cst);
	file->version = NOTES_VERSION;
}

int notes_open(const char *path, const char *device, struct notes **ret)
{
	struct notes *notes = calloc(1, sizeof(*notes));
	bool is_new = false;
	int r = -ENOMEM;
	int fd;

	assert(strlen(device) < DEVICE_MAX);
	if (!notes)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = fd < 0 ? -errno : notes_map(fd, &notes->file, &is_new);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		free(notes);
		return r;
	}
	*ret = notes;
	if (is_new && (notes->device = strdup(device)))
		return 0;
	if (!notes_are_sound(notes->file, device))
		notes_init(notes->file, device, false);
	for (unsigned i = 0; i < NOTES_MAX; i++)
		notes->in_use += atomic_load(&notes->file->notes[i].state) != NOTE_FREE;
	return 0;
}

void notes_close(struct notes *notes)
{
	if (!notes)
		return;
	(void) munmap(notes->file, sizeof(*notes->file));
	free(notes->device);
	free(notes);
}

/* ------- one note ------- */

static void note_set_state(struct note *note, enum note_state state)
{
	assert(state <= NOTE_UNKNOWN);
	atomic_store(&note->state, state);
}

/* Describes length bytes behind the first skip ones. False: in too many pieces. */
static bool note_set_data(
	struct note *note, const struct iovec *iov, unsigned iov_cnt, uint64_t skip,
	uint64_t length, const void *base)
{
	note->extent_cnt = 0;
	for (unsigned i = 0; i < iov_cnt && length; i++) {
		uint64_t left_out = iov[i].iov_len < skip ? iov[i].iov_len : skip;
		uint64_t part = iov[i].iov_len - left_out;
		unsigned n = note->extent_cnt;

		skip -= left_out;
		if (part > length)
			part = length;
		if (!part)
			continue;
		if (n == NOTE_EXTENTS_MAX || part > UINT32_MAX)
			return false;
		note->data_offset[n] = (uintptr_t) iov[i].iov_base - (uintptr_t) base + left_out;
		note->data_length[n] = (uint32_t) part;
		note->extent_cnt++;
		length -= part;
	}
	return length == 0;
}

static struct note *notes_find_free(struct notes *notes)
{
	for (unsigned i = 0; i < NOTES_MAX; i++)
		if (atomic_load(&notes->file->notes[i].state) == NOTE_FREE)
			return &notes->file->notes[i];
	return NULL;
}

static void notes_set_positions(struct notes *notes, uint32_t published, uint32_t next)
{
	atomic_store(&notes->file->positions, (uint64_t) published << 32 | next);
}

struct note *notes_begin(
	struct notes *notes, uint16_t cmd_id, uint64_t offset, uint64_t length,
	const struct iovec *iov, unsigned iov_cnt, uint64_t skip, const void *base,
	uint32_t published)
{
	struct note *note;

	assert(cmd_id && length);
	if (notes->device) {
		notes_init(notes->file, notes->device, true);
		free(notes->device);
		notes->device = NULL;
	}
	note = notes_find_free(notes);
	if (!note || !note_set_data(note, iov, iov_cnt, skip, length, base))
		return NULL;
	note->cmd_id = cmd_id;
	note->offset = offset;
	note->length = length;
	if (notes->in_use++ == 0)
		notes_set_positions(notes, published, published);
	note_set_state(note, NOTE_WRITING);
	return note;
}

void notes_answer(struct notes *notes, struct note *note)
{
	assert(notes->in_use > 0 && atomic_load(&note->state) == NOTE_WRITING);
	note_set_state(note, NOTE_ANSWERED);
}

void notes_answer_unknown(struct notes *notes, struct note *note)
{
	assert(notes->in_use > 0 && atomic_load(&note->state) == NOTE_WRITING);
	note_set_state(note, NOTE_UNKNOWN);
}

void notes_drop(struct notes *notes, struct note *note)
{
	assert(notes->in_use > 0 && atomic_load(&note->state) != NOTE_FREE);
	note_set_state(note, NOTE_FREE);
	notes->in_use--;
}

/* ------- the ring's tail ------- */

void notes_publish(struct notes *notes, uint32_t from, uint32_t to)
{
	assert(notes->in_use > 0);
	notes_set_positions(notes, from, to);
}

/* The answered notes go first: a position that is not known to be published would have them
 * answered twice. */
void notes_published(struct notes *notes, uint32_t published)
{
	for (unsigned i = 0; i < NOTES_MAX; i++)
		if (atomic_load(&notes->file->notes[i].state) >= NOTE_ANSWERED)
			notes_drop(notes, &notes->file->notes[i]);
	notes_set_positions(notes, published, published);
}

void notes_positions(const struct notes *notes, uint32_t *published, uint32_t *next)
{
	uint64_t positions = atomic_load(&notes->file->positions);

	assert(notes->in_use > 0);
	*published = (uint32_t) (positions >> 32);
	*next = (uint32_t) positions;
}

/* ------- all of them ------- */

struct note *notes_next(struct notes *notes, const struct note *after)
{
	struct note *note = notes->file->notes;
	struct note *end = note + NOTES_MAX;

	assert(!after || (after >= note && after < end));
	if (!notes->in_use)
		return NULL;
	if (after)
		note += after - note + 1;
	for (; note < end; note++)
		if (atomic_load(&note->state) != NOTE_FREE)
			return note;
	return NULL;
}

void notes_resume(struct notes *notes)
{
	struct note *note = NULL;

	while ((note = notes_next(notes, note)))
		if (atomic_load(&note->state) == NOTE_UNKNOWN)
			note_set_state(note, NOTE_WRITING);
}

void notes_drop_all(struct notes *notes)
{
	struct note *note = NULL;

	while ((note = notes_next(notes, note)))
		notes_drop(notes, note);
	assert(notes->in_use == 0);
}
