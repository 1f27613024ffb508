/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device looks like from outside, for people and their tools. Reads, and changes nothing.
 */
#include <time.h>

#include "device-private.h"

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static const char *problem_of(const struct device *device)
{
	switch (device->state) {
	case DEVICE_SICK:
	case DEVICE_FAILING:
	case DEVICE_CLOSING:
	case DEVICE_FAILED:
		return device->reason.text[0] && !device->reopening ? device->reason.text : NULL;
	case DEVICE_ORPHANED:
		return "it was deleted, and its backend has not let go of it yet";
	default:
		return device->waits_for_claim ? "another device still has its backing store" : NULL;
	}
}

void device_look(const struct device *device, struct device_view *view)
{
	*view = (struct device_view){
		.label = device->host_device.label,
		.name = &device->name,
		.minor = device->minor,
		.handler = device->handler->subtype,
		.state = device_state_name(device->state),
		.state_seconds = (double) (now_us() - device->state_since) / 1e6,
		.problem = problem_of(device),
		.size = device->kernel.size,
		.block_size = device->kernel.block_size,
		.write_cache = device->kernel.write_cache,
		.serial = device->identity.known.serial,
		.backend = device->loop ? loop_in_flight(device->loop) : 0,
		.stats = device->stats,
	};
}

unsigned device_requests(const struct device *device, struct stats_request *requests, unsigned max)
{
	return device->loop ? loop_requests(device->loop, requests, max) : 0;
}
