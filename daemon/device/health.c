/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One timer for all devices: an idle one costs three counters to read.
 */
#include "device/health.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

#define LOOK_USEC     (5 * UINT64_C(1000000))
#define ACCURACY_USEC UINT64_C(1000000)
#define NSEC_PER_SEC  UINT64_C(1000000000)
#define QUIET_NS      (60 * NSEC_PER_SEC)

struct trouble_watch {
	const struct manager *manager;
	sd_event_source *timer;
};

enum late_news health_late(struct health *trouble, uint64_t begun, uint64_t now, unsigned seconds)
{
	bool late = begun && seconds && now > begun && now - begun >= seconds * NSEC_PER_SEC;

	if (late == trouble->late ||
	    (late && trouble->late_at && now - trouble->late_at < QUIET_NS))
		return LATE_NOTHING;
	trouble->late = late;
	if (late)
		trouble->late_at = now;
	return late ? LATE_BEGINS : LATE_ENDS;
}

uint64_t health_errors(struct health *trouble, uint64_t errors, uint64_t now)
{
	uint64_t more = errors - trouble->errors;

	if (!more || (trouble->error_at && now - trouble->error_at < QUIET_NS))
		return 0;
	trouble->errors = errors;
	trouble->error_at = now;
	return more;
}

const char *health_advice(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return "make room there, and writes go on";
	case EROFS:
	case EACCES:
	case EPERM:
		return "it does not let itself be written to any more";
	case ETIMEDOUT:
		return "it does not answer in time";
	default:
		return "look at the storage, and at the kernel's log for it";
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	const struct trouble_watch *watch = userdata;
	uint64_t now = clock_now_ns();
	struct device *device;

	(void) usec;
	for (unsigned i = 0; (device = manager_device(watch->manager, i)); i++)
		device_check_health(device, now);
	return sd_event_source_set_time_relative(source, LOOK_USEC);
}

int health_watch_new(sd_event *event, const struct manager *manager, struct trouble_watch **ret)
{
	struct trouble_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	watch->manager = manager;
	r = sd_event_add_time_relative(
		event, &watch->timer, CLOCK_MONOTONIC, LOOK_USEC, ACCURACY_USEC, on_timer, watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_ON);
	if (r < 0) {
		health_watch_free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

void health_watch_free(struct trouble_watch *watch)
{
	if (!watch)
		return;
	sd_event_source_disable_unref(watch->timer);
	free(watch);
}
