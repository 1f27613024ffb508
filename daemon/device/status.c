/* SPDX-License-Identifier: Apache-2.0 */
#include "device/status.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <scsi/describe.h>
#include <scsi/optable.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "device/state.h"

#define HEALTH_AGAIN_NS (60 * CLOCK_NS_PER_SEC)

/* Of which size commands gain a tenth by data_pages_per_blk=16, and how many show the size. */
#define LARGE_KIB      128u
#define LARGE_COMMANDS 10000u

static double status_state_seconds(const struct device *device)
{
	uint64_t now = device->env->system->now_us(device->env);

	return (double) clock_since(now, device->state_since) / 1e6;
}

enum device_state device_state(const struct device *device)
{
	assert(device->state < DEVICE_STATE_COUNT);
	return device->state;
}

const struct tcmu_name *device_name(const struct device *device)
{
	return &device->name;
}

unsigned device_minor(const struct device *device)
{
	return device->minor;
}

const char *device_label(const struct device *device)
{
	return device->host_device.label;
}

bool device_is_called(const struct device *device, const char *text)
{
	char node[16];

	(void) snprintf(node, sizeof(node), "uio%u", device_minor(device));
	return strcmp(text, device_label(device)) == 0 || strcmp(text, device->name.name) == 0 ||
		strcmp(text, node) == 0;
}

const char *device_claim(const struct device *device)
{
	return device->info.claim[0] ? device->info.claim : NULL;
}

const char *device_store(const struct device *device)
{
	const char *store = device->info.claim[0]              ? device->info.claim
		: device->opening && device->opening->claim[0] ? device->opening->claim
							       : device->store.claim;

	return store[0] ? store : NULL;
}

bool device_is_orphan(const struct device *device, double *age, unsigned *requests)
{
	*age = status_state_seconds(device);
	*requests = device->thread ? io_thread_in_flight(device->thread) : 0;
	return device->state == DEVICE_ORPHANED;
}

bool device_is_known(const struct device *device)
{
	return !device->opening || atomic_load(&device->opening->known);
}

bool device_owes_answer(const struct device *device)
{
	return device->owes_added || (device->opening && atomic_load(&device->opening->adopts));
}

bool device_waiting_creation(const struct device *device, uint32_t *id)
{
	bool adopts = device->opening && atomic_load(&device->opening->adopts);

	*id = adopts ? device->opening->attributes.id : device->id;
	return device_owes_answer(device);
}

/* ------- for administrators ------- */

/* The reason of a failure stands until the device is served again: a retry may take long, and who
 * asks meanwhile must not read that nothing is wrong. */
static const char *status_problem(const struct device *device)
{
	if (device_waits_for_claim(device))
		return "another device still uses its backing store";
	switch (device->state) {
	case DEVICE_ORPHANED:
		return "it was deleted; its backend has not returned its last requests";
	case DEVICE_LIVE:
		return device->health.late ? "commands are late; its backend does not answer"
					   : NULL;
	case DEVICE_DRAINING:
	case DEVICE_DETACHED:
	case DEVICE_GONE:
		return NULL;
	default:
		break;
	}
	if (device->reason.text[0])
		return device->reason.text;
	return device->tries ? "it is opened again after a failure" : NULL;
}

/* Requests of a fenced backend, or of a device that is being deleted, may still be on their way. */
static bool status_is_fenced(const struct device *device)
{
	return device->lock.shared && device->backend &&
		(atomic_load(&device->backend_fenced) || device->state == DEVICE_DRAINING ||
		 device->state == DEVICE_DETACHED || device->state == DEVICE_ORPHANED ||
		 device->state == DEVICE_FAILING || device->state == DEVICE_CLOSING);
}

static const char *status_lock(const struct device_lock *lock)
{
	assert(lock->shared);
	return lock->unconfirmed ? "not confirmed" : lock_state_name(lock->state);
}

void device_get_status(const struct device *device, struct device_status *status)
{
	*status = (struct device_status){
		.label = device_label(device),
		.name = &device->name,
		.minor = device->minor,
		.handler = device->handler->subtype,
		.state = device_state_name(device->state),
		.state_seconds = status_state_seconds(device),
		.problem = status_problem(device),
		.shared = device->lock.shared,
		.fenced = status_is_fenced(device),
		.size = device->attributes.size,
		.block_size = device->attributes.block_size,
		.write_cache = device->attributes.write_cache,
		.limits = device->limits,
		.serial = device->lu_info.known.serial,
		.backend = device->thread ? io_thread_in_flight(device->thread) : 0,
		.lock = device->lock.shared ? status_lock(&device->lock) : NULL,
		.lock_group = device->lock.tag,
		.takeovers = device->lock.takeovers,
		.damped = device->lock.damped,
		.stats = device->stats,
		.counters = device->host_device.counters ? device->handler->counters : NULL,
		.counter_values = device->host_device.counters,
	};
	if (device->backend)
		device_host_health(device, status->health);
}

unsigned device_requests(const struct device *device, struct stats_request *requests, unsigned max)
{
	return device->thread ? io_thread_requests(device->thread, requests, max) : 0;
}

