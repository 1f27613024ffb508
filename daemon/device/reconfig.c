/* SPDX-License-Identifier: Apache-2.0 */
#include "device/reconfig.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/container-of.h"
#include "base/log.h"
#include "config/handler-call.h"
#include "device/state.h"
#include "device/status.h"

#define RECONFIG_PENDING 1 /* the answer follows */

static void reconfig_answer(struct device *device, const struct tcmu_event *event, int status)
{
	assert(status <= 0);
	if (device->attributes.replies)
		device->env->parent->answer(
			device->env, TCMU_EVENT_RECONFIG, event->device_id, status);
	else
		device->env->parent->drop_owed(device->env, TCMU_EVENT_RECONFIG, event->device_id);
}

/* ------- the size ------- */

static void reconfig_resize(struct device_call *call)
{
	struct device_reconfig *reconfig = container_of(call, struct device_reconfig, call);
	const struct device *device = call->device;

	call->result = handler_call_resize(
		device->handler, device->backend, &reconfig->config, &reconfig->info,
		&reconfig->reason);
}

static void reconfig_take_size(struct device *device)
{
	const struct device_reconfig *reconfig = &device->reconfig;

	log_dev_info(
		device_label(device), "resized from %llu to %llu bytes",
		(unsigned long long) device->attributes.size,
		(unsigned long long) reconfig->event.size);
	device->attributes.size = reconfig->event.size;
	device->info = reconfig->info;
	if (device->thread)
		io_thread_set_size(device->thread, device->attributes.size, &device->info);
}

static void reconfig_resized(struct device_call *call)
{
	struct device *device = call->device;
	struct device_reconfig *reconfig = &device->reconfig;
	bool answers = reconfig->state == RECONFIG_CALLS;

	assert(answers || reconfig->state == RECONFIG_LATE);
	reconfig->state = RECONFIG_NONE;
	env_timer_disarm(&reconfig->late.timer);
	if (call->result < 0)
		log_dev_error(
			device_label(device), "cannot be resized from %llu to %llu bytes: %s",
			(unsigned long long) device->attributes.size,
			(unsigned long long) reconfig->event.size,
			reconfig->reason.text[0] ? reconfig->reason.text : strerror(-call->result));
	else if (answers)
		reconfig_take_size(device);
	if (answers)
		reconfig_answer(device, &reconfig->event, call->result < 0 ? call->result : 0);
}

static void reconfig_end_flush(struct device *device, int status);

static void reconfig_timed_out(struct device *device)
{
	struct device_reconfig *reconfig = &device->reconfig;

	if (reconfig->state == RECONFIG_WAITS) {
		reconfig->state = RECONFIG_NONE;
		log_dev_error(
			device_label(device),
			"a change of its attributes is refused: it is still not served");
		reconfig_answer(device, &reconfig->event, -ETIMEDOUT);
		return;
	}
	if (reconfig->state == RECONFIG_FLUSHES) {
		reconfig_end_flush(device, -ETIMEDOUT);
		return;
	}
	assert(reconfig->state == RECONFIG_CALLS && reconfig->call.running);
	reconfig->state = RECONFIG_LATE;
	log_dev_error(
		device_label(device),
		"the backend does not answer to the resize; the size is unchanged");
	reconfig_answer(device, &reconfig->event, -ETIMEDOUT);
}

static void reconfig_start_resize(struct device *device, const struct tcmu_event *event)
{
	struct device_reconfig *reconfig = &device->reconfig;

	assert(reconfig->state == RECONFIG_NONE && device->backend);
	reconfig->state = RECONFIG_CALLS;
	reconfig->event = *event;
	reconfig->info = device->info;
	reconfig->config = *options_config(device->options);
	reconfig->config.size = event->size;
	reconfig->config.block_size = device->attributes.block_size;
	reconfig->reason.text[0] = '\0';
	device_call_start(device, &reconfig->call, reconfig_resize, reconfig_resized, "resize");
	device_alarm_arm(&reconfig->late, device->env->settings->reply_timeout_ms * UINT64_C(1000));
}

static int reconfig_unchanged(const struct device *device, const char *attribute)
{
	log_dev_debug(device_label(device), "its %s is unchanged", attribute);
	return 0;
}

