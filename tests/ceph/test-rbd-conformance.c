/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd handler passes tcmu-handler-test on a real cluster (tests/ceph/cluster), whose directory
 * is in CEPH_TEST_CLUSTER. No run leaves a client behind: the image has no watcher.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images.h"

#define SIZE          (64 * MIB)
#define WATCH_SECONDS 2 /* less than the cluster keeps the watch of a client that has vanished */

static const char *cluster;

static int setup_images(void **state)
{
	(void) state;
	cluster = getenv("CEPH_TEST_CLUSTER");
	assert_non_null(cluster);
	images_connect(cluster);
	return 0;
}

static int teardown_images(void **state)
{
	(void) state;
	images_disconnect();
	return 0;
}

/* Appends to the command. */
__attribute__((format(printf, 3, 4))) static void command_add(
	char *command, size_t size, const char *format, ...)
{
	size_t used = strlen(command);
	va_list args;
	int r;

	va_start(args, format);
	r = vsnprintf(command + used, size - used, format, args);
	va_end(args);
	assert_in_range(r, 0, size - used - 1);
}

/* refused: pairs of a target and of more of the config string, up to a target that is NULL. */
static void assert_passes(const char *target, const char *options, const char *const refused[][2])
{
	char command[2048] = "";

	command_add(command, sizeof(command), "'%s' --timeout=120 --load=0.5 %s", KIT, options);
	for (; refused && (*refused)[0]; refused++)
		command_add(
			command, sizeof(command), " '--refuse=%s;conf=%s/ceph.conf%s'",
			(*refused)[0], cluster, (*refused)[1]);
	command_add(
		command, sizeof(command), " '%s' 'rbd/%s;conf=%s/ceph.conf'", PLUGIN, target,
		cluster);
	cluster_run(command);
}

static void an_image_passes_all_tests(void **state)
{
	static const char *const refused[][2] = {
		{"rbd/no-such-image", ""},
		{"no-such-pool/all", ""},
		{"rbd/no-such-namespace/all", ""},
		{"rbd/all@no-such-snapshot", ""},
		{"rbd", ""},
		{"rbd/all", ";osd_op_timeout=soon"},
		{"rbd/all", ";no_such_option=1"},
		{NULL, NULL},
	};
	char options[1024] = "";

	(void) state;
	image_create("", "all", SIZE);
	command_add(
		options, sizeof(options),
		"'--stall=%s signal %s osd STOP' '--resume=%s signal %s osd CONT'", CLUSTER,
		cluster, CLUSTER, cluster);
	assert_passes("all", options, refused);
	image_wait_unwatched("all", WATCH_SECONDS);
	image_delete("all");
}

/* Each image has what changes the way of a request through librbd. */
static void images_of_other_forms_pass(void **state)
{
	static const char *const forms[] = {
		"--image-feature layering",
		"--object-size 64K",
		"--object-size 64K --stripe-unit 16K --stripe-count 4",
	};
	char command[512];

	(void) state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		(void) snprintf(
			command, sizeof(command),
			"rbd -c '%s/ceph.conf' create rbd/form --size %dM %s", cluster,
			(int) (SIZE / MIB), forms[i]);
		cluster_run(command);
		assert_passes(
			"form",
			"-t properties -t read-write -t operations -t concurrent -t overlapping "
			"-t reopen",
			NULL);
		image_wait_unwatched("form", WATCH_SECONDS);
		image_delete("form");
	}
}

static void blocks_of_4096_bytes_pass(void **state)
{
	(void) state;
	image_create("", "blocks", SIZE);
	assert_passes(
		"blocks",
		"-b 4096 -t properties -t read-write -t operations -t concurrent -t resize", NULL);
	image_wait_unwatched("blocks", WATCH_SECONDS);
	image_delete("blocks");
}

static void a_snapshot_and_a_namespace_pass(void **state)
{
	(void) state;
	image_create("", "base", SIZE);
	image_snapshot("base", "then");
	assert_passes("base@then", "-t properties -t open-close -t read-only -t load", NULL);
	image_create("conformance", "base", SIZE);
	assert_passes(
		"conformance/base", "-t open-close -t read-write -t concurrent -t reopen -t lock",
		NULL);
	image_wait_unwatched("base", WATCH_SECONDS);
}

/* A test that has opened the image and written to it is skipped: the client ends in good order. */
static void a_test_that_is_skipped_leaves_no_client(void **state)
{
	(void) state;
	image_create("", "skipped", SIZE);
	assert_passes("skipped", "-t errors -t short-transfers -t commands", NULL);
	image_wait_unwatched("skipped", WATCH_SECONDS);
	image_delete("skipped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_passes_all_tests),
		cmocka_unit_test(images_of_other_forms_pass),
		cmocka_unit_test(blocks_of_4096_bytes_pass),
		cmocka_unit_test(a_snapshot_and_a_namespace_pass),
		cmocka_unit_test(a_test_that_is_skipped_leaves_no_client),
	};

	return cmocka_run_group_tests(tests, setup_images, teardown_images);
}
