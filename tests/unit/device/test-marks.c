/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks of clean stops and of formats, in a temporary directory. Saved mode parameters are tested
 * with configfs, which names their serial.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/marks.h"
#include "fake-root.h"
#include "io/thread.h"
#include "notes/notes.h"

static struct fake_root root;
static char run_dir[128];
static const struct tcmu_name disk = {.hba = 5, .name = "disk", .config = "file//srv/disk.img"};
static const struct tcmu_name other = {.hba = 5, .name = "disk", .config = "file//srv/new.img"};

static int setup(void **state)
{
	(void) state;
	fake_root_make(&root);
	(void) snprintf(run_dir, sizeof(run_dir), "%s", fake_root_path(&root, "/run"));
	assert_int_equal(mkdir(run_dir, 0755), 0);
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void a_clean_stop_is_known_once(void **state)
{
	(void) state;
	assert_false(marks_take_clean(run_dir, &disk, 3));
	assert_int_equal(marks_set_clean(run_dir, &disk, 3), 0);
	assert_false(marks_take_clean(run_dir, &disk, 4));
	assert_true(marks_take_clean(run_dir, &disk, 3));
	assert_false(marks_take_clean(run_dir, &disk, 3));
}

static void a_mark_means_nothing_for_another_device(void **state)
{
	(void) state;
	assert_int_equal(marks_set_clean(run_dir, &disk, 3), 0);
	assert_false(marks_take_clean(run_dir, &other, 3));
	assert_false(marks_take_clean(run_dir, &disk, 3));
	assert_int_equal(marks_set_format(run_dir, &disk, FORMAT_STATE_FORMAT), 0);
	assert_int_equal(marks_get_format(run_dir, &other), 0);
	assert_int_equal(marks_get_format(run_dir, &disk), FORMAT_STATE_FORMAT);
}

static void a_format_is_known_until_it_has_ended(void **state)
{
	const unsigned format_state = FORMAT_STATE_SANITIZE | FORMAT_STATE_EXIT;

	(void) state;
	assert_int_equal(marks_get_format(run_dir, &disk), 0);
	assert_int_equal(marks_set_format(run_dir, &disk, format_state), 0);
	assert_int_equal(marks_get_format(run_dir, &disk), format_state);
	assert_int_equal(marks_set_format(run_dir, &disk, 0), 0);
	assert_int_equal(marks_set_format(run_dir, &disk, 0), 0);
	assert_int_equal(marks_get_format(run_dir, &disk), 0);
}

static void a_mark_that_cannot_be_written_is_an_error(void **state)
{
	(void) state;
	assert_true(marks_set_clean("/dev/null/run", &disk, 3) < 0);
	assert_true(marks_set_format("/dev/null/run", &disk, FORMAT_STATE_FORMAT) < 0);
}

static void a_store_is_known_until_the_boot(void **state)
{
	const struct marks_store known = {
		.write_cache_set = true, .write_cache = false, .claim = "file:8:1:12"};
	const struct tcmu_name limited = {
		.hba = 5, .name = "disk", .config = "file//srv/disk.img;iops=10"};
	struct marks_store store = {.deleted = true};

	(void) state;
	marks_get_store(run_dir, &disk, &store);
	assert_false(store.deleted || store.write_cache_set || store.claim[0]);
	assert_int_equal(marks_set_store(run_dir, &disk, &known), 0);
	marks_get_store(run_dir, &limited, &store);
	assert_true(store.write_cache_set);
	assert_false(store.write_cache || store.deleted);
	assert_string_equal(store.claim, "file:8:1:12");
	marks_get_store(run_dir, &other, &store);
	assert_false(store.write_cache_set || store.claim[0]);
	assert_int_equal(
		marks_set_store(run_dir, &disk, &(struct marks_store){.deleted = true}), 0);
	marks_get_store(run_dir, &disk, &store);
	assert_true(store.deleted);
	assert_false(store.write_cache_set || store.claim[0]);
}

static void a_backstore_that_was_served_is_known_for_good(void **state)
{
	const struct tcmu_name limited = {
		.hba = 5, .name = "disk", .config = "file//srv/disk.img;iops=10"};
	char state_dir[160];

	(void) state;
	(void) snprintf(state_dir, sizeof(state_dir), "%s/state", run_dir);
	assert_false(marks_was_served(state_dir, &disk));
	assert_int_equal(marks_set_served(state_dir, &disk), 0);
	assert_true(marks_was_served(state_dir, &disk));
	assert_true(marks_was_served(state_dir, &limited));
	assert_false(marks_was_served(state_dir, &other));
	assert_int_equal(marks_set_served(state_dir, &other), 0);
	assert_true(marks_was_served(state_dir, &other));
	assert_int_equal(marks_set_served("/proc/not-there", &disk), -EIO);
}

/* ------- how many are kept ------- */

/* Writes a file that was changed so many seconds after the epoch. */
static void write_aged(const char *path, const char *text, unsigned seconds)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds}};
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void name_file(char path[256], const char *directory, const char *prefix, unsigned number)
{
	(void) snprintf(path, 256, "%s/%s%u", directory, prefix, number);
}

