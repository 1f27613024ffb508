/* SPDX-License-Identifier: Apache-2.0 */
#include "device/open.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/container-of.h"
#include "base/log.h"
#include "base/reason.h"
#include "device/state.h"
#include "device/status.h"

/* ------- on the job's thread ------- */

static struct device_opening *opening_of(struct device_call *call)
{
	return container_of(call, struct device_opening, call);
}

static int opening_check_size(struct device_opening *opening)
{
	const struct device_attributes *attributes = &opening->attributes;

	/* The kernel shows a device before it has its attributes; its ADDED_DEVICE follows. */
	if (attributes->block_size == 0 && opening->origin == DEVICE_ORIGIN_FOUND)
		return reason_refuse(&opening->reason, -ENOENT, "the kernel is still creating it");
	switch (attributes->block_size) {
	case 512:
	case 1024:
	case 2048:
	case 4096:
		break;
	default:
		return reason_refuse(
			&opening->reason, -EINVAL,
			"hw_block_size is %u; 512, 1024, 2048 or 4096 is expected",
			attributes->block_size);
	}
	if (attributes->size == 0)
		return reason_refuse(
			&opening->reason, -EINVAL, "dev_size is 0; a multiple of %u is expected",
			attributes->block_size);
	if (attributes->size % attributes->block_size)
		return reason_refuse(
			&opening->reason, -EINVAL,
			"dev_size is %llu, not a multiple of the block size %u",
			(unsigned long long) attributes->size, attributes->block_size);
	return 0;
}

static int opening_read_attributes(struct device_opening *opening)
{
	const struct device *device = opening->call.device;
	int r = device->env->kernel->read_attributes(
		device->env, &opening->name, opening->origin, opening->max_transfer,
		&opening->attributes, &opening->reason);

	/* A device of block size 0 is not complete: its creation does not wait yet. */
	atomic_store(
		&opening->adopts,
		r >= 0 && opening->origin == DEVICE_ORIGIN_FOUND &&
			opening->attributes.block_size != 0 && !opening->attributes.configured &&
			opening->attributes.replies);
	atomic_store(&opening->known, true);
	return r < 0 ? r : opening_check_size(opening);
}

/* The first job: which backing store the attributes and the config string mean. */
static int opening_read_claim(struct device_opening *opening)
{
	struct tcmu_config config;
	int r = opening_read_attributes(opening);

	if (r < 0)
		return r;
	r = options_parse(
		opening->name.config, opening->handler, &opening->options, &opening->reason);
	if (r < 0 || !opening->handler->claim)
		return r;
	config = *options_config(opening->options);
	return opening->handler->claim(
		&config, opening->info.claim, sizeof(opening->info.claim), &opening->reason);
}

/* The second job. */
static int opening_open(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	struct tcmu_config config = *options_config(opening->options);

	device->env->kernel->prepare(device->env, &opening->name);
	device->env->kernel->read_lu_info(device->env, &opening->name, &opening->lu_info);
	config.size = opening->attributes.size;
	config.block_size = opening->attributes.block_size;
	opening->info = (struct tcmu_backend_info){0};
	return opening->handler->open(
		&config, &device_host, &device->host_device, &opening->info, &opening->backend,
		&opening->reason);
}

static void opening_work(struct device_call *call)
{
	struct device_opening *opening = opening_of(call);
	int r = opening->stage == OPENING_CLAIM ? opening_read_claim(opening)
						: opening_open(opening);

	call->result = r < 0 ? r : 0;
	if (r < 0 && !opening->reason.text[0])
		reason_refuse(
			&opening->reason, r, "the %s handler cannot open it: %s",
			opening->handler->subtype, strerror(-r));
	/* No daemon serves it for now: BUSY keeps initiators from hanging. */
	if (r < 0 && opening->attributes.configured)
		call->device->env->kernel->block(call->device->env, &opening->name);
}

/* A backend that was opened and is refused after all. */
static void opening_discard(struct device_call *call)
{
	struct device_opening *opening = opening_of(call);

	opening->handler->close(opening->backend);
	call->result = 0;
}

/* ------- on the main thread ------- */

static void opening_done(struct device_call *call);

static void opening_start_stage(struct device_opening *opening, enum opening_stage stage)
{
	assert(stage < OPENING_STAGE_COUNT);
	opening->stage = stage;
	device_call_start(
		opening->call.device, &opening->call,
		stage == OPENING_DISCARD ? opening_discard : opening_work, opening_done, "open");
}

static void opening_refuse_claim(struct device_opening *opening, const struct device *orphan)
{
	unsigned requests;
	double age;

	(void) device_is_orphan(orphan, &age, &requests);
	opening->error = reason_refuse(
		&opening->reason, -EBUSY,
		"its backing store is still in use by the deleted %s: %u late requests, for %.0f s",
		device_label(orphan), requests, age);
}

/* Whether it has to wait for another device's claim. A device that is ending may still write to the
 * same backing store. An orphan does so for an unknown time: refused. Others end within their
 * deadlines: waited for. */
static bool opening_waits_for_claim(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	struct device *holder;

	if (opening->error || !opening->info.claim[0] || device->state != DEVICE_OPENING)
		return false;
	holder = device->env->parent->find_claimant(device->env, opening->info.claim, device);
	assert(holder != device);
	if (!holder)
		return false;
	if (device_state(holder) != DEVICE_ORPHANED)
		return true;
	opening_refuse_claim(opening, holder);
	return false;
}

