/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a device: what the kernel says of it, what its config string says, the handler's
 * open, the claim on the backing store, and the properties of the logical unit that follow.
 *
 * open_backend() runs on a thread of its own and touches only its struct opening; the rest is the
 * main thread's.
 */
#include "device/device-private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/configfs.h>

#include "base/log.h"
#include "base/reason.h"
#include "device/lu-info-read.h"
#include "device/target-dirs.h"

#define MAX_SECTORS_DEFAULT   128u /* the kernel's */
#define DATA_AREA_COMMANDS    16u  /* of the largest size have room in it */
#define WRITE_SAME_MAX        (64u * 1024 * 1024)
#define UNMAP_MAX             (UINT64_C(512) * 1024 * 1024)
#define COMPARE_AND_WRITE_MAX 255u

/* ------- on the job's thread ------- */

static int read_attribute(struct opening *open, const char *attribute, uint64_t *value)
{
	int r = tcmu_configfs_get(&open->name, attribute, value);

	return r < 0 ? reason_refuse(
			       &open->reason, r, "its attribute %s cannot be read: %s", attribute,
			       strerror(-r))
		     : 0;
}

/* Who makes a device without saying how large a command may be gets the kernel's default, with
 * which large transfers are slow. Only while nobody uses the device yet. */
static void set_max_sectors(struct opening *open, struct device_attributes *kernel)
{
	uint64_t area = 0, bytes = open->max_transfer;
	uint32_t sectors;

	if (open->origin != DEVICE_ORIGIN_ADDED || kernel->max_sectors != MAX_SECTORS_DEFAULT ||
	    !kernel->block_size)
		return;
	if (tcmu_configfs_get(&open->name, "max_data_area_mb", &area) < 0)
		return;
	area = area * 1024 * 1024 / DATA_AREA_COMMANDS;
	sectors = (uint32_t) ((bytes < area ? bytes : area) / kernel->block_size);
	if (sectors > kernel->max_sectors &&
	    tcmu_configfs_set_max_sectors(&open->name, sectors) == 0)
		kernel->max_sectors = sectors;
}

static int read_kernel_side(struct opening *open)
{
	struct device_attributes *kernel = &open->attributes;
	uint64_t block_size, max_sectors, write_cache, reservations, port_groups;
	int64_t replies;
	int r;

	if ((r = read_attribute(open, "hw_block_size", &block_size)) < 0 ||
	    (r = read_attribute(open, "dev_size", &kernel->size)) < 0 ||
	    (r = read_attribute(open, "hw_max_sectors", &max_sectors)) < 0)
		return r;
	kernel->block_size = (uint32_t) block_size;
	kernel->max_sectors = (uint32_t) max_sectors;
	set_max_sectors(open, kernel);
	kernel->write_cache = tcmu_configfs_get(&open->name, "emulate_write_cache", &write_cache) ==
			0 &&
		write_cache != 0;
	kernel->no_reservations = tcmu_configfs_get(&open->name, "emulate_pr", &reservations) ==
			0 &&
		reservations == 0;
	kernel->no_port_groups = tcmu_configfs_get(&open->name, "alua_support", &port_groups) ==
			0 &&
		port_groups == 0;
	/* A kernel without the attribute always waits. */
	kernel->replies = tcmu_configfs_get_signed(&open->name, "nl_reply_supported", &replies) <
			0 ||
		replies == 1;
	kernel->configured = true;
	if (open->origin == DEVICE_ORIGIN_FOUND) {
		r = tcmu_configfs_enabled(&open->name);
		if (r < 0)
			return reason_refuse(
				&open->reason, r, "its state in configfs cannot be read: %s",
				strerror(-r));
		kernel->configured = r > 0;
		r = tcmu_configfs_device_id(&open->name, &open->id);
		if (r < 0)
			return reason_refuse(
				&open->reason, r, "its number in configfs cannot be read: %s",
				strerror(-r));
		open->adopts = !kernel->configured && kernel->replies;
	} else {
		kernel->configured = false;
	}
	return 0;
}