static bool is_there(const char *directory, const char *prefix, unsigned number)
{
	char path[256];

	name_file(path, directory, prefix, number);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Makes the files 1 to count, the first of them the oldest; text: of each, with its number. */
static void make_files(const char *directory, const char *prefix, unsigned count, const char *text)
{
	char path[256], line[128];

	for (unsigned i = 1; i <= count; i++) {
		name_file(path, directory, prefix, i);
		(void) snprintf(line, sizeof(line), "%s%u file//srv/disk.img\n", text, i);
		write_aged(path, line, i);
	}
}

/* All these files are as old as they can be. */
static void make_aged(const char *directory, const char *prefix)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 0}};
	DIR *dir = opendir(directory);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			assert_int_equal(utimensat(dirfd(dir), entry->d_name, times, 0), 0);
	(void) closedir(dir);
}

static unsigned count_files(const char *directory, const char *prefix)
{
	DIR *dir = opendir(directory);
	unsigned count = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	(void) closedir(dir);
	return count;
}

#define STORES_MAX (MARKS_STORES_KEPT + MARKS_STORES_KEPT / 8)
#define SERVED_MAX (MARKS_SERVED_KEPT + MARKS_SERVED_KEPT / 8)

/* The kernel takes any bytes for a name and a config string, UTF-8 or not. */
static void names_of_any_bytes_have_their_marks(void **state)
{
	static const struct tcmu_name names[] = {
		{.hba = 5, .name = "d\xefsk", .config = "file//srv/disk.img"},
		{.hba = 5, .name = "disk", .config = "file//srv/d\xefsk.img"},
		{.hba = 5, .name = "disk", .config = "file//srv/d\xeesk.img"},
		{.hba = 5, .name = "d\303\257sk", .config = "file//srv/d\303\257sk.img"},
		{.hba = 5, .name = "a\ndeleted=true", .config = "file//srv/a\ndeleted=true"},
		{.hba = 5, .name = " a \\n\t ", .config = "file// \\s \\xef \t"},
		{.hba = 5, .name = "[a]", .config = "file//srv/\x01\x7f"},
	};
	const struct marks_store known = {.write_cache_set = true, .claim = "nbd /srv/\xef.socket"};

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct marks_store store;

		assert_int_equal(marks_set_store(run_dir, &names[i], &known), 0);
		assert_int_equal(marks_set_served(run_dir, &names[i]), 0);
		assert_int_equal(marks_set_clean(run_dir, &names[i], 3), 0);
		assert_int_equal(marks_set_format(run_dir, &names[i], FORMAT_STATE_FORMAT), 0);
		assert_int_equal(marks_get_format(run_dir, &names[i]), FORMAT_STATE_FORMAT);
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			marks_get_store(run_dir, &names[j], &store);
			assert_int_equal(store.write_cache_set, j == i);
			assert_false(store.deleted);
			assert_string_equal(store.claim, j == i ? known.claim : "");
			if (j >= i)
				assert_int_equal(marks_was_served(run_dir, &names[j]), j == i);
		}
		assert_true(marks_take_clean(run_dir, &names[i], 3));
		assert_int_equal(
			marks_set_store(
				run_dir, &names[i], &(struct marks_store){.deleted = false}),
			0);
	}
}

#define LONG 215 /* bytes of a name; all marks of a shorter one are called by it */

/* A backstore may have a name as long as a file's, and the name of a mark is longer. */
static void long_names_have_their_marks(void **state)
{
	const struct marks_store known = {.write_cache_set = true, .claim = "file:8:1:12"};

	(void) state;
	for (size_t length = LONG; length < sizeof(disk.name); length++) {
		struct tcmu_scan_entry entry = {.name = {.hba = 5, .config = "file//srv/disk.img"}};
		struct tcmu_name *name = &entry.name, neighbor;
		struct marks_store store;
		struct notes *notes;

		memset(name->name, 'n', length);
		neighbor = *name;
		neighbor.name[length - 1] = 'm';
		assert_int_equal(marks_get_format(run_dir, name), 0);
		assert_false(marks_was_served(run_dir, name));
		assert_int_equal(marks_set_clean(run_dir, name, 3), 0);
		assert_int_equal(marks_set_format(run_dir, name, FORMAT_STATE_FORMAT), 0);
		assert_int_equal(marks_set_store(run_dir, name, &known), 0);
		assert_int_equal(marks_set_served(run_dir, name), 0);
		notes = marks_open_notes(run_dir, name, 3, "claim");
		assert_non_null(notes);
		notes_close(notes);

		marks_sweep(run_dir, &entry, 1);
		assert_int_equal(count_files(run_dir, "notes-"), 1);
		assert_int_equal(marks_get_format(run_dir, &neighbor), 0);
		assert_false(marks_was_served(run_dir, &neighbor));
		marks_get_store(run_dir, &neighbor, &store);
		assert_false(store.write_cache_set);
		assert_int_equal(marks_get_format(run_dir, name), FORMAT_STATE_FORMAT);
		assert_true(marks_was_served(run_dir, name));
		marks_get_store(run_dir, name, &store);
		assert_true(store.write_cache_set);
		assert_string_equal(store.claim, known.claim);
		assert_true(marks_take_clean(run_dir, name, 3));

		marks_forget(run_dir, name);
		assert_int_equal(count_files(run_dir, "notes-"), 0);
		assert_int_equal(count_files(run_dir, "format-"), 0);
	}
}

