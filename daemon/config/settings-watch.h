/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports that tcmu.conf may have changed, whatever was changed on the way to it: the file itself,
 * a directory that was replaced or did not exist before, a symbolic link, a mount.
 *
 * Main thread. Running out of memory aborts (glib).
 */
#pragma once

#include <systemd/sd-event.h>

struct settings_watch;

/* Calls changed from the event loop, 100 ms after the last of several changes. event and userdata
 * outlive the watch; path is copied, and nothing of it needs to exist. Returns 0, or -errno of
 * inotify. */
int settings_watch_new(
	sd_event *event, const char *path, void (*changed)(void *userdata), void *userdata,
	struct settings_watch **watch);

/* Follows the path again, without a call of changed. Returns 0, or -errno: what was watched before
 * still is. */
int settings_watch_renew(struct settings_watch *watch);

void settings_watch_free(struct settings_watch *watch); /* takes NULL */
