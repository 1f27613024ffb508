/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device looks like from outside, for people and their tools. Reads, and changes nothing.
 */
#include <inttypes.h>
#include <time.h>

#include "device-private.h"
#include "log.h"

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
		if (device->waits_for_claim)
			return "another device still has its backing store";
		return device->late.told ? "commands are late; its backend does not answer" : NULL;
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

void device_look_for_late(struct device *device, uint64_t now)
{
	struct stats_request oldest = {0};
	unsigned cnt = 0;

	if (!device->options || !device->stats)
		return;
	if (device->loop && stats_get(&device->stats->fetched) != stats_get(&device->stats->ended))
		cnt = loop_oldest(device->loop, &oldest);
	switch (late_look(&device->late, oldest.begun, now, options_command_timeout(device->options))) {
	case LATE_BEGINS:
		log_full(
			TCMU_LOG_WARNING, device->host_device.label, device->handler->subtype,
			LOG_ID_COMMANDS_LATE,
			"%s has been under way for %" PRIu64
			" s, and %u commands are in all: see \"tcmuctl inflight %s\", "
			"and look at the storage behind it",
			scsi_opcode_name(oldest.cdb), (now - oldest.begun) / 1000000000, cnt,
			device->host_device.label);
		break;
	case LATE_ENDS:
		log_dev_info(device->host_device.label, "the commands that were late have ended");
		break;
	default:
		break;
	}
}