static int check_size(struct opening *open)
{
	const struct device_attributes *kernel = &open->attributes;

	/* The kernel shows a device before it has its attributes; its ADDED_DEVICE is still to
	 * come. */
	if (kernel->block_size == 0 && open->origin == DEVICE_ORIGIN_FOUND) {
		open->adopts = false;
		return reason_refuse(&open->reason, -ENOENT, "it is still being made");
	}
	switch (kernel->block_size) {
	case 512:
	case 1024:
	case 2048:
	case 4096:
		break;
	default:
		return reason_refuse(
			&open->reason, -EINVAL,
			"hw_block_size is %u; 512, 1024, 2048 or 4096 is expected",
			kernel->block_size);
	}
	if (kernel->size == 0)
		return reason_refuse(
			&open->reason, -EINVAL, "dev_size is 0; a multiple of %u is expected",
			kernel->block_size);
	if (kernel->size % kernel->block_size)
		return reason_refuse(
			&open->reason, -EINVAL,
			"dev_size is %llu, not a multiple of the block size %u",
			(unsigned long long) kernel->size, kernel->block_size);
	return 0;
}

/* The first job: what the kernel and the config string say, and which backing store that is. */
static int identify(struct opening *open)
{
	struct tcmu_config config;
	int r = read_kernel_side(open);

	atomic_store(&open->known, true);
	if (r < 0)
		return r;
	r = check_size(open);
	if (r < 0)
		return r;
	r = options_parse(open->name.config, open->handler, &open->options, &open->reason);
	if (r < 0 || !open->handler->claim)
		return r;
	config = *options_config(open->options);
	return open->handler->claim(
		&config, open->info.claim, sizeof(open->info.claim), &open->reason);
}

/* The second job. */
static int open_handler(struct opening *open)
{
	struct tcmu_config config = *options_config(open->options);

	/* Older kernels know nothing of it; then aborted commands end with their time. */
	(void) tcmu_configfs_set(&open->name, "tmr_notification", "1");
	target_dirs_create();
	lu_info_read(&open->name, open->state_dir, &open->lu_info);
	config.size = open->attributes.size;
	config.block_size = open->attributes.block_size;
	open->info = (struct tcmu_backend_info){0};
	return open->handler->open(
		&config, &device_host, &open->device->host_device, &open->info, &open->backend,
		&open->reason);
}

static void run_stage(struct job *job)
{
	struct opening *open = (struct opening *) job;
	int r = open->stage == OPENING_CLAIM ? identify(open) : open_handler(open);

	open->error = r < 0 ? r : 0;
	if (r < 0 && !open->reason.text[0])
		reason_refuse(
			&open->reason, r, "the %s handler cannot open it: %s",
			open->handler->subtype, strerror(-r));
	/* Nobody serves it for now: let the kernel answer BUSY, so that initiators do not hang. */
	if (r < 0 && open->attributes.configured)
		(void) tcmu_configfs_action(&open->name, "block_dev", 1);
}

/* A backend that was opened and is refused after all. */
static void discard(struct job *job)
{
	struct opening *open = (struct opening *) job;

	open->handler->close(open->backend);
	open->backend = NULL;
}

/* ------- on the main thread ------- */

static void stage_done(struct job *job);

/* A job that cannot be started is one that has failed. */
static void start_stage(struct opening *open, enum opening_stage stage)
{
	int r;

	open->stage = stage;
	open->job.work = stage == OPENING_DISCARD ? discard : run_stage;
	open->job.done = stage_done;
	r = job_start(manager_setup(open->device->manager)->mailbox, &open->job, "open");
	if (r >= 0)
		return;
	open->error = reason_refuse(&open->reason, r, "no thread to open it on: %s", strerror(-r));
	stage_done(&open->job);
}

static void refuse_claim(struct opening *open, const struct device *orphan)
{
	unsigned requests;
	double age;

	(void) device_is_orphan(orphan, &age, &requests);
	open->error = reason_refuse(
		&open->reason, -EBUSY,
		"its backing store is still in use by the deleted %s: %u late requests, for %.0f s",
		device_label(orphan), requests, age);
}

/* A device that is ending may still write to the same backing store. An orphan does so for an
 * unknown time: refused. Others end within their deadlines: waited for. False: not now. */