static void opening_take_over(struct device *device, struct device_opening *opening)
{
	assert(!device->backend && opening->options);
	options_free(device->options);
	device->options = opening->options;
	device->info = opening->info;
	device->backend = opening->backend;
	device->lu_info.known = opening->lu_info;
	device_post(device, DEVICE_EV_OPENED);
}

static void opening_fail(struct device *device, struct device_opening *opening)
{
	assert(!opening->backend);
	device->error = opening->error;
	device->reason = opening->reason;
	options_free(opening->options);
	options_free(device->options);
	device->options = NULL;
	/* Not there yet, or not any more: an event or the next scan decides. */
	if (opening->error == -ENOENT && opening->attributes.block_size == 0 &&
	    device->origin == DEVICE_ORIGIN_FOUND && !device->owes_added)
		device_post(device, DEVICE_EV_UNREGISTERED);
	device_post(device, device->owes_added ? DEVICE_EV_OPEN_REFUSED : DEVICE_EV_OPEN_FAILED);
}

static void opening_finish(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	bool adopts = atomic_load(&opening->adopts);

	assert(device->opening == opening);
	device->opening = NULL;
	device->attributes = opening->attributes;
	if (device->origin == DEVICE_ORIGIN_FOUND) {
		device->id = opening->attributes.id;
		if (device->state == DEVICE_OPENING)
			device->owes_added |= adopts;
		device->clean |= adopts;
	} else if (!opening->attributes.replies && atomic_load(&opening->known)) {
		device->owes_added = false;
	}
	if (opening->error)
		opening_fail(device, opening);
	else
		opening_take_over(device, opening);
	g_free(opening);
}

/* A scan found it before it was complete, and its ADDED_DEVICE has come meanwhile: the attributes
 * are there now. */
static bool opening_restarts(struct device_opening *opening)
{
	struct device *device = opening->call.device;

	if (!opening->error || opening->attributes.block_size ||
	    opening->origin != DEVICE_ORIGIN_FOUND || !device->owes_added ||
	    device->state != DEVICE_OPENING)
		return false;
	device->origin = DEVICE_ORIGIN_ADDED;
	device->clean = true;
	opening->origin = DEVICE_ORIGIN_ADDED;
	opening->error = 0;
	opening->reason.text[0] = '\0';
	opening_start_stage(opening, OPENING_CLAIM);
	return true;
}

/* After a stage, and after a wait for a claim. */
static void opening_continue(struct device_opening *opening)
{
	bool before_open = opening->stage == OPENING_CLAIM || opening->stage == OPENING_CLAIM_WAIT;

	assert(!opening->call.running && opening->stage != OPENING_DISCARD);
	if (opening_restarts(opening))
		return;
	if (opening_waits_for_claim(opening)) {
		opening->stage = before_open ? OPENING_CLAIM_WAIT : OPENING_OPEN_WAIT;
		return;
	}
	if (before_open && !opening->error && opening->call.device->state != DEVICE_OPENING)
		opening->error = reason_refuse(
			&opening->reason, -ENODEV, "it was deleted before it was opened");
	if (opening->error && opening->backend)
		opening_start_stage(opening, OPENING_DISCARD);
	else if (opening->error || !before_open)
		opening_finish(opening);
	else
		opening_start_stage(opening, OPENING_OPEN);
}

static void opening_done(struct device_call *call)
{
	struct device_opening *opening = opening_of(call);

	if (opening->stage == OPENING_DISCARD) {
		opening->backend = NULL;
		opening_finish(opening);
		return;
	}
	opening->error = call->result;
	if (opening->error && !opening->reason.text[0])
		reason_refuse(
			&opening->reason, opening->error, "no thread to open it on: %s",
			strerror(-opening->error));
	opening_continue(opening);
}

/* ------- for the device ------- */

void open_start(struct device *device)
{
	const struct settings *settings = device->env->settings;
	struct device_opening *opening = g_new0(struct device_opening, 1);

	assert(device->state == DEVICE_OPENING && !device->opening);
	assert(!device->backend && !device->thread);
	device_timer_arm(device, DEVICE_TIMER_OPEN, settings->open_timeout_ms);
	opening->call.device = device;
	opening->name = device->name;
	opening->origin = device->origin;
	opening->handler = device->handler;
	opening->max_transfer = settings->max_transfer_kib * UINT64_C(1024);
	/* Until it is read: an answer that nobody waits for does no harm, a missing one hangs. */
	opening->attributes.replies = true;
	device->opening = opening;
	opening_start_stage(opening, OPENING_CLAIM);
}

void open_timed_out(struct device *device)
{
	double seconds = (double) device->env->settings->open_timeout_ms / 1000;

	if (device->opening && atomic_load(&device->opening->adopts)) {
		device->owes_added = true;
		device->id = device->opening->attributes.id;
	}
	if (!device->owes_added) {
		log_dev_warning(
			device_label(device), "the %s backend is still opening after %g s",
			device->handler->subtype, seconds);
		return;
	}
	device->error = reason_refuse(
		&device->reason, -ETIMEDOUT, "the %s backend did not open within %g s",
		device->handler->subtype, seconds);
	device_post(device, DEVICE_EV_OPEN_TIMEOUT);
}

void open_claim_changed(struct device *device)
{
	if (device_waits_for_claim(device))
		opening_continue(device->opening);
}

void open_settle(struct device *device)
{
	if (device->state != DEVICE_OPENING)
		open_claim_changed(device);
}

bool open_added_again(struct device *device, unsigned minor, uint32_t id)
{
	if (device->minor != minor || device->origin != DEVICE_ORIGIN_FOUND ||
	    (!device->opening && device->id != id))
		return false;
	device->id = id;
	device->owes_added = true;
	return true;
}