/* Returns whether a command has been in flight for long enough that the kernel may give it up. */
static bool status_check_late(struct device *device, uint64_t now)
{
	const char *label = device_label(device);
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
			"%s has been in flight for %" PRIu64
			" s (commands in flight: %u): see \"tcmuctl "
			"inflight %s\", and check the storage behind %s",
			scsi_opcode_name(oldest.cdb),
			clock_since(now, oldest.begun) / CLOCK_NS_PER_SEC, cnt, label,
			device->name.config);
		break;
	case LATE_ENDS:
		log_dev_info(label, "the commands that were late have ended");
		break;
	default:
		break;
	}
	return oldest.begun && now >= oldest.begun + CLOCK_NS_PER_SEC;
}

static void status_check_errors(struct device *device, uint64_t now)
{
	uint64_t more = health_errors(&device->health, stats_get(&device->stats->errors), now);
	struct stats_error error;

	if (!more)
		return;
	stats_error_read(device->stats, &error);
	log_full(
		TCMU_LOG_ERROR, device_label(device), device->handler->subtype,
		LOG_ID_BACKEND_ERROR,
		"%s at block %" PRIu64 " of %s failed: %s; the initiator got %s %02x/%02x/%02x; "
		"backend errors since the last report: %" PRIu64 "; %s",
		scsi_opcode_name(error.cdb), error.lba, device->name.config, strerror(error.error),
		error.key ? scsi_sense_key_name(error.key) : "busy", error.key, error.asc,
		error.ascq, more, health_advice(error.error));
}

/* The kernel has reported such a write as failed; it was carried out all the same. */
static void status_check_expired(struct device *device)
{
	uint64_t expired = stats_get(&device->stats->expired);
	struct stats_late_write write;

	if (expired == device->health.expired)
		return;
	stats_late_write_read(device->stats, &write);
	log_dev(device_label(device), TCMU_LOG_WARNING,
		"%s at block %" PRIu64 " ended after %" PRIu64 " s, more than cmd_time_out: the "
		"kernel has reported it as failed before; writes to its blocks waited for it; such "
		"writes since the last report: %" PRIu64
		"; check the storage, or raise cmd_time_out",
		scsi_opcode_name(write.cdb), write.lba, write.age,
		expired - device->health.expired);
	device->health.expired = expired;
}

/* Larger pieces make every small command take as much of the data area, so the choice is the
 * administrator's. */
static void status_check_large(struct device *device)
{
	const struct stats_class *reads = &device->stats->classes[SCSI_CLASS_READ];
	const struct stats_class *writes = &device->stats->classes[SCSI_CLASS_WRITE];
	unsigned kib;

	if (device->attributes.data_pages != 1)
		return;
	kib = health_large(
		&device->health, stats_get(&reads->commands) + stats_get(&writes->commands),
		stats_get(&reads->bytes) + stats_get(&writes->bytes));
	if (kib)
		log_dev_info(
			device_label(device),
			"its commands move %u KiB on average: created with data_pages_per_blk=16, "
			"the backstore would take less CPU time for them",
			kib);
}

bool device_check_health(struct device *device, uint64_t now)
{
	bool slow;

	assert(env_on_main_thread(device->env));
	if (!device->options)
		return false;
	slow = status_check_late(device, now);
	status_check_errors(device, now);
	status_check_expired(device);
	status_check_large(device);
	return slow;
}

/* ------- when to log ------- */

enum late_news health_late(struct health *health, uint64_t begun, uint64_t now, unsigned seconds)
{
	bool late = begun && seconds && clock_since(now, begun) >= seconds * CLOCK_NS_PER_SEC;

	if (late == health->late ||
	    (late && health->late_at && clock_since(now, health->late_at) < HEALTH_AGAIN_NS))
		return LATE_NOTHING;
	health->late = late;
	if (late)
		health->late_at = now;
	return late ? LATE_BEGINS : LATE_ENDS;
}

uint64_t health_errors(struct health *health, uint64_t errors, uint64_t now)
{
	uint64_t more = errors - health->errors;

	assert(errors >= health->errors);
	if (!more || (health->error_at && clock_since(now, health->error_at) < HEALTH_AGAIN_NS))
		return 0;
	health->errors = errors;
	health->error_at = now;
	return more;
}

unsigned health_large(struct health *health, uint64_t commands, uint64_t bytes)
{
	uint64_t more = commands - health->commands, kib;

	assert(commands >= health->commands);
	if (health->advised || more < LARGE_COMMANDS)
		return 0;
	/* The counters are not read at one moment. */
	kib = bytes > health->bytes ? (bytes - health->bytes) / more / 1024 : 0;
	health->commands = commands;
	health->bytes = bytes;
	if (kib < LARGE_KIB)
		return 0;
	health->advised = true;
	return (unsigned) kib;
}

const char *health_advice(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return "make room there; then writes succeed again";
	case EROFS:
	case EACCES:
	case EPERM:
		return "the backing store became read-only";
	case ETIMEDOUT:
		return "it does not answer in time: check the storage and the network";
	default:
		return "check the storage and the kernel's log";
	}
}
