/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of the settings is noticed however it is made, a second time too; and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/settings-watch.h"
#include "log-fixture.h"

#define WAIT_US    (10 * UINT64_C(1000000))
#define PATIENT_US UINT64_C(300000)

static sd_event *event;
static struct settings_watch *watch;
static unsigned changes;

static int setup(void **state)
{
	(void) state;
	changes = 0;
	watch = NULL;
	return sd_event_new(&event) < 0;
}

static int teardown(void **state)
{
	(void) state;
	settings_watch_free(watch);
	sd_event_unref(event);
	fixture_remove_directory();
	return 0;
}

/* ------- ways to change the file ------- */

/* Before the watch begins: what makes "etc/tcmu.conf" lead to a file. */
static void make_plain(void)
{
	assert_int_equal(mkdir(fixture_path("etc"), 0700), 0);
	fixture_write("etc/tcmu.conf", "a");
}

static void make_link(void)
{
	assert_int_equal(mkdir(fixture_path("etc"), 0700), 0);
	assert_int_equal(mkdir(fixture_path("store"), 0700), 0);
	fixture_write("store/one", "a");
	fixture_write("store/two", "a");
	assert_int_equal(symlink("../store/one", fixture_path("etc/tcmu.conf")), 0);
}

/* As a ConfigMap is mounted. */
static void make_directory_link(void)
{
	assert_int_equal(mkdir(fixture_path("etc"), 0700), 0);
	assert_int_equal(mkdir(fixture_path("etc/..1"), 0700), 0);
	assert_int_equal(mkdir(fixture_path("etc/..2"), 0700), 0);
	fixture_write("etc/..1/tcmu.conf", "a");
	fixture_write("etc/..2/tcmu.conf", "a");
	assert_int_equal(symlink("..1", fixture_path("etc/..data")), 0);
	assert_int_equal(symlink("..data/tcmu.conf", fixture_path("etc/tcmu.conf")), 0);
}

static void make_nothing(void)
{
}

static void write_in_place(unsigned round)
{
	fixture_write("etc/tcmu.conf", round ? "bb" : "cc");
}

static void rename_over(unsigned round)
{
	(void) round;
	fixture_write("new", "b");
	assert_int_equal(rename(fixture_path("new"), fixture_path("etc/tcmu.conf")), 0);
}

static void delete_or_create(unsigned round)
{
	if (round)
		fixture_write("etc/tcmu.conf", "b");
	else
		assert_int_equal(unlink(fixture_path("etc/tcmu.conf")), 0);
}

static void move_directory_away(unsigned round)
{
	char old[32];

	(void) snprintf(old, sizeof(old), "old-%u", round);
	assert_int_equal(rename(fixture_path("etc"), fixture_path(old)), 0);
	make_plain();
}

static void remove_directory(unsigned round)
{
	(void) round;
	assert_int_equal(unlink(fixture_path("etc/tcmu.conf")), 0);
	assert_int_equal(rmdir(fixture_path("etc")), 0);
	make_plain();
}

static void move_directory_and_back(unsigned round)
{
	if (round)
		assert_int_equal(rename(fixture_path("away"), fixture_path("etc")), 0);
	else
		assert_int_equal(rename(fixture_path("etc"), fixture_path("away")), 0);
}

static void replace_link(const char *path, const char *target)
{
	assert_int_equal(symlink(target, fixture_path("link")), 0);
	assert_int_equal(rename(fixture_path("link"), fixture_path(path)), 0);
}

static void retarget_link(unsigned round)
{
	replace_link("etc/tcmu.conf", round ? "../store/one" : "../store/two");
}

static void write_the_target(unsigned round)
{
	fixture_write("store/one", round ? "bb" : "cc");
}

static void replace_the_target(unsigned round)
{
	(void) round;
	fixture_write("new", "b");
	assert_int_equal(rename(fixture_path("new"), fixture_path("store/one")), 0);
}

static void swap_directory_link(unsigned round)
{
	replace_link("etc/..data", round ? "..1" : "..2");
}

static void create_all(unsigned round)
{
	if (round)
		fixture_write("etc/tcmu.conf", "bb");
	else
		make_plain();
}

static void write_the_other_name(unsigned round)
{
	char from[512];

	(void) round;
	if (access(fixture_path("hard"), F_OK) < 0) {
		(void) snprintf(from, sizeof(from), "%s", fixture_path("etc/tcmu.conf"));
		assert_int_equal(link(from, fixture_path("hard")), 0);
	}
	fixture_write("hard", "b");
}