/* 0, -errno or RECONFIG_PENDING. */
static int reconfig_size(struct device *device, const struct tcmu_event *event)
{
	const char *label = device_label(device);

	if (event->size == device->attributes.size)
		return reconfig_unchanged(device, "size");
	if (device->state != DEVICE_LIVE) {
		log_dev_error(
			label, "cannot be resized while it is %s",
			device_state_name(device->state));
		return -EAGAIN;
	}
	if (event->size == 0 || event->size % device->attributes.block_size) {
		log_dev_error(
			label, "dev_size=%llu is refused: a multiple of %u is expected",
			(unsigned long long) event->size, device->attributes.block_size);
		return -EINVAL;
	}
	if (!device->handler->resize) {
		log_dev_error(label, "the %s handler cannot resize", device->handler->subtype);
		return -EOPNOTSUPP;
	}
	if (device->reconfig.state != RECONFIG_NONE)
		return -EBUSY;
	reconfig_start_resize(device, event);
	return RECONFIG_PENDING;
}

/* ------- the config string and the write cache ------- */

/* The kernel changes its name of the device when it has the answer. */
static int reconfig_limits(struct device *device, const struct tcmu_event *event)
{
	struct tcmu_reason reason = {{0}};
	struct rate_limits limits;
	struct options *options;
	int r = options_parse(event->config, device->handler, &options, &reason);

	if (r < 0) {
		log_dev_error(
			device_label(device), "dev_config=%s is refused: %s", event->config,
			reason.text);
		return r;
	}
	options_limits(options, &limits);
	options_free(options);
	g_strlcpy(device->name.config, event->config, sizeof(device->name.config));
	device->limits = limits;
	if (device->thread)
		io_thread_set_limits(device->thread, &limits);
	log_dev_info(
		device_label(device),
		"limits: %llu commands/s, %llu bytes/s, bursts of %llu s; 0: none",
		(unsigned long long) limits.iops, (unsigned long long) limits.bps,
		(unsigned long long) limits.burst);
	return 0;
}

static int reconfig_config(struct device *device, const struct tcmu_event *event)
{
	if (strcmp(event->config, device->name.config) == 0)
		return reconfig_unchanged(device, "config");
	if (device->options && options_differ_in_limits_only(event->config, device->name.config))
		return reconfig_limits(device, event);
	log_dev_error(
		device_label(device),
		"dev_config=%s is refused: it is served from %s; delete and create it to change "
		"that",
		event->config, device->name.config);
	return -EOPNOTSUPP;
}

/* It is remembered: the kernel stores the value after the answer, and where the device was created
 * without this daemon its attribute has been 0 though nobody has written it. */
static void reconfig_take_write_cache(struct device *device, bool on)
{
	device->attributes.write_cache = on;
	device->store.write_cache_set = true;
	device->store.write_cache = on;
	device->env->parent->save_store(device->env, device, &device->store);
	log_dev_info(
		device_label(device), "write cache %s", on ? "on" : "off: every write is stable");
}

/* Whether the cache is off and what an earlier process wrote may not be stable yet. */
static bool reconfig_cache_is_old(const struct device *device)
{
	return !device->attributes.write_cache && device_is_served(device) &&
		io_thread_has_old_write_cache(device->thread);
}

/* Off is answered when all that was written before is stable. */
static int reconfig_write_cache(struct device *device, const struct tcmu_event *event)
{
	struct device_reconfig *reconfig = &device->reconfig;

	if (event->write_cache == device->attributes.write_cache && !reconfig_cache_is_old(device))
		return reconfig_unchanged(device, "write cache");
	if (reconfig->state != RECONFIG_NONE)
		return -EBUSY;
	if (device->thread)
		io_thread_set_write_cache(device->thread, event->write_cache);
	assert(event->write_cache || device_is_served(device));
	if (event->write_cache) {
		reconfig_take_write_cache(device, event->write_cache);
		return 0;
	}
	reconfig->state = RECONFIG_FLUSHES;
	reconfig->event = *event;
	device_alarm_arm(&reconfig->late, device->env->settings->reply_timeout_ms * UINT64_C(1000));
	return RECONFIG_PENDING;
}

