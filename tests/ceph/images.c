/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second client of the cluster, by librbd.
 */
#include "images.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY_MS       100
#define WATCHERS_MAX 8
#define FEATURES     61 /* layering, exclusive-lock, object-map, fast-diff, deep-flatten */

static const char *cluster_dir;
static rados_t cluster;
static rados_ioctx_t pool;

void images_connect(const char *dir)
{
	char conf[512];

	cluster_dir = dir;
	(void) snprintf(conf, sizeof(conf), "%s/ceph.conf", cluster_dir);
	assert_int_equal(rados_create(&cluster, "admin"), 0);
	assert_int_equal(rados_conf_read_file(cluster, conf), 0);
	assert_int_equal(rados_connect(cluster), 0);
	assert_int_equal(rados_ioctx_create(cluster, "rbd", &pool), 0);
}

void images_disconnect(void)
{
	rados_ioctx_destroy(pool);
	rados_shutdown(cluster);
}

void image_create(const char *name_space, const char *name, uint64_t size)
{
	int order = 0;

	if (name_space[0])
		assert_int_equal(rbd_namespace_create(pool, name_space), 0);
	rados_ioctx_set_namespace(pool, name_space);
	assert_int_equal(rbd_create2(pool, name, size, FEATURES, &order), 0);
	rados_ioctx_set_namespace(pool, "");
}

static rbd_image_t image_open(const char *name)
{
	rbd_image_t image;

	assert_int_equal(rbd_open(pool, name, &image, NULL), 0);
	return image;
}

void image_snapshot(const char *name, const char *snapshot)
{
	rbd_image_t image = image_open(name);

	assert_int_equal(rbd_snap_create(image, snapshot), 0);
	assert_int_equal(rbd_close(image), 0);
}

void image_set_size(const char *name, uint64_t size)
{
	rbd_image_t image = image_open(name);

	assert_int_equal(rbd_resize(image, size), 0);
	assert_int_equal(rbd_close(image), 0);
}

void image_set_metadata(const char *name, const char *key, const char *value)
{
	rbd_image_t image = image_open(name);

	assert_int_equal(rbd_metadata_set(image, key, value), 0);
	assert_int_equal(rbd_close(image), 0);
}

void image_read(const char *name, uint64_t offset, void *data, size_t length)
{
	rbd_image_t image;

	assert_int_equal(rbd_open_read_only(pool, name, &image, NULL), 0);
	assert_int_equal(rbd_read(image, offset, length, data), length);
	assert_int_equal(rbd_close(image), 0);
}

/* Opens read-only, because such a client does not watch the image. */
static size_t image_list_watchers(const char *name, rbd_image_watcher_t *list)
{
	size_t cnt = WATCHERS_MAX;
	rbd_image_t image;

	assert_int_equal(rbd_open_read_only(pool, name, &image, NULL), 0);
	assert_int_equal(rbd_watchers_list(image, list, &cnt), 0);
	assert_int_equal(rbd_close(image), 0);
	return cnt;
}

void image_wait_unwatched(const char *name, unsigned seconds)
{
	rbd_image_watcher_t list[WATCHERS_MAX];

	for (unsigned i = 0; i < seconds * 1000 / TRY_MS; i++) {
		size_t cnt = image_list_watchers(name, list);

		rbd_watchers_list_cleanup(list, cnt);
		if (cnt == 0)
			return;
		/* The cluster sends no event for this. */
		(void) poll(NULL, 0, TRY_MS);
	}
	fail_msg("%s is still watched after %u s", name, seconds);
}

void image_delete(const char *name)
{
	assert_int_equal(rbd_remove(pool, name), 0);
}

static void cluster_blocklist(const char *address, unsigned seconds)
{
	char text[256];
	const char *command = text;

	(void) snprintf(
		text, sizeof(text),
		"{\"prefix\": \"osd blocklist\", \"blocklistop\": \"add\", \"addr\": \"%s\", "
		"\"expire\": %u.0}",
		address, seconds ? seconds : 3600);
	assert_int_equal(rados_mon_command(cluster, &command, 1, "", 0, NULL, NULL, NULL, NULL), 0);
	/* From now on each OSD answers us only with this map or a later one. */
	assert_int_equal(rados_wait_for_latest_osdmap(cluster), 0);
}

void image_blocklist_watchers(const char *name, unsigned seconds)
{
	rbd_image_watcher_t list[WATCHERS_MAX];
	size_t cnt = image_list_watchers(name, list);
	uint8_t byte;

	assert_true(cnt > 0);
	for (size_t i = 0; i < cnt; i++)
		cluster_blocklist(list[i].addr, seconds);
	rbd_watchers_list_cleanup(list, cnt);
	/* We have the new map. The OSD has it once it has answered our next request, which names
	 * the map's epoch. */
	image_read(name, 0, &byte, 1);
}

