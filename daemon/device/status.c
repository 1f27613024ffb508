/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device looks like from outside, for people and their tools. Reads, and changes nothing.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "device/device-private.h"

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static const char *problem_of(const struct device *device)
{
	switch (device->state) {
	case DEVICE_FAULTED:
	case DEVICE_FAILING:
	case DEVICE_CLOSING:
	case DEVICE_FAILED:
		return device->reason.text[0] && !device->reopening ? device->reason.text : NULL;
	case DEVICE_ORPHANED:
		return "it was deleted, and its backend has not let go of it yet";
	case DEVICE_LIVE:
		return device->health.late ? "commands are late; its backend does not answer"
					   : NULL;
	default:
		return device->waits_for_claim ? "another device still has its backing store"
					       : NULL;
	}
}

void device_get_status(const struct device *device, struct device_status *view)
{
	*view = (struct device_status){
		.label = device->host_device.label,
		.name = &device->name,
		.minor = device->minor,
		.handler = device->handler->subtype,
		.state = device_state_name(device->state),
		.state_seconds = (double) (now_us() - device->state_since) / 1e6,
		.problem = problem_of(device),
		.size = device->attributes.size,
		.block_size = device->attributes.block_size,
		.write_cache = device->attributes.write_cache,
		.serial = device->lu_info.known.serial,
		.backend = device->thread ? io_thread_in_flight(device->thread) : 0,
		.stats = device->stats,
	};
}

unsigned device_requests(const struct device *device, struct stats_request *requests, unsigned max)
{
	return device->thread ? io_thread_requests(device->thread, requests, max) : 0;
}

static void look_for_late(struct device *device, uint64_t now)
{
	const char *label = device->host_device.label;
	struct stats_request oldest = {0};
	unsigned cnt = 0;

	if (device->thread &&
	    stats_get(&device->stats->fetched) != stats_get(&device->stats->ended))
		cnt = io_thread_oldest_request(device->thread, &oldest);
	switch (health_late(
		&device->health, oldest.begun, now, options_command_timeout(device->options))) {
	case LATE_BEGINS:
		log_full(
			TCMU_LOG_WARNING, label, device->handler->subtype, LOG_ID_COMMANDS_LATE,
			"%s has been under way for %" PRIu64
			" s (commands under way: %u): see \"tcmuctl "
			"inflight %s\", and look at the storage behind %s",
			scsi_opcode_name(oldest.cdb), (now - oldest.begun) / 1000000000, cnt, label,
			device->name.config);
		break;
	case LATE_ENDS:
		log_dev_info(label, "the commands that were late have ended");
		break;
	default:
		break;
	}
}

static void look_for_errors(struct device *device, uint64_t now)
{
	uint64_t more = health_errors(&device->health, stats_get(&device->stats->errors), now);
	struct stats_error error;

	if (!more)
		return;
	stats_error_read(device->stats, &error);
	log_full(
		TCMU_LOG_ERROR, device->host_device.label, device->handler->subtype,
		LOG_ID_BACKEND_ERROR,
		"%s at block %" PRIu64
		" of %s has failed: %s; the initiator was told %s %02x/%02x/%02x, which is "
		"the last of %" PRIu64 " such errors: %s",
		scsi_opcode_name(error.cdb), error.lba, device->name.config, strerror(error.error),
		error.key ? scsi_sense_key_name(error.key) : "busy", error.key, error.asc,
		error.ascq, more, health_advice(error.error));
}

void device_check_health(struct device *device, uint64_t now)
{
	if (!device->options || !device->stats)
		return;
	look_for_late(device, now);
	look_for_errors(device, now);
}
