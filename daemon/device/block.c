/* SPDX-License-Identifier: Apache-2.0 */
#include "device/block.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/container-of.h"
#include "base/log.h"
#include "device/state.h"
#include "device/status.h"

#define AGAIN_US     UINT64_C(100000)
#define AGAIN_SHIFTS 6u

static struct device_blocking *blocking_of(struct device_call *call)
{
	return container_of(call, struct device_blocking, call);
}

/* ------- on the job's thread ------- */

static void block_work_write(struct device_call *call)
{
	const struct device *device = call->device;

	call->result = device->env->kernel->block(
		device->env, &device->name, blocking_of(call)->writing == DEVICE_BLOCK_ON);
}

static void block_work_reset(struct device_call *call)
{
	const struct device *device = call->device;

	call->result = device->env->kernel->reset_ring(device->env, &device->name);
}

/* ------- on the main thread ------- */

/* Later each time. The first failure is logged. */
static void block_retry(struct device *device, const char *action)
{
	struct device_blocking *blocking = &device->blocking;

	assert(blocking->error < 0);
	log_dev(device_label(device), blocking->tries ? TCMU_LOG_DEBUG : TCMU_LOG_WARNING,
		"cannot write action/%s in configfs: %s; it is tried again", action,
		strerror(-blocking->error));
	device_alarm_arm(&blocking->again, AGAIN_US << MIN(blocking->tries, AGAIN_SHIFTS));
	blocking->tries++;
}

static void block_note_result(struct device_blocking *blocking, int result)
{
	blocking->error = result < 0 ? result : 0;
	if (!blocking->error)
		blocking->tries = 0;
}

static void block_written(struct device_call *call)
{
	struct device_blocking *blocking = blocking_of(call);

	assert(blocking->writing != DEVICE_BLOCK_KEEP);
	block_note_result(blocking, call->result);
	blocking->written = blocking->error ? DEVICE_BLOCK_KEEP : blocking->writing;
	if (blocking->error)
		block_retry(call->device, "block_dev");
}

static void block_reset_done(struct device_call *call)
{
	struct device_blocking *blocking = blocking_of(call);
	struct device *device = call->device;

	block_note_result(blocking, call->result);
	if (device->state != DEVICE_RESETTING)
		return;
	assert(device->thread && blocking->idle && !blocking->reset);
	if (blocking->error) {
		block_retry(device, "reset_ring");
		return;
	}
	blocking->reset = true;
	io_thread_reattach(device->thread);
}

/* The alarm is only there so that device_run() follows. */
static void block_again(struct device *device)
{
	assert(!device->blocking.call.running);
}

void block_init(struct device *device, bool interrupted)
{
	struct device_blocking *blocking = &device->blocking;

	device_alarm_init(device, &blocking->again, block_again);
	blocking->interrupted = interrupted;
	blocking->written = DEVICE_BLOCK_KEEP;
	if (device->origin == DEVICE_ORIGIN_ADDED)
		block_fresh(device);
}

void block_fresh(struct device *device)
{
	assert(!device->blocking.configured);
	device->blocking.interrupted = false;
	device->blocking.written = DEVICE_BLOCK_OFF;
}

void block_configured(struct device *device)
{
	device->blocking.configured = true;
}

void block_note_transition(struct device *device, enum device_event event, enum device_state next)
{
	struct device_blocking *blocking = &device->blocking;

	if (next == DEVICE_LIVE)
		blocking->interrupted = false;
	else if (device_event_interrupts(event))
		blocking->interrupted = true;
	if (next == DEVICE_RESETTING)
		blocking->idle = blocking->reset = false;
}

void block_ring_idle(struct device *device)
{
	if (device->state == DEVICE_RESETTING)
		device->blocking.idle = true;
}

static bool block_wants_reset(const struct device *device)
{
	const struct device_blocking *blocking = &device->blocking;

	return device->state == DEVICE_RESETTING && block_is_on(device) && blocking->idle &&
		!blocking->reset;
}

void block_settle(struct device *device)
{
	struct device_blocking *blocking = &device->blocking;
	enum device_block wanted = device_state_block(device->state, blocking->interrupted);

	if (!blocking->configured || blocking->call.running ||
	    env_timer_is_armed(&blocking->again.timer))
		return;
	if (wanted != DEVICE_BLOCK_KEEP && wanted != blocking->written) {
		blocking->writing = wanted;
		device_call_start(
			device, &blocking->call, block_work_write, block_written, "block");
	} else if (block_wants_reset(device)) {
		blocking->writing = DEVICE_BLOCK_KEEP;
		device_call_start(
			device, &blocking->call, block_work_reset, block_reset_done, "reset-ring");
	}
}

bool block_is_on(const struct device *device)
{
	return !device->blocking.call.running && device->blocking.written == DEVICE_BLOCK_ON;
}

int block_error(const struct device *device)
{
	return device->blocking.call.running ? 0 : device->blocking.error;
}