static bool claim_decided(struct opening *open)
{
	struct device *device = open->device;
	const char *claim = open->info.claim[0] ? open->info.claim : NULL;
	struct device *holder = claim ? manager_claimant(device->manager, claim, device) : NULL;
	unsigned requests;
	double age;

	device->waits_for_claim = false;
	if (open->error || !holder || device->state != DEVICE_OPENING)
		return true;
	if (device_is_orphan(holder, &age, &requests))
		refuse_claim(open, holder);
	else
		device->waits_for_claim = true;
	return !device->waits_for_claim;
}

static void take_over(struct device *device, struct opening *open)
{
	options_free(device->options);
	device->options = open->options;
	device->info = open->info;
	device->backend = open->backend;
	device->lu_info.known = open->lu_info;
	device_event(device, DEVICE_EV_OPENED);
}

static void fail(struct device *device, struct opening *open)
{
	device->error = open->error;
	device->reason = open->reason;
	options_free(open->options);
	options_free(device->options);
	device->options = NULL;
	device_event(device, device->owes_added ? DEVICE_EV_OPEN_REFUSED : DEVICE_EV_OPEN_FAILED);
}

static void finish(struct opening *open)
{
	struct device *device = open->device;

	device->opening = NULL;
	device->attributes = open->attributes;
	if (device->origin == DEVICE_ORIGIN_FOUND) {
		device->id = open->id;
		if (device->state == DEVICE_OPENING)
			device->owes_added |= open->adopts;
		device->clean |= open->adopts;
	} else if (!open->attributes.replies && open->known) {
		device->owes_added = false;
	}
	/* Not there yet, or not any more: an event will tell, or the next look. */
	if (open->error == -ENOENT && open->attributes.block_size == 0 &&
	    device->origin == DEVICE_ORIGIN_FOUND && !device->owes_added)
		device_event(device, DEVICE_EV_UNREGISTERED);
	if (open->error)
		fail(device, open);
	else
		take_over(device, open);
	free(open);
	device_unref(device);
}

/* A scan found it before it was made, and its ADDED_DEVICE has come meanwhile: now it has what it
 * was lacking. */
static bool begins_again(struct opening *open)
{
	struct device *device = open->device;

	if (!open->error || open->attributes.block_size || open->origin != DEVICE_ORIGIN_FOUND ||
	    !device->owes_added || device->state != DEVICE_OPENING)
		return false;
	device->origin = DEVICE_ORIGIN_ADDED;
	device->clean = true;
	open->origin = DEVICE_ORIGIN_ADDED;
	open->id = device->id;
	open->error = 0;
	open->reason.text[0] = '\0';
	start_stage(open, OPENING_CLAIM);
	return true;
}

static void go_on(struct opening *open)
{
	if (begins_again(open) || !claim_decided(open))
		return;
	/* Deleted meanwhile: there is nothing to open it for. */
	if (open->stage == OPENING_CLAIM && !open->error && open->device->state != DEVICE_OPENING)
		open->error = reason_refuse(
			&open->reason, -ENODEV, "it was deleted before it was opened");
	if (open->error && open->backend)
		start_stage(open, OPENING_DISCARD);
	else if (open->error || open->stage == OPENING_OPEN)
		finish(open);
	else
		start_stage(open, OPENING_OPEN);
}

static void stage_done(struct job *job)
{
	struct opening *open = (struct opening *) job;

	if (open->stage == OPENING_DISCARD)
		finish(open);
	else
		go_on(open);
}

bool device_added_again(struct device *device, unsigned minor, uint32_t id)
{
	if (device->minor != minor || device->origin != DEVICE_ORIGIN_FOUND ||
	    (!device->opening && device->id != id))
		return false;
	device->id = id;
	device->owes_added = true;
	if (device->state == DEVICE_LIVE || device->state == DEVICE_FAULTED)
		device_answer_added(device);
	return true;
}

void device_claim_changed(struct device *device)
{
	if (device->waits_for_claim)
		go_on(device->opening);
}

bool device_is_known(const struct device *device)
{
	return !device->opening || device->opening->known;
}

void device_open(struct device *device)
{
	struct opening *open = calloc(1, sizeof(*open));

	device_arm(
		device, DEVICE_TIMER_OPEN,
		manager_setup(device->manager)->settings->open_timeout_ms);
	if (!open) {
		device->error = -ENOMEM;
		snprintf(device->reason.text, sizeof(device->reason.text), "out of memory");
		device_event(
			device,
			device->owes_added ? DEVICE_EV_OPEN_REFUSED : DEVICE_EV_OPEN_FAILED);
		return;
	}
	open->device = device_ref(device);
	open->name = device->name;
	open->origin = device->origin;
	open->handler = device->handler;
	open->state_dir = manager_setup(device->manager)->state_dir;
	open->id = device->id;
	open->max_transfer = manager_setup(device->manager)->settings->max_transfer_kib *
		UINT64_C(1024);
	device->opening = open;
	start_stage(open, OPENING_CLAIM);
}

