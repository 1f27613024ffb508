/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory is watched, not the file: editors and configuration tools rename a new file over
 * the old one, and containers exchange a symbolic link beside it.
 */
#include "config/settings-watch.h"

#include <assert.h>
#include <stdint.h>
#include <sys/inotify.h>

#include <glib.h>

#include "base/thread.h"

#define SETTLE_USEC   100000
#define ACCURACY_USEC 1000

struct settings_watch {
	void (*changed)(void *userdata);
	void *userdata;
	sd_event_source *inotify;
	sd_event_source *timer; /* on: a change has not been reported yet */
};

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct settings_watch *watch = userdata;

	(void) usec;
	assert(source == watch->timer);
	watch->changed(watch->userdata);
	return 0;
}

static int on_inotify(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	struct settings_watch *watch = userdata;

	(void) event;
	assert(source == watch->inotify);
	if (sd_event_source_set_time_relative(watch->timer, SETTLE_USEC) >= 0)
		(void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
	return 0;
}

int settings_watch_new(
	sd_event *event, const char *path, void (*changed)(void *userdata), void *userdata,
	struct settings_watch **ret)
{
	struct settings_watch *watch = g_new0(struct settings_watch, 1);
	g_autofree char *directory = g_path_get_dirname(path);
	int r;

	assert(changed && thread_is_main());
	watch->changed = changed;
	watch->userdata = userdata;
	r = sd_event_add_inotify(
		event, &watch->inotify, directory,
		IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR, on_inotify,
		watch);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &watch->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_settled, watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
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
	sd_event_source_disable_unref(watch->inotify);
	sd_event_source_disable_unref(watch->timer);
	g_free(watch);
}
