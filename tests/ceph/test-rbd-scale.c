/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads and descriptors that an open image takes from the process.
 */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>

#include "rbd-host.h"

#define IMAGES 16

/* An image has 12 threads of librados and librbd, one of librbd's update watch, and the handler's
 * own one. */
#define THREADS_MAX 14

/* An epoll, two for a pipe, and a socket for the monitor, the manager and each OSD, of which the
 * cluster has one. */
#define DESCRIPTORS_MAX 6

/* A fake host has a thread for the handler's completions, and an eventfd. */
#define HOST_THREADS     1
#define HOST_DESCRIPTORS 1

/* Sockets that librados closes late; the settling of a new connection. */
#define SLACK          8
#define SETTLE_SECONDS 20

struct usage {
	unsigned threads;
	unsigned descriptors;
};

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned cnt = 0;

	assert_non_null(dir);
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		cnt += entry->d_name[0] != '.';
	assert_int_equal(closedir(dir), 0);
	return cnt;
}

static struct usage get_usage(void)
{
	return (struct usage){
		.threads = count_entries("/proc/self/task"),
		.descriptors = count_entries("/proc/self/fd"),
	};
}

static bool is_within(struct usage usage, struct usage limit)
{
	return usage.threads <= limit.threads && usage.descriptors <= limit.descriptors;
}

static void wait_within(const char *what, struct usage limit)
{
	struct usage usage;

	for (unsigned i = 0; i < SETTLE_SECONDS * 10; i++) {
		usage = get_usage();
		if (is_within(usage, limit))
			return;
		(void) poll(NULL, 0, 100);
	}
	fail_msg(
		"%s: %u threads (limit %u), %u descriptors (limit %u)", what, usage.threads,
		limit.threads, usage.descriptors, limit.descriptors);
}

static void open_images(struct fake_host **hosts, const char *prefix, const char *conf)
{
	char text[256], name[32];

	for (unsigned i = 0; i < IMAGES; i++) {
		(void) snprintf(name, sizeof(name), "%s%u", prefix, i);
		image_create("", name, SIZE);
		hosts[i] = fake_host_new(PLUGIN, AIO_THREADS);
		(void) snprintf(text, sizeof(text), "rbd/%s;conf=%s;id=admin", name, conf);
		if (fake_open(hosts[i], text, SIZE, BLOCK) < 0)
			fail_msg("%s", hosts[i]->reason.text);
		write_bytes(hosts[i], 0, BLOCK, 0x11);
	}
}

static void close_images(struct fake_host **hosts)
{
	for (unsigned i = 0; i < IMAGES; i++)
		fake_host_free(hosts[i]);
}

/* Prints the figures too: docs/performance.md has them. */
static void an_image_takes_few_threads_and_descriptors(void **state)
{
	struct fake_host *hosts[IMAGES];
	struct usage before = get_usage(), with;
	char conf[256];

	(void) state;
	(void) snprintf(conf, sizeof(conf), "%s/ceph.conf", cluster);
	open_images(hosts, "few", conf);
	with = get_usage();
	print_message(
		"%u images: %u threads, %u descriptors\n", IMAGES,
		with.threads - before.threads - IMAGES * HOST_THREADS,
		with.descriptors - before.descriptors - IMAGES * HOST_DESCRIPTORS);
	wait_within(
		"open",
		(struct usage){
			.threads = before.threads + IMAGES * (THREADS_MAX + HOST_THREADS),
			.descriptors = before.descriptors +
				IMAGES * (DESCRIPTORS_MAX + HOST_DESCRIPTORS) + SLACK,
		});
	close_images(hosts);
	wait_within(
		"closed",
		(struct usage){
			.threads = before.threads,
			.descriptors = before.descriptors + SLACK,
		});
}

/* The operator's own figure is not overridden. */
static void the_configuration_file_sets_the_threads(void **state)
{
	struct fake_host *hosts[IMAGES];
	struct usage before = get_usage();
	char command[1024], conf[256];

	(void) state;
	(void) snprintf(conf, sizeof(conf), "%s/threads.conf", cluster);
	(void) snprintf(
		command, sizeof(command),
		"cp %s/ceph.conf %s && printf '\\tms_async_op_threads = 4\\n' >>%s", cluster, conf,
		conf);
	cluster_run(command);
	open_images(hosts, "set", conf);
	assert_int_equal(
		get_usage().threads - before.threads, IMAGES * (THREADS_MAX + HOST_THREADS + 3));
	close_images(hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_takes_few_threads_and_descriptors),
		cmocka_unit_test(the_configuration_file_sets_the_threads),
	};

	return cmocka_run_group_tests(tests, setup_cluster, teardown_cluster);
}
