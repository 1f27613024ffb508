/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a device: what the kernel says of it, what its config string says, the handler's open,
 * the claim on the backing store, and the properties of the logical unit that follow.
 *
 * open_backend() runs on a thread of its own and touches only its struct opening; the rest is the main
 * thread's.
 */
#include "device-private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/configfs.h>

#include "log.h"

#define WRITE_SAME_MAX        (64u * 1024 * 1024)
#define UNMAP_MAX             (UINT64_C(4) * 1024 * 1024 * 1024)
#define COMPARE_AND_WRITE_MAX 255u

__attribute__((format(printf, 3, 4))) static int refuse(
	struct opening *open, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(open->reason.text, sizeof(open->reason.text), format, args);
	va_end(args);
	return error;
}

/* ------- on the job's thread ------- */

static int read_attribute(struct opening *open, const char *attribute, uint64_t *value)
{
	int r = tcmu_configfs_get(&open->name, attribute, value);

	return r < 0 ? refuse(open, r, "its attribute %s cannot be read: %s", attribute, strerror(-r)) : 0;
}

static int read_kernel_side(struct opening *open)
{
	struct kernel_side *kernel = &open->kernel;
	uint64_t block_size, max_sectors, write_cache;
	int64_t replies;
	int r;

	if ((r = read_attribute(open, "hw_block_size", &block_size)) < 0 ||
	    (r = read_attribute(open, "dev_size", &kernel->size)) < 0 ||
	    (r = read_attribute(open, "hw_max_sectors", &max_sectors)) < 0)
		return r;
	kernel->block_size = (uint32_t) block_size;
	kernel->max_sectors = (uint32_t) max_sectors;
	kernel->write_cache = tcmu_configfs_get(&open->name, "emulate_write_cache", &write_cache) == 0 &&
		write_cache != 0;
	/* A kernel without the attribute always waits. */
	kernel->replies = tcmu_configfs_get_signed(&open->name, "nl_reply_supported", &replies) < 0 ||
		replies == 1;
	kernel->configured = true;
	if (open->origin == DEVICE_ORIGIN_FOUND) {
		r = tcmu_configfs_enabled(&open->name);
		if (r < 0)
			return refuse(open, r, "its state in configfs cannot be read: %s", strerror(-r));
		kernel->configured = r > 0;
		r = tcmu_configfs_device_id(&open->name, &open->id);
		if (r < 0)
			return refuse(open, r, "its number in configfs cannot be read: %s", strerror(-r));
		open->adopts = !kernel->configured && kernel->replies;
	} else {
		kernel->configured = false;
	}
	return 0;
}

static int check_size(struct opening *open)
{
	const struct kernel_side *kernel = &open->kernel;

	switch (kernel->block_size) {
	case 512:
	case 1024:
	case 2048:
	case 4096:
		break;
	default:
		return refuse(
			open, -EINVAL, "hw_block_size is %u; 512, 1024, 2048 or 4096 is expected",
			kernel->block_size);
	}
	if (kernel->size == 0)
		return refuse(
			open, -EINVAL, "dev_size is 0; a multiple of %u is expected", kernel->block_size);
	if (kernel->size % kernel->block_size)
		return refuse(
			open, -EINVAL, "dev_size is %llu, not a multiple of the block size %u",
			(unsigned long long) kernel->size, kernel->block_size);
	return 0;
}

static int open_handler(struct opening *open)
{
	struct tcmu_config config;
	int r;

	r = options_parse(open->name.config, open->handler, &open->options, &open->reason);
	if (r < 0)
		return r;
	config = *options_config(open->options);
	config.size = open->kernel.size;
	config.block_size = open->kernel.block_size;
	r = open->handler->open(
		&config, &device_host, &open->device->host_device, &open->info, &open->backend,
		&open->reason);
	if (r < 0 && !open->reason.text[0])
		refuse(open, r, "the %s handler cannot open it: %s", open->handler->subtype, strerror(-r));
	return r;
}

static void open_backend(struct job *job)
{
	struct opening *open = (struct opening *) job;
	int r;

	if ((r = read_kernel_side(open)) >= 0 && (r = check_size(open)) >= 0) {
		/* Older kernels know nothing of it; then aborted commands end with their time. */
		(void) tcmu_configfs_set(&open->name, "tmr_notification", "1");
		r = open_handler(open);
	}
	open->error = r < 0 ? r : 0;
	/* Nobody serves it for now: let the kernel answer BUSY, so that initiators do not hang. */
	if (r < 0 && open->kernel.configured)
		(void) tcmu_configfs_action(&open->name, "block_dev", 1);
}

/* ------- on the main thread ------- */

static void take_over(struct device *device, struct opening *open)
{
	options_free(device->options);
	device->options = open->options;
	device->info = open->info;
	device->backend = open->backend;
}

static void discard(struct job *job)
{
	struct opening *open = (struct opening *) job;

	open->handler->close(open->backend);
}

static void opened(struct opening *open);

/* A refused backend has been closed again: now it is a failed open like any other. */
static void discarded(struct job *job)
{
	struct opening *open = (struct opening *) job;

	open->backend = NULL;
	opened(open);
}

static void refuse_claim(struct opening *open, const struct device *holder)
{
	unsigned requests;
	double age;

	if (device_is_orphan(holder, &age, &requests))
		refuse(open, -EBUSY,
		       "its backing store is still in use by the deleted %s: %u late requests, for %.0f s",
		       device_label(holder), requests, age);
	else
		refuse(open, -EBUSY, "its backing store is still in use by %s, which is ending",
		       device_label(holder));
	open->error = -EBUSY;
	open->job.work = discard;
	open->job.done = discarded;
	if (job_start(manager_setup(open->device->manager)->mailbox, &open->job, "close") < 0)
		discarded(&open->job);
}

