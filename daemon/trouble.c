/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One timer for all devices: an idle one costs two counters to read.
 */
#include "late.h"

#include <errno.h>
#include <stdlib.h>

#define LOOK_USEC     (5 * UINT64_C(1000000))
#define ACCURACY_USEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)
#define QUIET_NS      (60 * NSEC_PER_SEC)

struct late_watch {
	const struct manager *manager;
	sd_event_source *timer;
};

enum late_news late_look(struct late *late, uint64_t begun, uint64_t now, unsigned seconds)
{
	bool is_late = begun && seconds && now > begun && now - begun >= seconds * NSEC_PER_SEC;

	if (is_late == late->told || (is_late && late->at && now - late->at < QUIET_NS))
		return LATE_NOTHING;
	late->told = is_late;
	if (is_late)
		late->at = now;
	return is_late ? LATE_BEGINS : LATE_ENDS;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	const struct late_watch *watch = userdata;
	uint64_t now = stats_now();
	struct device *device;

	(void) usec;
	for (unsigned i = 0; (device = manager_device(watch->manager, i)); i++)
		device_look_for_late(device, now);
	return sd_event_source_set_time_relative(source, LOOK_USEC);
}

int late_watch_new(sd_event *event, const struct manager *manager, struct late_watch **ret)
{
	struct late_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	watch->manager = manager;
	r = sd_event_add_time_relative(
		event, &watch->timer, CLOCK_MONOTONIC, LOOK_USEC, ACCURACY_USEC, on_timer, watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_ON);
	if (r < 0) {
		late_watch_free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

void late_watch_free(struct late_watch *watch)
{
	if (!watch)
		return;
	sd_event_source_disable_unref(watch->timer);
	free(watch);
}