static void stores_that_were_deleted_long_ago_are_forgotten(void **state)
{
	struct tcmu_scan_entry entry = {.name = {.hba = 5, .name = "2"}};

	(void) state;
	make_files(run_dir, "store-user_5-", STORES_MAX, "");
	make_files(run_dir, "clean-uio", 3, "");
	make_files(run_dir, "format-user_5-", 3, "");
	make_files(run_dir, "notes-user_5-", 3, "");
	marks_sweep(run_dir, &entry, 1);
	assert_int_equal(count_files(run_dir, "store-"), STORES_MAX);
	make_files(run_dir, "store-user_6-", 1, "");
	marks_sweep(run_dir, &entry, 1);
	assert_int_equal(count_files(run_dir, "store-"), MARKS_STORES_KEPT + 1);
	assert_false(is_there(run_dir, "store-user_5-", 1));
	assert_true(is_there(run_dir, "store-user_5-", 2)); /* of a device of the kernel */
	assert_false(is_there(run_dir, "store-user_5-", STORES_MAX - MARKS_STORES_KEPT));
	assert_true(is_there(run_dir, "store-user_5-", STORES_MAX - MARKS_STORES_KEPT + 1));
	assert_int_equal(count_files(run_dir, "clean-"), 3);
	assert_int_equal(count_files(run_dir, "format-"), 3);
	assert_int_equal(count_files(run_dir, "notes-"), 1);
}

/* Of four old backstores the kernel has one, whose name contains a space; the file of one cannot be
 * read, and one was served again. */
static void backstores_that_were_served_long_ago_are_forgotten(void **state)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 3}};
	char state_dir[160], path[256];

	(void) state;
	(void) snprintf(state_dir, sizeof(state_dir), "%s/state", run_dir);
	assert_int_equal(mkdir(state_dir, 0755), 0);
	assert_int_equal(marks_set_served(state_dir, &disk), 0);
	make_files(state_dir, "served-", SERVED_MAX - 1, "user_5/a disk ");
	fake_root_write(
		&root, "/sys/kernel/config/target/core/user_5/a disk 2/attrib/hw_block_size",
		"512\n");
	name_file(path, state_dir, "served-", 3);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(path, path), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
	name_file(path, state_dir, "served-", 4);
	write_aged(path, "no mark", 4);
	assert_int_equal(marks_set_served(state_dir, &disk), 0);
	assert_int_equal(count_files(state_dir, "served-"), SERVED_MAX);
	make_files(state_dir, "served-new", 1, "user_5/new");
	assert_int_equal(
		marks_set_served(state_dir, &(struct tcmu_name){.hba = 5, .name = "one"}), 0);
	assert_false(is_there(state_dir, "served-", 1));
	assert_true(is_there(state_dir, "served-", 2));
	assert_true(is_there(state_dir, "served-", 3));
	assert_false(is_there(state_dir, "served-", 4));
	assert_true(marks_was_served(state_dir, &disk));
	assert_in_range(
		count_files(state_dir, "served-"), MARKS_SERVED_KEPT, MARKS_SERVED_KEPT + 4);
}

static void modes_that_were_used_long_ago_are_forgotten(void **state)
{
	const struct scsi_mode_values values = {.write_cache = true};
	struct scsi_mode_values read;
	char state_dir[160];

	(void) state;
	(void) snprintf(state_dir, sizeof(state_dir), "%s/state", run_dir);
	assert_int_equal(marks_save_modes(state_dir, "used", &values), 0);
	assert_int_equal(marks_save_modes(state_dir, "unused", &values), 0);
	make_aged(state_dir, "mode-");
	assert_int_equal(marks_load_modes(state_dir, "used", &read), 1);
	make_files(state_dir, "mode-", SERVED_MAX - 1, "");
	assert_int_equal(marks_save_modes(state_dir, "new", &values), 0);
	assert_int_equal(count_files(state_dir, "mode-"), MARKS_SERVED_KEPT + 1);
	assert_int_equal(marks_load_modes(state_dir, "used", &read), 1);
	assert_int_equal(marks_load_modes(state_dir, "new", &read), 1);
	assert_int_equal(marks_load_modes(state_dir, "unused", &read), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_clean_stop_is_known_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_mark_means_nothing_for_another_device, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_format_is_known_until_it_has_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_mark_that_cannot_be_written_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_store_is_known_until_the_boot, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_backstore_that_was_served_is_known_for_good, setup, teardown),
		cmocka_unit_test_setup_teardown(
			stores_that_were_deleted_long_ago_are_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(
			names_of_any_bytes_have_their_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(long_names_have_their_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			backstores_that_were_served_long_ago_are_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(
			modes_that_were_used_long_ago_are_forgotten, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
