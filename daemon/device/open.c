/* SPDX-License-Identifier: Apache-2.0 */
#include "device/open.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/container-of.h"
#include "base/log.h"
#include "base/reason.h"
#include "config/handler-call.h"
#include "device/block.h"
#include "device/state.h"
#include "device/status.h"

/* The pause between two attempts to find a missing store. */
#define STORE_AGAIN_US UINT64_C(500000)

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
	int r;

	opening->attributes.no_reservations = opening->origin == DEVICE_ORIGIN_ADDED &&
		opening->local_reservations && device->handler->lock;
	r = device->env->kernel->read_attributes(
		device->env, &opening->name, opening->origin, opening->max_transfer,
		&opening->attributes, &opening->reason);

	/* A device of block size 0 is not complete: its creation does not wait yet. */
	atomic_store(
		&opening->adopts,
		r >= 0 && opening->origin == DEVICE_ORIGIN_FOUND &&
			opening->attributes.block_size != 0 && !opening->attributes.configured &&
			opening->attributes.replies);
	opening->attributes_read = r >= 0;
	atomic_store(&opening->known, true);
	return r < 0 ? r : opening_check_size(opening);
}

/* Whether the handler may create the store. A backstore that was served before is resumed, also
 * when it is created: a restore after a boot does that, perhaps before the file system is mounted.
 * Not so where its deletion was seen since the boot. */
static void opening_decide_creation(struct device_opening *opening)
{
	const struct device *device = opening->call.device;
	bool creation = opening->origin == DEVICE_ORIGIN_ADDED || atomic_load(&opening->adopts);

	opening->must_exist = !opening->creates || !creation ||
		(!opening->deleted && device->env->kernel->was_served(device->env, &opening->name));
}

/* The first job: which backing store the attributes and the config string mean. */
static int opening_read_claim(struct device_opening *opening)
{
	struct tcmu_config config;
	int r = opening_read_attributes(opening);

	if (r < 0)
		return r;
	opening_decide_creation(opening);
	options_free(opening->options);
	opening->options = NULL;
	r = options_parse(
		opening->name.config, opening->handler, &opening->options, &opening->reason);
	if (r < 0 || !opening->handler->claim)
		return r;
	config = *options_config(opening->options);
	config.must_exist = opening->must_exist;
	opening->info.claim[0] = '\0';
	return handler_call_claim(
		opening->handler, &config, opening->info.claim, sizeof(opening->info.claim),
		&opening->reason);
}

/* The second job. */
static int opening_open(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	struct tcmu_config config = *options_config(opening->options);
	int r;

	device->env->kernel->prepare(device->env, &opening->name);
	/* Without them the initiators would find another disk. */
	r = device->env->kernel->read_lu_info(device->env, &opening->name, &opening->lu_info);
	if (r < 0)
		return reason_refuse(
			&opening->reason, r, "cannot read its serial and ports: %s", strerror(-r));
	config.size = opening->attributes.size;
	config.block_size = opening->attributes.block_size;
	config.must_exist = opening->must_exist;
	opening->info = (struct tcmu_backend_info){0};
	device_host_begin(device);
	r = handler_call_open(
		opening->handler, &config, &device_host, &device->host_device, &opening->info,
		&opening->backend, &opening->reason);
	if (r >= 0)
		device->env->kernel->note_served(device->env, &opening->name);
	return r;
}

/* The third job. Nobody uses the ring: what is in it is answered BUSY. */
static int opening_reset(struct device_opening *opening)
{
	const struct device *device = opening->call.device;
	int r = device->env->kernel->reset_ring(device->env, &opening->name);

	return r < 0 ? reason_refuse(
			       &opening->reason, r,
			       "its ring cannot be reset (action/reset_ring): %s", strerror(-r))
		     : 0;
}