/* The part of the answer for one image ends with the brace of its properties. */
static bool service_has(const char *what, const char *name, const char *text)
{
	char request[128], key[128];
	const char *command = request;
	char *out = NULL, *part, *end;
	size_t length = 0;
	bool found = false;

	(void) snprintf(
		request, sizeof(request), "{\"prefix\": \"service %s\", \"format\": \"json\"}",
		what);
	(void) snprintf(key, sizeof(key), ":rbd/%s\"", name);
	assert_int_equal(
		rados_mon_command(cluster, &command, 1, "", 0, &out, &length, NULL, NULL), 0);
	part = memmem(out, length, key, strlen(key));
	end = part ? memchr(part, '}', length - (size_t) (part - out)) : NULL;
	if (end)
		found = memmem(part, (size_t) (end - part), text, strlen(text)) != NULL;
	rados_buffer_free(out);
	return found;
}

void cluster_wait_service(const char *what, const char *name, const char *text, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 1000 / TRY_MS; i++) {
		if (service_has(what, name, text))
			return;
		/* The manager reports every few seconds and sends no event. */
		(void) poll(NULL, 0, TRY_MS);
	}
	fail_msg("service %s does not show after %u s: %s", what, seconds, text);
}

static void run_program(char *const *arguments)
{
	pid_t pid;
	int status;

	assert_int_equal(posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("status %#x: %s %s", status, arguments[0], arguments[2]);
}

void cluster_restart_osd(void)
{
	char program[] = CLUSTER, action[] = "restart";
	char *arguments[] = {program, action, (char *) cluster_dir, NULL};

	run_program(arguments);
}

void cluster_run(const char *command)
{
	char program[] = "/bin/sh", option[] = "-c";
	char *arguments[] = {program, option, (char *) command, NULL};

	run_program(arguments);
}

void cluster_clear_blocklist(void)
{
	char command[512];

	(void) snprintf(
		command, sizeof(command), "ceph -c %s/ceph.conf osd blocklist clear 2>/dev/null",
		cluster_dir);
	cluster_run(command);
}

/* Runs a command of the monitors. The reply is to be passed to free(). */
static char *mon_command(const char *command)
{
	char *reply = NULL, *text;
	size_t length = 0;

	assert_int_equal(
		rados_mon_command(cluster, &command, 1, "", 0, &reply, &length, NULL, NULL), 0);
	text = strndup(reply ? reply : "", length);
	assert_non_null(text);
	rados_buffer_free(reply);
	return text;
}

/* Whether the blocklist lacks one of its entries of before; text: those, which it had. */
static bool lacks_entry(const char *now, const char *text)
{
	static const char word[] = "\"addr\":\"";
	char entry[256];

	for (const char *at = text; (at = strstr(at, word)); at += sizeof(word) - 1) {
		(void) snprintf(
			entry, sizeof(entry), "%.*s", (int) strcspn(at + sizeof(word) - 1, "\""),
			at + sizeof(word) - 1);
		if (!strstr(now, entry))
			return true;
	}
	return false;
}

void cluster_wait_expired(unsigned seconds)
{
	static const char list[] = "{\"prefix\": \"osd blocklist ls\", \"format\": \"json\"}";
	char *before = mon_command(list);
	bool expired = false;

	assert_non_null(strstr(before, "addr"));
	for (unsigned i = 0; i < seconds * 1000 / TRY_MS && !expired; i++) {
		char *now = mon_command(list);

		expired = lacks_entry(now, before);
		free(now);
		(void) poll(NULL, 0, TRY_MS);
	}
	assert_true(expired);
	free(before);
}

/* Whether all threads of the process have stopped. */
static bool is_stopped(long pid)
{
	char path[512], line[512];
	bool stopped = true;
	DIR *directory;

	(void) snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	directory = opendir(path);
	assert_non_null(directory);
	for (const struct dirent *entry; stopped && (entry = readdir(directory));) {
		const char *state = NULL;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		(void) snprintf(
			path, sizeof(path), "/proc/%ld/task/%.20s/stat", pid, entry->d_name);
		file = fopen(path, "re");
		if (file && fgets(line, sizeof(line), file))
			state = strrchr(line, ')');
		stopped = !file || (state && state[1] && state[2] == 'T');
		if (file)
			(void) fclose(file);
	}
	(void) closedir(directory);
	return stopped;
}

void cluster_signal(const char *name, int signal)
{
	char path[512];
	FILE *file;
	char text[24];
	long pid;

	(void) snprintf(path, sizeof(path), "%s/%s.pid", cluster_dir, name);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void) fclose(file);
	pid = strtol(text, NULL, 10);
	assert_int_equal(kill((pid_t) pid, signal), 0);
	/* Its other threads go on until one of them has been scheduled and takes the signal. */
	while (signal == SIGSTOP && !is_stopped(pid))
		(void) poll(NULL, 0, 1);
}
