/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The path is followed as the kernel does it, one name at a time. Each directory on the way is
 * watched for the one name that is looked up in it, and the file itself for being written. inotify
 * says nothing of mounts; /proc/self/mountinfo does.
 *
 * A watch begins before the name is looked up. So a later change is noticed, and after each event
 * the whole path is followed again. An event of the file's own name is reported. Any other is
 * reported only if it has led to another file.
 */
#include "config/settings-watch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "base/log.h"
#include "base/scarce.h"
#include "base/thread.h"

#define SETTLE_USEC    100000
#define ACCURACY_USEC  1000
#define LINKS_MAX      40 /* as the kernel's limit */
#define DIRECTORY_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

/* One directory and the name that is looked up in it; or the file, without a name. */
struct watch_part {
	struct settings_watch *watch;
	sd_event_source *source;
	char *name;
	bool last; /* the name is the last one of the path or of a link that ends it */
};

/* Says which file it is and, as far as that can be seen, which content. All 0: no file. */
struct watch_file {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

struct settings_watch {
	sd_event *event;
	char *path;
	void (*changed)(void *userdata);
	void *userdata;
	GPtrArray *parts; /* struct watch_part */
	struct watch_file file;
	bool touched; /* an event had the file's own name */
	int mounts_fd;
	sd_event_source *mounts;
	sd_event_source *timer; /* on: an event was not dealt with yet */
};

/* ------- events ------- */

static void watch_arm(struct settings_watch *watch)
{
	if (sd_event_source_set_time_relative(watch->timer, SETTLE_USEC) >= 0)
		(void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int on_inotify(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	const struct watch_part *part = userdata;
	bool named = event->len > 0 && !(event->mask & IN_Q_OVERFLOW);

	assert(source == part->source);
	if (named && part->name && strcmp(event->name, part->name) != 0)
		return 0;
	part->watch->touched |= part->last || (event->mask & IN_Q_OVERFLOW);
	watch_arm(part->watch);
	return 0;
}

static int on_mount(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct settings_watch *watch = userdata;

	(void) source;
	(void) revents;
	assert(fd == watch->mounts_fd);
	watch_arm(watch);
	return 0;
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct settings_watch *watch = userdata;
	struct watch_file before = watch->file;
	bool touched = watch->touched;
	int r;

	(void) usec;
	assert(source == watch->timer);
	watch->touched = false;
	r = settings_watch_renew(watch);
	if (r < 0)
		log_warning(
			"cannot watch %s any more: %s; send SIGHUP after a change", watch->path,
			strerror(-r));
	if (touched || r < 0 || memcmp(&before, &watch->file, sizeof(before)) != 0)
		watch->changed(watch->userdata);
	return 0;
}

/* ------- following the path ------- */

static void watch_part_free(void *pointer)
{
	struct watch_part *part = pointer;

	sd_event_source_disable_unref(part->source);
	g_free(part->name);
	g_free(part);
}

/* name: NULL for the file itself. */
static int watch_add(
	struct settings_watch *watch, GPtrArray *parts, int fd, const char *name, bool last)
{
	struct watch_part *part = g_new0(struct watch_part, 1);
	uint32_t mask = IN_CLOSE_WRITE;
	char path[32];

	assert(fd >= 0 && (name || last));
	if (name)
		mask = last ? DIRECTORY_MASK | IN_CLOSE_WRITE : DIRECTORY_MASK;
	part->watch = watch;
	part->name = g_strdup(name);
	part->last = last;
	g_ptr_array_add(parts, part);
	/* By its path in /proc, because systemd before 250 has no function for a descriptor. */
	(void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return sd_event_add_inotify(watch->event, &part->source, path, mask, on_inotify, part);
}

static void watch_note_file(struct watch_file *file, const struct stat *st)
{
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	file->size = st->st_size;
	file->changed = st->st_ctim;
}

struct watch_walk {
	GPtrArray *parts;
	struct watch_file file;
	int fd;     /* the directory that was reached */
	char *left; /* of the path, as it is looked up from there */
	unsigned links;
};

/* Reparts the directory of the walk. */
static int walk_enter(struct watch_walk *walk, int fd)
{
	if (fd < 0)
		return -errno;
	if (walk->fd >= 0)
		(void) close(walk->fd);
	walk->fd = fd;
	return 1;
}

static int walk_link(struct watch_walk *walk, int link, const char *behind)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(link, "", target, sizeof(target) - 1);
	char *left;

	if (length <= 0 || ++walk->links > LINKS_MAX)
		return 0;
	target[length] = '\0';
	left = g_strdup_printf("%s/%s", target, behind);
	g_free(walk->left);
	walk->left = left;
	return target[0] == '/' ? walk_enter(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) : 1;
}

/* Looks up one name. 1: the walk goes on; 0: it ends, at the file or where something is missing; or
 * -errno. */
static int walk_step(struct settings_watch *watch, struct watch_walk *walk)
{
	g_autofree char *left = g_strdup(walk->left + strspn(walk->left, "/"));
	size_t length = strcspn(left, "/");
	const char *behind = left + length + strspn(left + length, "/");
	g_autofree char *name = g_strndup(left, length);
	struct stat st;
	int r, fd;

	if (!length)
		return 0;
	r = watch_add(watch, walk->parts, walk->fd, name, !*behind);
	if (r < 0)
		return r;
	fd = openat(walk->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = fd < 0 && scarce_error(-errno) ? -errno : 0;
	} else if (S_ISLNK(st.st_mode)) {
		r = walk_link(walk, fd, behind);
	} else if (*behind && S_ISDIR(st.st_mode)) {
		g_free(walk->left);
		walk->left = g_strdup(behind);
		return walk_enter(walk, fd);
	} else if (!*behind) {
		watch_note_file(&walk->file, &st);
		r = watch_add(watch, walk->parts, fd, NULL, true);
		r = r < 0 ? r : 0;
	}
	if (fd >= 0)
		(void) close(fd);
	return r;
}

int settings_watch_renew(struct settings_watch *watch)
{
	struct watch_walk walk = {.fd = -1};
	GPtrArray *before = watch->parts;
	int r;

	assert(thread_is_main());
	walk.parts = g_ptr_array_new_with_free_func(watch_part_free);
	walk.left = g_strdup(watch->path);
	r = walk_enter(
		&walk, open(watch->path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	while (r > 0)
		r = walk_step(watch, &walk);
	if (r >= 0) {
		watch->parts = walk.parts;
		watch->file = walk.file;
		walk.parts = before;
	}
	if (walk.parts)
		g_ptr_array_unref(walk.parts);
	if (walk.fd >= 0)
		(void) close(walk.fd);
	g_free(walk.left);
	return r;
}

/* ------- the watch ------- */

/* Without /proc, only mounts go unnoticed. */
static int watch_mounts(struct settings_watch *watch)
{
	watch->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (watch->mounts_fd < 0)
		return 0;
	return sd_event_add_io(
		watch->event, &watch->mounts, watch->mounts_fd, EPOLLPRI, on_mount, watch);
}

int settings_watch_new(
	sd_event *event, const char *path, void (*changed)(void *userdata), void *userdata,
	struct settings_watch **ret)
{
	struct settings_watch *watch = g_new0(struct settings_watch, 1);
	int r;

	assert(changed && thread_is_main());
	*watch = (struct settings_watch){
		.event = event,
		.path = g_strdup(path),
		.changed = changed,
		.userdata = userdata,
		.mounts_fd = -1,
	};
	r = sd_event_add_time_relative(
		event, &watch->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_settled, watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = settings_watch_renew(watch);
	if (r >= 0)
		r = watch_mounts(watch);
	if (r < 0) {
		settings_watch_free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

void settings_watch_free(struct settings_watch *watch)
{
	if (!watch)
		return;
	if (watch->parts)
		g_ptr_array_unref(watch->parts);
	sd_event_source_disable_unref(watch->mounts);
	sd_event_source_disable_unref(watch->timer);
	if (watch->mounts_fd >= 0)
		(void) close(watch->mounts_fd);
	g_free(watch->path);
	g_free(watch);
}