/* A device that is ending may still write to the same backing store. An orphan does so for an unknown time:
 * refused. Others end within their deadlines: waited for. True: goes on now. */
static bool claim_is_free(struct opening *open)
{
	struct device *device = open->device;
	const char *claim = open->info.claim[0] ? open->info.claim : NULL;
	struct device *holder = claim ? manager_claimant(device->manager, claim, device) : NULL;
	unsigned requests;
	double age;

	device->waits_for_claim = false;
	if (!holder || device->state != DEVICE_OPENING)
		return true;
	if (device_is_orphan(holder, &age, &requests))
		refuse_claim(open, holder);
	else
		device->waits_for_claim = true;
	return false;
}

static void fail(struct device *device, const struct opening *open)
{
	device->error = open->error;
	device->reason = open->reason;
	options_free(device->options);
	device->options = NULL;
	device_event(device, device->owes_added ? DEVICE_EV_OPEN_REFUSED : DEVICE_EV_OPEN_FAILED);
}

static void opened(struct opening *open)
{
	struct device *device = open->device;

	if (open->error == 0 && !claim_is_free(open))
		return;
	device->opening = NULL;
	device->kernel = open->kernel;
	if (device->origin == DEVICE_ORIGIN_FOUND) {
		device->id = open->id;
		if (device->state == DEVICE_OPENING)
			device->owes_added = open->adopts;
		device->clean |= open->adopts;
	} else if (!open->kernel.replies && open->error != -ENOENT) {
		device->owes_added = false;
	}
	if (open->error) {
		options_free(open->options);
		open->options = NULL;
		fail(device, open);
	} else {
		take_over(device, open);
		device_event(device, DEVICE_EV_OPENED);
	}
	free(open);
	device_release(device);
}

static void open_done(struct job *job)
{
	opened((struct opening *) job);
}

bool device_is_added_again(struct device *device, unsigned minor, uint32_t id)
{
	if (device->minor != minor || device->origin != DEVICE_ORIGIN_FOUND)
		return false;
	return device->opening ? true : device->id == id;
}

void device_claim_changed(struct device *device)
{
	if (device->waits_for_claim)
		opened(device->opening);
}

void device_open(struct device *device)
{
	const struct manager_setup *setup = manager_setup(device->manager);
	struct opening *open = calloc(1, sizeof(*open));
	int r = -ENOMEM;

	device_arm(device, DEVICE_TIMER_OPEN, setup->settings->open_timeout_ms);
	if (open) {
		open->device = device_hold(device);
		open->name = device->name;
		open->origin = device->origin;
		open->handler = device->handler;
		open->id = device->id;
		open->job.work = open_backend;
		open->job.done = open_done;
		device->opening = open;
		r = job_start(setup->mailbox, &open->job, "open");
	}
	if (r >= 0)
		return;
	device->opening = NULL;
	device->error = r;
	snprintf(
		device->reason.text, sizeof(device->reason.text), "no thread to open it on: %s",
		strerror(-r));
	if (open)
		device_release(device);
	free(open);
	device_disarm(device, DEVICE_TIMER_OPEN);
	device_event(device, device->owes_added ? DEVICE_EV_OPEN_REFUSED : DEVICE_EV_OPEN_FAILED);
}

/* ------- the logical unit ------- */

static uint32_t clamp32(uint64_t value, uint64_t max)
{
	return (uint32_t) (value < max ? value : max);
}

static void lu_limits(const struct device *device, struct scsi_lu *lu)
{
	const struct tcmu_backend_info *info = &device->info;
	uint32_t block = lu->block_size;
	uint64_t unmap = info->maximum_unmap && info->maximum_unmap < UNMAP_MAX ? info->maximum_unmap
										: UNMAP_MAX;

	lu->max_transfer = device->kernel.max_sectors;
	if (info->maximum_transfer)
		lu->max_transfer = clamp32(info->maximum_transfer / block, lu->max_transfer);
	lu->optimal_transfer = clamp32(info->optimal_transfer / block, lu->max_transfer);
	lu->optimal_granularity = 1u << lu->physical_exponent;
	lu->max_unmap = clamp32(unmap / block, UINT32_MAX);
	lu->unmap_granularity = info->unmap_granularity > block ? info->unmap_granularity / block : 1;
	lu->max_write_same = WRITE_SAME_MAX / block;
	lu->max_compare_and_write = (uint8_t) clamp32(lu->max_transfer / 2, COMPARE_AND_WRITE_MAX);
}

void device_make_lu(const struct device *device, struct scsi_lu *lu)
{
	const struct tcmu_backend_info *info = &device->info;

	*lu = (struct scsi_lu){
		.blocks = device->kernel.size / device->kernel.block_size,
		.block_size = device->kernel.block_size,
		.rotational = info->rotational,
		.read_only = options_config(device->options)->read_only,
		.thin = info->thin,
		.unmap = info->caps & TCMU_IO_CAP(TCMU_IO_UNMAP),
		.unmap_zeroes = info->unmap_zeroes,
		.has_map = info->caps & TCMU_IO_CAP(TCMU_IO_MAP),
		.write_cache = info->volatile_cache,
		.write_cache_changeable = info->volatile_cache,
	};
	for (uint32_t size = lu->block_size; size < info->physical_block && lu->physical_exponent < 15;
	     size *= 2)
		lu->physical_exponent++;
	lu_limits(device, lu);
	snprintf(lu->vendor, sizeof(lu->vendor), "%s", options_vendor(device->options));
	snprintf(lu->product, sizeof(lu->product), "%s", options_product(device->options));
	snprintf(lu->revision, sizeof(lu->revision), "%s", options_revision(device->options));
	snprintf(lu->config, sizeof(lu->config), "%s", device->name.config);
}