/* ------- the logical unit ------- */

static uint32_t clamp32(uint64_t value, uint64_t max)
{
	return (uint32_t) (value < max ? value : max);
}

/* What the backend stores whole is one unit: so many blocks, at a multiple of them. */
static void lu_atomic(const struct tcmu_backend_info *info, struct scsi_lu *lu)
{
	uint32_t blocks = info->atomic_write > lu->block_size ? info->atomic_write / lu->block_size
							      : 1;

	if (!(info->caps & TCMU_CAP_ATOMIC) || blocks > lu->max_transfer)
		return;
	lu->max_atomic = blocks;
	lu->atomic_alignment = lu->atomic_granularity = blocks > 1 ? blocks : 0;
}

static void lu_limits(const struct device *device, struct scsi_lu *lu)
{
	const struct tcmu_backend_info *info = &device->info;
	uint32_t block = lu->block_size;
	uint64_t unmap = info->maximum_unmap && info->maximum_unmap < UNMAP_MAX
		? info->maximum_unmap
		: UNMAP_MAX;

	lu->max_transfer = device->attributes.max_sectors;
	if (info->maximum_transfer)
		lu->max_transfer = clamp32(info->maximum_transfer / block, lu->max_transfer);
	lu->optimal_transfer = clamp32(info->optimal_transfer / block, lu->max_transfer);
	lu->optimal_granularity = 1u << lu->physical_exponent;
	lu->max_unmap = clamp32(unmap / block, UINT32_MAX);
	lu->unmap_granularity = info->unmap_granularity > block ? info->unmap_granularity / block
								: 1;
	lu->max_write_same = WRITE_SAME_MAX / block;
	lu->max_compare_and_write = (uint8_t) clamp32(lu->max_transfer / 2, COMPARE_AND_WRITE_MAX);
	if (info->maximum_compare_and_write)
		lu->max_compare_and_write = (uint8_t) clamp32(
			info->maximum_compare_and_write / block, lu->max_compare_and_write);
}

void device_init_lu(const struct device *device, struct scsi_lu *lu)
{
	const struct tcmu_backend_info *info = &device->info;
	enum xcopy_scope copies = manager_setup(device->manager)->settings->extended_copy;

	*lu = (struct scsi_lu){
		.blocks = device->attributes.size / device->attributes.block_size,
		.block_size = device->attributes.block_size,
		.rotational = info->rotational,
		.read_only = options_config(device->options)->read_only ||
			!(info->caps & TCMU_IO_CAP(TCMU_IO_WRITE)),
		.thin = info->thin,
		.unmap = info->caps & TCMU_IO_CAP(TCMU_IO_UNMAP),
		.unmap_zeroes = info->unmap_zeroes,
		.has_map = info->caps & TCMU_IO_CAP(TCMU_IO_MAP),
		.can_format = true,
		.has_clock = true,
		.max_xcopies = copies == XCOPY_OFF ? 0 : SCSI_XCOPIES_MAX,
		.xcopy_to_others = copies == XCOPY_ALL,
		.has_port_groups = !device->attributes.no_port_groups,
		.no_reservations = device->attributes.no_reservations,
		.write_cache = info->volatile_cache,
		.write_cache_changeable = info->volatile_cache,
	};
	for (uint32_t size = lu->block_size;
	     size < info->physical_block && lu->physical_exponent < 15; size *= 2)
		lu->physical_exponent++;
	lu_limits(device, lu);
	lu_atomic(info, lu);
	snprintf(lu->vendor, sizeof(lu->vendor), "%s", options_vendor(device->options));
	snprintf(lu->product, sizeof(lu->product), "%s", options_product(device->options));
	snprintf(lu->revision, sizeof(lu->revision), "%s", options_revision(device->options));
	snprintf(lu->config, sizeof(lu->config), "%s", device->name.config);
}