static void reconfig_end_flush(struct device *device, int status)
{
	struct device_reconfig *reconfig = &device->reconfig;

	assert(reconfig->state == RECONFIG_FLUSHES);
	reconfig->state = RECONFIG_NONE;
	env_timer_disarm(&reconfig->late.timer);
	if (!status)
		reconfig_take_write_cache(device, false);
	else
		log_dev_error(
			device_label(device), "its write cache is not turned off: %s",
			status == -ETIMEDOUT ? "the backend does not flush it" : strerror(-status));
	reconfig_answer(device, &reconfig->event, status);
}

void reconfig_write_cache_set(struct device *device)
{
	if (device->reconfig.state == RECONFIG_FLUSHES && device->thread)
		reconfig_end_flush(device, io_thread_write_cache_result(device->thread));
}

/* ------- for the device ------- */

void reconfig_init(struct device *device)
{
	device_alarm_init(device, &device->reconfig.late, reconfig_timed_out);
}

/* Its present values are unknown before it is served; a process that writes an attribute while a
 * daemon starts can wait. */
static bool reconfig_is_early(const struct device *device)
{
	return device->state == DEVICE_OPENING || device->state == DEVICE_ATTACHING;
}

/* Whether a change has to wait until the device is served. Off: what was written before, perhaps
 * by another I/O thread, is only flushed then. */
static bool reconfig_waits(const struct device *device, const struct tcmu_event *event)
{
	bool off = event->reconfig == TCMU_RECONFIG_WRITE_CACHE && !event->write_cache &&
		device->attributes.write_cache;

	return reconfig_is_early(device) ||
		(off && !device_is_served(device) && device_state_kernel_has(device->state));
}

void reconfig_handle(struct device *device, const struct tcmu_event *event)
{
	int r = -EINVAL;

	/* Nobody waits for the change before it any more. */
	if (device->reconfig.state == RECONFIG_WAITS) {
		device->reconfig.state = RECONFIG_NONE;
		env_timer_disarm(&device->reconfig.late.timer);
	}
	if (reconfig_waits(device, event) && device->reconfig.state == RECONFIG_NONE) {
		assert(!device->reconfig.call.running);
		device->reconfig.event = *event;
		device->reconfig.state = RECONFIG_WAITS;
		device_alarm_arm(
			&device->reconfig.late,
			device->env->settings->open_timeout_ms * UINT64_C(1000));
		return;
	}
	switch (event->reconfig) {
	case TCMU_RECONFIG_SIZE:
		r = reconfig_size(device, event);
		break;
	case TCMU_RECONFIG_CONFIG:
		r = reconfig_config(device, event);
		break;
	case TCMU_RECONFIG_WRITE_CACHE:
		r = reconfig_write_cache(device, event);
		break;
	}
	if (r <= 0)
		reconfig_answer(device, event, r);
}

void reconfig_settle(struct device *device)
{
	struct tcmu_event event;

	if (device->reconfig.state == RECONFIG_FLUSHES && !device_is_served(device))
		reconfig_end_flush(
			device, device_state_kernel_has(device->state) ? -EAGAIN : -ENODEV);
	event = device->reconfig.event;
	if (device->reconfig.state != RECONFIG_WAITS || reconfig_waits(device, &event))
		return;
	device->reconfig.state = RECONFIG_NONE;
	env_timer_disarm(&device->reconfig.late.timer);
	if (device_state_kernel_has(device->state))
		reconfig_handle(device, &event);
	else
		reconfig_answer(device, &event, -ENODEV);
}

void reconfig_log_backend_size(const struct device *device)
{
	int64_t size = atomic_load(&device->backend_size);

	if (size >= 0 && (uint64_t) size < device->attributes.size)
		log_dev_warning(
			device_label(device),
			"its backend has shrunk to %lld bytes, the device has %llu: commands "
			"beyond that fail",
			(long long) size, (unsigned long long) device->attributes.size);
	else
		log_dev_info(
			device_label(device),
			"its backend has %lld bytes now; set the attribute dev_size to use them",
			(long long) size);
}
