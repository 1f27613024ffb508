/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a served device's thread asks of the main thread because it waits for configfs or for a
 * disk: who the logical unit is and how it is reached, and errands of commands. Each is a job on a
 * thread of its own.
 *
 * Who asks for the identity is told within a second: with what was known before, if configfs is
 * busy with the creation or deletion of another device.
 */
#include "device/device-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/lu-info-read.h"

#define IDENTITY_TIMEOUT_MS UINT64_C(1000)

/* ------- the identity ------- */

static const char *state_dir(const struct device *device)
{
	return manager_setup(device->manager)->state_dir;
}

static void read_identity(struct job *job)
{
	struct device_lu_info *identity = (struct device_lu_info *) job;
	const struct device *device = identity->call.device;

	identity->read = calloc(1, sizeof(*identity->read));
	if (identity->read)
		lu_info_read(&device->name, state_dir(device), identity->read);
}

void device_report_lu_info(struct device *device)
{
	struct scsi_lu_info identity = device->lu_info.known;

	device->lu_info.timer = sd_event_source_disable_unref(device->lu_info.timer);
	device_lock_states(device, &identity.ports);
	if (device->thread && !device->io_ended)
		io_thread_set_lu_info(device->thread, &identity);
}

/* A serial that was set stays so. */
static void identity_done(struct job *job)
{
	struct device_lu_info *identity = (struct device_lu_info *) job;
	struct device *device = identity->call.device;

	identity->call.running = false;
	if (identity->read) {
		if (!identity->read->serial[0])
			memcpy(identity->read->serial, identity->known.serial,
			       sizeof(identity->read->serial));
		identity->known = *identity->read;
		free(identity->read);
		identity->read = NULL;
	}
	device_lock_learn(device);
	if (!device_lock_queries(device))
		device_report_lu_info(device);
	device_unref(device);
}

static int identity_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void) source;
	(void) usec;
	device_report_lu_info(userdata);
	return 0;
}

void device_need_lu_info(struct device *device)
{
	struct device_lu_info *identity = &device->lu_info;

	if (!identity->call.running && !device->lock.look.running &&
	    device_start_call(device, &identity->call, read_identity, identity_done, "identity") <
		    0)
		device_report_lu_info(device);
	else if (!identity->timer)
		(void) sd_event_add_time_relative(
			manager_setup(device->manager)->event, &identity->timer, CLOCK_MONOTONIC,
			IDENTITY_TIMEOUT_MS * 1000, 1000, identity_late, device);
}

/* ------- errands ------- */

static const char *access_state_name(uint8_t state)
{
	static const char *const names[] = {
		[SCSI_ACTIVE_OPTIMIZED] = "active/optimized",
		[SCSI_ACTIVE_NONOPTIMIZED] = "active/non-optimized",
		[SCSI_STANDBY] = "standby",
		[SCSI_UNAVAILABLE] = "unavailable",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "another state";
}

static void run_errand(struct job *job)
{
	struct device_deferred *errand = (struct device_deferred *) job;
	const struct device *device = errand->call.device;

	switch (errand->what.kind) {
	case DEFERRED_SAVE:
		errand->call.result = lu_info_save(
			state_dir(device), errand->what.serial, &errand->what.saved);
		break;
	case DEFERRED_SET_GROUPS:
		errand->call.result = lu_info_set_groups(&device->name, &errand->what.states);
		break;
	}
}

static void log_errand(const struct device *device, const struct device_deferred *errand)
{
	const struct scsi_group_states *states = &errand->what.states;

	if (errand->what.kind == DEFERRED_SAVE) {
		if (errand->call.result < 0)
			log_dev_error(
				device_label(device),
				"mode parameters that an initiator wants saved are not: %s",
				strerror(-errand->call.result));
		return;
	}
	for (unsigned i = 0; i < states->cnt; i++)
		log_dev(device_label(device),
			errand->call.result < 0 ? TCMU_LOG_ERROR : TCMU_LOG_INFO,
			"an initiator wants target port group %u %s: %s", states->to[i].id,
			access_state_name(states->to[i].state),
			errand->call.result < 0 ? strerror(-errand->call.result) : "done");
}

static void deferred_done(struct job *job)
{
	struct device_deferred *errand = (struct device_deferred *) job;
	struct device *device = errand->call.device;

	errand->call.running = false;
	log_errand(device, errand);
	if (errand->thread)
		io_thread_deferred_done(errand->thread, errand->call.result);
	errand->thread = NULL;
	device_unref(device);
}

void device_run_deferred(struct device *device)
{
	struct device_deferred *errand = &device->deferred;

	/* An earlier loop of this device had asked for something, which is not done yet. */
	if (errand->call.running) {
		io_thread_deferred_done(device->thread, -EAGAIN);
		return;
	}
	io_thread_deferred(device->thread, &errand->what);
	if (errand->what.kind != DEFERRED_SET_GROUPS || !device_lock_keeps_deferred(device))
		device_resume_deferred(device, 0);
}

void device_resume_deferred(struct device *device, int error)
{
	struct device_deferred *errand = &device->deferred;

	if (!device->thread || device->io_ended)
		return;
	if (!error &&
	    device_start_call(device, &errand->call, run_errand, deferred_done, "errand") < 0)
		error = -EAGAIN;
	if (error)
		io_thread_deferred_done(device->thread, error);
	else
		errand->thread = device->thread;
}
