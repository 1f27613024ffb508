/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon finds of the notes that its predecessor has made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notes/notes.h"
#include "temp-dir.h"

static char directory[] = "/tmp/notes-XXXXXX";
static char path[64];
static uint8_t ring[65536];

static int group_setup(void **state)
{
	(void) state;
	temp_dir_make(directory);
	(void) snprintf(path, sizeof(path), "%s/notes", directory);
	return 0;
}

static int group_teardown(void **state)
{
	(void) state;
	temp_dir_remove(directory);
	return 0;
}

static int remove_file(void **state)
{
	(void) state;
	(void) unlink(path);
	return 0;
}

static struct notes *open_notes(const char *device)
{
	struct notes *notes;

	assert_int_equal(notes_open(path, device, &notes), 0);
	return notes;
}

static struct note *begin(struct notes *notes, uint16_t cmd_id)
{
	struct iovec iov = {.iov_base = ring + 4096, .iov_len = 1024};

	return notes_begin(notes, cmd_id, 512, 512, &iov, 1, 512, ring, 64);
}

static void a_killed_process_leaves_its_notes(void **state)
{
	pid_t child = fork();
	uint32_t published, next;
	struct notes *notes;
	struct note *note;
	int status;

	(void) state;
	if (child == 0) {
		notes = open_notes("me");
		notes_answer(notes, begin(notes, 7));
		(void) begin(notes, 9);
		notes_publish(notes, 64, 192);
		(void) raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	notes = open_notes("me");
	assert_true(notes_left(notes));
	notes_positions(notes, &published, &next);
	assert_int_equal(published, 64);
	assert_int_equal(next, 192);
	note = notes_next(notes, NULL);
	assert_int_equal(note->cmd_id, 7);
	assert_int_equal(note->state, NOTE_ANSWERED);
	note = notes_next(notes, note);
	assert_int_equal(note->cmd_id, 9);
	assert_int_equal(note->state, NOTE_WRITING);
	assert_int_equal(note->offset, 512);
	assert_int_equal(note->length, 512);
	assert_int_equal(note->extent_cnt, 1);
	assert_int_equal(note->data_offset[0], 4096 + 512);
	assert_int_equal(note->data_length[0], 512);
	assert_null(notes_next(notes, note));
	notes_drop_all(notes);
	assert_false(notes_left(notes));
	notes_close(notes);
	notes = open_notes("me");
	assert_false(notes_left(notes));
	notes_close(notes);
}

static void publishing_ends_answered_notes_only(void **state)
{
	struct notes *notes = open_notes("me");
	struct note *first = begin(notes, 1), *second = begin(notes, 2);
	uint32_t published, next;

	(void) state;
	notes_answer(notes, first);
	notes_publish(notes, 64, 128);
	notes_published(notes, 128);
	assert_int_equal(notes->in_use, 1);
	assert_ptr_equal(notes_next(notes, NULL), second);
	notes_positions(notes, &published, &next);
	assert_int_equal(published, 128);
	assert_int_equal(next, 128);
	notes_drop(notes, second);
	notes_close(notes);
}

static void data_in_pieces_is_described(void **state)
{
	struct notes *notes = open_notes("me");
	struct iovec iov[] = {
		{.iov_base = ring + 100, .iov_len = 300},
		{.iov_base = ring + 1000, .iov_len = 400},
		{.iov_base = ring + 3000, .iov_len = 1000},
	};
	struct note *note = notes_begin(notes, 1, 0, 512, iov, 3, 512, ring, 0);

	(void) state;
	assert_non_null(note);
	assert_int_equal(note->extent_cnt, 2);
	assert_int_equal(note->data_offset[0], 1212);
	assert_int_equal(note->data_length[0], 188);
	assert_int_equal(note->data_offset[1], 3000);
	assert_int_equal(note->data_length[1], 324);
	notes_close(notes);
}

static void what_has_no_room_goes_without(void **state)
{
	struct notes *notes = open_notes("me");
	struct iovec iov[NOTE_EXTENTS_MAX + 1];
	uint16_t id = 0;

	(void) state;
	for (unsigned i = 0; i <= NOTE_EXTENTS_MAX; i++)
		iov[i] = (struct iovec){.iov_base = ring, .iov_len = 512};
	assert_null(notes_begin(
		notes, 1, 0, sizeof(iov) / sizeof(iov[0]) * 512, iov, NOTE_EXTENTS_MAX + 1, 0, ring,
		0));
	assert_null(notes_begin(notes, 1, 0, 1024, iov, 1, 0, ring, 0)); /* too little data */
	assert_int_equal(notes->in_use, 0);
	while (begin(notes, ++id))
		;
	assert_int_equal(id, NOTES_MAX + 1);
	notes_close(notes);
}

static void notes_of_another_device_are_dropped(void **state)
{
	struct notes *notes = open_notes("me");

	(void) state;
	(void) begin(notes, 1);
	notes_close(notes);
	notes = open_notes("another");
	assert_false(notes_left(notes));
	notes_close(notes);
}

static void a_damaged_file_is_made_again(void **state)
{
	static const off_t places[] = {0, 1024, 1024 + 6}; /* version, state, extent_cnt */

	(void) state;
	for (unsigned i = 0; i < 3; i++) {
		struct notes *notes = open_notes("me");
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		(void) begin(notes, 1);
		notes_close(notes);
		assert_int_equal(pwrite(fd, "\xff\xff", 2, places[i]), 2);
		close(fd);
		notes = open_notes("me");
		assert_false(notes_left(notes));
		notes_close(notes);
	}
	assert_int_equal(truncate(path, 100), 0);
	notes_close(open_notes("me"));
}

static void a_file_that_cannot_be_made_is_reported(void **state)
{
	struct notes *notes;

	(void) state;
	assert_int_equal(notes_open("/proc/notes", "me", &notes), -ENOENT);
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(notes_open(path, "me", &notes), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, remove_file)
		TEST(a_killed_process_leaves_its_notes),
		TEST(publishing_ends_answered_notes_only),
		TEST(data_in_pieces_is_described),
		TEST(what_has_no_room_goes_without),
		TEST(notes_of_another_device_are_dropped),
		TEST(a_damaged_file_is_made_again),
		TEST(a_file_that_cannot_be_made_is_reported),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
