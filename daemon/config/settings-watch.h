/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports that tcmu.conf may have changed: edited in place, replaced by a rename, or exchanged
 * together with its directory's symbolic link.
 *
 * Main thread. Running out of memory aborts (glib).
 */
#pragma once

#include <systemd/sd-event.h>

struct settings_watch;

/* Calls changed from the event loop, 100 ms after the last of several changes. event and userdata
 * outlive the watch; path is copied. -ENOENT: the file's directory does not exist; or another
 * -errno of inotify. */
int settings_watch_new(
	sd_event *event, const char *path, void (*changed)(void *userdata), void *userdata,
	struct settings_watch **watch);

void settings_watch_free(struct settings_watch *watch); /* takes NULL */