static const struct way {
	const char *name;
	void (*make)(void);
	void (*change)(unsigned round);
} ways[] = {
	{"written in place", make_plain, write_in_place},
	{"renamed over", make_plain, rename_over},
	{"deleted and created", make_plain, delete_or_create},
	{"directory moved away and made again", make_plain, move_directory_away},
	{"directory removed and made again", make_plain, remove_directory},
	{"directory moved away and back", make_plain, move_directory_and_back},
	{"link to another file", make_link, retarget_link},
	{"target of the link written", make_link, write_the_target},
	{"target of the link replaced", make_link, replace_the_target},
	{"link of the directory swapped", make_directory_link, swap_directory_link},
	{"nothing was there", make_nothing, create_all},
	{"written by another name", make_plain, write_the_other_name},
};

/* ------- the tests ------- */

static void count_change(void *userdata)
{
	unsigned *cnt = userdata;

	(*cnt)++;
}

static void begin_watch(void)
{
	assert_int_equal(
		settings_watch_new(
			event, fixture_path("etc/tcmu.conf"), count_change, &changes, &watch),
		0);
}

static void await_change(const char *way, unsigned round)
{
	unsigned before = changes;
	int r = 1;

	while (changes == before && r > 0)
		r = sd_event_run(event, WAIT_US);
	if (r <= 0)
		fail_msg("%s, change %u: not noticed", way, round);
	assert_int_equal(changes, before + 1);
}

static void every_way_to_change_the_file_is_noticed(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		ways[i].make();
		begin_watch();
		for (unsigned round = 0; round < 2; round++) {
			ways[i].change(round);
			await_change(ways[i].name, round);
		}
		settings_watch_free(watch);
		watch = NULL;
		fixture_remove_directory();
	}
}

/* In a process with its own mounts. Returns how many changes were noticed, or -1. */
static int mount_and_unmount(const char *from, const char *to)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	begin_watch();
	for (unsigned round = 0; round < 2; round++) {
		unsigned before = changes;

		if ((round ? umount(to) : mount(from, to, NULL, MS_BIND, NULL)) < 0)
			return -1;
		while (changes == before && sd_event_run(event, WAIT_US) > 0)
			;
		/* The event loop lets go of the directories. */
		while (sd_event_run(event, 0) > 0)
			;
	}
	return (int) changes;
}

static void a_mount_over_the_directory_is_noticed(void **state)
{
	char from[512], to[512];
	int status = -1;
	pid_t child;

	(void) state;
	make_plain();
	assert_int_equal(mkdir(fixture_path("other"), 0700), 0);
	fixture_write("other/tcmu.conf", "b");
	(void) snprintf(from, sizeof(from), "%s", fixture_path("other"));
	(void) snprintf(to, sizeof(to), "%s", fixture_path("etc"));
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		event = NULL; /* an event loop belongs to the process that has made it */
		_exit(sd_event_new(&event) < 0 ? 1 : mount_and_unmount(from, to) != 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void other_files_are_not_reported(void **state)
{
	(void) state;
	make_plain();
	begin_watch();
	fixture_write("etc/tcmu.conf.old", "b");
	fixture_write("other", "b");
	assert_int_equal(mkdir(fixture_path("etc-old"), 0700), 0);
	while (sd_event_run(event, PATIENT_US) > 0)
		;
	assert_int_equal(changes, 0);
}

static void links_that_lead_in_a_circle_end(void **state)
{
	(void) state;
	assert_int_equal(mkdir(fixture_path("etc"), 0700), 0);
	assert_int_equal(symlink("other", fixture_path("etc/tcmu.conf")), 0);
	assert_int_equal(symlink("tcmu.conf", fixture_path("etc/other")), 0);
	begin_watch();
	rename_over(0);
	await_change("the circle replaced", 0);
}

static void out_of_descriptors_the_old_watch_stays(void **state)
{
	struct rlimit limit, none;

	(void) state;
	make_plain();
	begin_watch();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(settings_watch_renew(watch), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	write_in_place(0);
	await_change("after a lack of descriptors", 0);
	assert_int_equal(settings_watch_renew(watch), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_way_to_change_the_file_is_noticed),
		TEST(other_files_are_not_reported),
		TEST(links_that_lead_in_a_circle_end),
		TEST(out_of_descriptors_the_old_watch_stays),
		TEST(a_mount_over_the_directory_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
