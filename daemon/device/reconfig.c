/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of a device that is being served: changes of its size, config string and
 * write cache, each of which somebody waits for.
 *
 * A change is answered once: when it is done, or with the error when it takes longer than the reply
 * timeout. What changes nothing is answered 0 at once, whatever the handler can: a restore writes
 * every saved attribute back.
 */
#include "device/device-private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* ------- changes ------- */

/* One change under way; it outlives its answer when the handler is late. */
struct device_reconfig {
	struct device_call call;
	struct tcmu_event event;
	struct tcmu_backend_info info;
	struct tcmu_config config;
	bool answered;
	int error;
	struct tcmu_reason reason;
	sd_event_source *timer;
};

static void answer(struct device *device, const struct tcmu_event *event, int status)
{
	if (device->attributes.replies)
		manager_answer(device->manager, TCMU_EVENT_RECONFIG, event->device_id, status);
}

static void resize(struct job *job)
{
	struct device_reconfig *reconfig = (struct device_reconfig *) job;
	struct device *device = reconfig->call.device;

	reconfig->error = device->handler->resize(
		device->backend, &reconfig->config, &reconfig->info, &reconfig->reason);
}

static void resize_refused(const struct device *device, const struct device_reconfig *reconfig)
{
	log_dev_error(
		device_label(device), "cannot be resized from %llu to %llu bytes: %s",
		(unsigned long long) device->attributes.size,
		(unsigned long long) reconfig->event.size,
		reconfig->reason.text[0] ? reconfig->reason.text : strerror(-reconfig->error));
}

static void resized(struct job *job)
{
	struct device_reconfig *reconfig = (struct device_reconfig *) job;
	struct device *device = reconfig->call.device;

	device->reconfig = NULL;
	sd_event_source_disable_unref(reconfig->timer);
	if (reconfig->error) {
		resize_refused(device, reconfig);
	} else if (!reconfig->answered) {
		log_dev_info(
			device_label(device), "resized from %llu to %llu bytes",
			(unsigned long long) device->attributes.size,
			(unsigned long long) reconfig->event.size);
		device->attributes.size = reconfig->event.size;
		device->info = reconfig->info;
		if (device->thread && !device->io_ended)
			io_thread_set_size(device->thread, device->attributes.size, &device->info);
	}
	if (!reconfig->answered)
		answer(device, &reconfig->event, reconfig->error);
	free(reconfig);
	device_lock_idle(device);
	device_unref(device);
}

static int resize_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct device_reconfig *reconfig = userdata;
	struct device *device = reconfig->call.device;

	(void) source;
	(void) usec;
	reconfig->timer = sd_event_source_disable_unref(reconfig->timer);
	reconfig->answered = true;
	log_dev_error(
		device_label(device),
		"the backend does not answer to the resize; its size stays as it was");
	answer(device, &reconfig->event, -ETIMEDOUT);
	return 0;
}

/* Starts the job. -errno: it does not run; answer with that. */
static int start_resize(struct device *device, const struct tcmu_event *event)
{
	const struct manager_setup *setup = manager_setup(device->manager);
	struct device_reconfig *reconfig;
	int r;

	if (device->reconfig)
		return -EBUSY;
	reconfig = calloc(1, sizeof(*reconfig));
	if (!reconfig)
		return -ENOMEM;
	reconfig->event = *event;
	reconfig->info = device->info;
	reconfig->config = *options_config(device->options);
	reconfig->config.size = event->size;
	reconfig->config.block_size = device->attributes.block_size;
	r = device_start_call(device, &reconfig->call, resize, resized, "resize");
	if (r < 0) {
		free(reconfig);
		return r;
	}
	device->reconfig = reconfig;
	(void) sd_event_add_time_relative(
		setup->event, &reconfig->timer, CLOCK_MONOTONIC,
		setup->settings->reply_timeout_ms * UINT64_C(1000), 1000, resize_late, reconfig);
	return 0;
}

static int nothing_changes(const struct device *device, const char *what)
{
	log_dev_debug(device_label(device), "its %s stays as it is", what);
	return 0;
}

/* 0 or -errno: the answer. 1: it comes later. */
static int change_size(struct device *device, const struct tcmu_event *event)
{
	const char *label = device_label(device);
	int r;

	if (event->size == device->attributes.size)
		return nothing_changes(device, "size");
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
	r = start_resize(device, event);
	return r < 0 ? r : 1;
}

/* The kernel's name of the device changes when it has the answer. */
static int change_limits(struct device *device, const struct tcmu_event *event)
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
	snprintf(device->name.config, sizeof(device->name.config), "%s", event->config);
	if (device->thread && !device->io_ended)
		io_thread_set_limits(device->thread, &limits);
	log_dev_info(
		device_label(device),
		"limits: %llu commands/s, %llu bytes/s, %llu s saved; 0: none",
		(unsigned long long) limits.iops, (unsigned long long) limits.bps,
		(unsigned long long) limits.burst);
	return 0;
}

static int change_config(struct device *device, const struct tcmu_event *event)
{
	if (strcmp(event->config, device->name.config) == 0)
		return nothing_changes(device, "config");
	if (options_differ_in_limits_only(event->config, device->name.config) && device->options)
		return change_limits(device, event);
	log_dev_error(
		device_label(device),
		"dev_config=%s is refused: it is served from %s; delete and create it to change "
		"that",
		event->config, device->name.config);
	return -EOPNOTSUPP;
}

static int change_write_cache(struct device *device, const struct tcmu_event *event)
{
	if (event->write_cache == device->attributes.write_cache)
		return nothing_changes(device, "write cache");
	device->attributes.write_cache = event->write_cache;
	if (device->thread && !device->io_ended)
		io_thread_set_write_cache(device->thread, event->write_cache);
	log_dev_info(
		device_label(device), "write cache %s",
		event->write_cache ? "on" : "off: every write is stable");
	return 0;
}

/* What it is served with is not known before it is; whoever writes an attribute when a daemon has
 * just started may wait. */
static bool is_beginning(const struct device *device)
{
	return device->state == DEVICE_OPENING || device->state == DEVICE_ATTACHING;
}

void device_reconfig_goes_on(struct device *device)
{
	struct tcmu_event event = device->reconfig_event;

	if (!device->reconfig_waits || is_beginning(device))
		return;
	device->reconfig_waits = false;
	if (device_state_kernel_has(device->state))
		device_reconfig(device, &event);
	else
		answer(device, &event, -ENODEV);
}

void device_reconfig(struct device *device, const struct tcmu_event *event)
{
	int r = -EINVAL;

	if (is_beginning(device)) {
		device->reconfig_event = *event;
		device->reconfig_waits = true;
		return;
	}
	switch (event->reconfig) {
	case TCMU_RECONFIG_SIZE:
		r = change_size(device, event);
		break;
	case TCMU_RECONFIG_CONFIG:
		r = change_config(device, event);
		break;
	case TCMU_RECONFIG_WRITE_CACHE:
		r = change_write_cache(device, event);
		break;
	}
	if (r <= 0)
		answer(device, event, r);
}

void device_backend_resized(struct device *device)
{
	int64_t size = atomic_load(&device->backend_size);

	if (size >= 0 && (uint64_t) size < device->attributes.size)
		log_dev_warning(
			device_label(device),
			"its backend has shrunk to %lld bytes, the device has %llu: what lies "
			"beyond fails",
			(long long) size, (unsigned long long) device->attributes.size);
	else
		log_dev_info(
			device_label(device),
			"its backend has %lld bytes now; set the attribute dev_size to use them",
			(long long) size);
}