static void opening_work(struct device_call *call)
{
	static int (*const work[OPENING_STAGE_COUNT])(struct device_opening *) = {
		[OPENING_CLAIM] = opening_read_claim,
		[OPENING_OPEN] = opening_open,
		[OPENING_RESET] = opening_reset,
	};
	struct device_opening *opening = opening_of(call);
	int r = work[opening->stage](opening);

	call->result = r < 0 ? r : 0;
	if (r < 0 && !opening->reason.text[0])
		reason_refuse(
			&opening->reason, r, "the %s handler cannot open it: %s",
			opening->handler->subtype, strerror(-r));
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

struct sharing {
	bool share;
	bool read_only;
};

/* What a device's config string says. */
static struct sharing opening_sharing_of(const struct device *device)
{
	struct sharing sharing = {.share = false};
	struct tcmu_reason reason;
	struct options *options;

	if (options_parse(device->name.config, device->handler, &options, &reason) < 0)
		return sharing;
	sharing.share = options_share(options);
	sharing.read_only = options_config(options)->read_only;
	options_free(options);
	return sharing;
}

/* Ranges are locked, and claims held, for each device alone. Devices that an earlier daemon has
 * served stay: its initiators would lose their disk. False: refused. */
static bool opening_share_with(struct device_opening *opening, const struct device *other)
{
	const struct device *device = opening->call.device;
	bool is_open = opening->stage == OPENING_OPEN || opening->stage == OPENING_OPEN_WAIT;
	struct sharing a = opening_sharing_of(device), b = opening_sharing_of(other);

	if (a.read_only && b.read_only)
		return true;
	if (!(a.share && b.share) && !(device->existed && other->existed))
		return false;
	if (!is_open)
		return true;
	log_dev_warning(
		device_label(device),
		"its backing store is also served by %s: COMPARE AND WRITE, ORWRITE, atomic writes "
		"and reservations hold for each of them alone, and neither learns what the other "
		"one writes%s",
		device_label(other),
		a.share && b.share ? "" : "; delete one of them, or create both with share=1");
	return true;
}

/* Refuses the store where another device uses it and they may not share it. */
static void opening_check_sharers(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	const struct env_parent *parent = device->env->parent;
	struct device *other = NULL;

	assert(opening->claim[0] && !opening->error);
	while ((other = parent->find_sharer(device->env, opening->claim, device, other)))
		if (!opening_share_with(opening, other)) {
			opening->error = reason_refuse(
				&opening->reason, -EBUSY,
				"its backing store is in use by %s; share=1 in the config strings "
				"of both permits that",
				device_label(other));
			return;
		}
}

/* Whether it has to wait for another device's claim. A device that is ending may still write to the
 * same backing store. An orphan does so for an unknown time: refused. Others end within their
 * deadlines: waited for. */
static bool opening_waits_for_claim(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	struct device *holder;

	if (opening->error || !opening->claim[0] || device->state != DEVICE_OPENING)
		return false;
	holder = device->env->parent->find_claimant(device->env, opening->claim, device);
	assert(holder != device);
	if (!holder) {
		opening_check_sharers(opening);
		return false;
	}
	if (device_state(holder) != DEVICE_ORPHANED)
		return true;
	opening_refuse_claim(opening, holder);
	return false;
}

/* It may be right, as after a restore from a backup. */
static void opening_note_store(struct device *device, const struct device_opening *opening)
{
	struct marks_store *store = &device->store;
	const char *claim = opening->info.claim;

	if (opening->must_exist && store->claim[0] && claim[0] && strcmp(store->claim, claim) != 0)
		log_dev_warning(
			device_label(device),
			"its backing store is not the one that was served before: it is %s, and "
			"was %s; check %s",
			claim, store->claim, device->name.config);
	device->was_open = true;
	if (!store->deleted && strcmp(store->claim, claim) == 0)
		return;
	if (store->deleted)
		*store = (struct marks_store){.deleted = false};
	g_strlcpy(store->claim, claim, sizeof(store->claim));
	device->env->parent->save_store(device->env, device, store);
}

/* Whether the administrator allows the write cache. Its attribute means nothing where nobody knows
 * who has written it. */
static void opening_settle_write_cache(struct device *device, bool first)
{
	struct marks_store *store = &device->store;
	struct marks_store before = *store;
	bool on = device->attributes.write_cache;

	if (device->attributes.write_cache_shown) {
		store->write_cache_set = store->write_cache = true;
	} else if (!store->write_cache_set) {
		if (!on && device->info.volatile_cache)
			log_dev_info(
				device_label(device),
				"its write cache is on, but its attribute emulate_write_cache is "
				"0: write 1 or 0, and save the configuration");
		on = true;
	} else if (device->existed && first) {
		/* A change that no daemon has answered. */
		store->write_cache &= on;
	}
	if (store->write_cache_set)
		on = store->write_cache;
	device->attributes.write_cache = on;
	if (store->write_cache_set != before.write_cache_set ||
	    store->write_cache != before.write_cache)
		device->env->parent->save_store(device->env, device, store);
}

static void opening_take_over(struct device *device, struct device_opening *opening)
{
	bool first = !device->was_open;

	assert(!device->backend && opening->options);
	opening_note_store(device, opening);
	options_free(device->options);
	device->options = opening->options;
	device->info = opening->info;
	device->backend = opening->backend;
	device->lu_info.known = opening->lu_info;
	opening_settle_write_cache(device, first);
	device_post(device, DEVICE_EV_OPENED);
}

static void opening_fail(struct device *device, struct device_opening *opening)
{
	assert(!opening->backend);
	device_close_notes(device);
	device->attributes.write_cache = !device->store.write_cache_set ||
		device->store.write_cache;
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

/* The creation of a device that a scan has found waits for its answer. Where the daemon stops
 * meanwhile nobody serves it. */
static void opening_adopt(struct device *device)
{
	const struct env_parent *parent = device->env->parent;

	if (device->state == DEVICE_OPENING) {
		device->owes_added = true;
		parent->note_owed(device->env, TCMU_EVENT_ADDED, device->id);
	} else if (device->drain == DRAIN_STOP && !device->owes_removed) {
		parent->note_owed(device->env, TCMU_EVENT_ADDED, device->id);
		parent->answer(device->env, TCMU_EVENT_ADDED, device->id, -ESHUTDOWN);
	}
}

static void opening_finish(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	bool adopts = atomic_load(&opening->adopts);

	assert(device->opening == opening);
	device_alarm_end(&opening->again);
	device->opening = NULL;
	if (opening->attributes_read)
		device->attributes = opening->attributes;
	if (device->origin == DEVICE_ORIGIN_FOUND) {
		if (opening->attributes_read)
			device->id = opening->attributes.id;
		if (adopts)
			opening_adopt(device);
	} else if (
		device->owes_added && !opening->attributes.replies &&
		atomic_load(&opening->known)) {
		device->owes_added = false;
		device->env->parent->drop_owed(device->env, TCMU_EVENT_ADDED, device->id);
	}
	if (!opening->attributes.replies && atomic_load(&opening->known))
		block_configured(device);
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
	assert(opening->creates);
	opening->error = 0;
	opening->reason.text[0] = '\0';
	opening_start_stage(opening, OPENING_CLAIM);
	return true;
}

/* Where nobody else writes to the store, neither another host nor another device, and the handler
 * does not carry out COMPARE AND WRITE. */
static void opening_open_notes(struct device_opening *opening)
{
	struct device *device = opening->call.device;
	bool shared = opening->handler->lock || options_share(opening->options);

	if (device->notes || shared ||
	    (opening->info.caps & TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE)))
		return;
	device->notes = device->env->parent->open_notes(device->env, device, opening->claim);
	if (device->notes && (device->clean || !device->blocking.configured))
		notes_drop_all(device->notes);
}

/* The backend is open. Returns whether the ring has to be reset before its end: its last user died
 * while it had commands in flight, or did not end in order. */
static bool opening_resets(struct device_opening *opening)
{
	struct device *device = opening->call.device;

	if (opening->error || device->state != DEVICE_OPENING)
		return false;
	opening_open_notes(opening);
	if (!device->blocking.configured)
		return false;
	if (opening->stage == OPENING_RESET)
		device->clean = true;
	if (device->clean)
		return false;
	assert(device->blocking.interrupted);
	if (block_is_on(device)) {
		/* Its I/O thread does what the notes say, before it has the ring reset. */
		if (notes_left(device->notes))
			return false;
		opening_start_stage(opening, OPENING_RESET);
		return true;
	}
	opening->stage = OPENING_BLOCK_WAIT;
	if (!block_error(device))
		return true;
	opening->error = reason_refuse(
		&opening->reason, block_error(device),
		"the kernel cannot be made to answer BUSY (action/block_dev): %s",
		strerror(-block_error(device)));
	return false;
}

/* A creation whose store is missing, though it was served before: its file system may be mounted in
 * a moment. Others fail, and are retried, in FAILED. */
static bool opening_waits_for_store(struct device_opening *opening)
{
	struct device *device = opening->call.device;

	if (opening->error != -ENOENT || !opening->must_exist || device->state != DEVICE_OPENING ||
	    (!device->owes_added && !atomic_load(&opening->adopts)) ||
	    opening->attributes.block_size == 0)
		return false;
	assert(!opening->backend);
	if (!device->reason.text[0])
		log_dev_warning(
			device_label(device), "%s; it is waited for: %s", opening->reason.text,
			device->name.config);
	device->reason = opening->reason;
	opening->stage = OPENING_STORE_WAIT;
	device_alarm_arm(&opening->again, STORE_AGAIN_US);
	return true;
}

static void opening_try_again(struct device *device)
{
	struct device_opening *opening = device->opening;

	assert(opening && opening->stage == OPENING_STORE_WAIT);
	opening->error = 0;
	opening->reason.text[0] = '\0';
	opening_start_stage(opening, OPENING_CLAIM);
}

/* After a stage, and after a wait for a claim or for the kernel's block state. */
static void opening_continue(struct device_opening *opening)
{
	bool before_open = opening->stage == OPENING_CLAIM || opening->stage == OPENING_CLAIM_WAIT;

	assert(!opening->call.running && opening->stage != OPENING_DISCARD);
	if (opening_restarts(opening))
		return;
	if (opening_waits_for_store(opening))
		return;
	if (!before_open && opening_resets(opening))
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

/* Whether the kernel has had the device before, or creates it now: then its ring is new. */
static void opening_note_creation(struct device_opening *opening)
{
	struct device *device = opening->call.device;

	if (!opening->attributes_read || opening->origin != DEVICE_ORIGIN_FOUND)
		return;
	if (opening->attributes.configured) {
		block_configured(device);
		device->existed |= !device->was_open;
	} else {
		device->clean = true;
		block_fresh(device);
	}
}

static void opening_done(struct device_call *call)
{
	struct device_opening *opening = opening_of(call);

	if (opening->stage == OPENING_DISCARD) {
		opening->backend = NULL;
		opening_finish(opening);
		return;
	}
	opening_note_creation(opening);
	if (opening->stage == OPENING_CLAIM || opening->stage == OPENING_OPEN)
		g_strlcpy(opening->claim, opening->info.claim, sizeof(opening->claim));
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
	device_alarm_init(device, &opening->again, opening_try_again);
	opening->creates = !device->was_open;
	opening->deleted = device->store.deleted;
	opening->max_transfer = settings->max_transfer_kib * UINT64_C(1024);
	opening->local_reservations = settings->reservations == RESERVATIONS_LOCAL;
	/* Until it is read: an answer that nobody waits for does no harm, a missing one hangs. */
	opening->attributes.replies = true;
	device->opening = opening;
	opening_start_stage(opening, OPENING_CLAIM);
}

void open_timed_out(struct device *device)
{
	double seconds = (double) device->env->settings->open_timeout_ms / 1000;

	if (device->opening && atomic_load(&device->opening->adopts)) {
		device->id = device->opening->attributes.id;
		opening_adopt(device);
	}
	if (!device->owes_added) {
		log_dev_warning(
			device_label(device), "the %s backend is still opening after %g s",
			device->handler->subtype, seconds);
		return;
	}
	if (device->opening && device->opening->stage == OPENING_STORE_WAIT) {
		opening_finish(device->opening);
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
	struct device_opening *opening = device->opening;

	if (opening && opening->stage == OPENING_STORE_WAIT) {
		if (device->state != DEVICE_OPENING)
			opening_finish(opening);
	} else if (opening && opening->stage == OPENING_BLOCK_WAIT) {
		if (device->state != DEVICE_OPENING || block_is_on(device) || block_error(device))
			opening_continue(opening);
	} else if (device->state != DEVICE_OPENING) {
		open_claim_changed(device);
	}
}

bool open_added_again(struct device *device, unsigned minor, uint32_t id)
{
	bool known = !device->opening || device->blocking.configured;

	/* A device that was configured before has been deleted, and this is its successor. */
	if (device->minor != minor || device->origin != DEVICE_ORIGIN_FOUND ||
	    (known && device->id != id))
		return false;
	device->id = id;
	device->owes_added = true;
	return true;
}
