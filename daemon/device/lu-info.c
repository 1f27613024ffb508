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
	struct device_identity *identity = (struct device_identity *) job;
	const struct device *device = identity->call.device;

	identity->read = calloc(1, sizeof(*identity->read));
	if (identity->read)
		identity_read(&device->name, state_dir(device), identity->read);
}

void device_tell_identity(struct device *device)
{
	struct scsi_identity identity = device->identity.known;

	device->identity.timer = sd_event_source_disable_unref(device->identity.timer);
	device_ownership_states(device, &identity.ports);
	if (device->loop && !device->loop_ended)
		loop_set_identity(device->loop, &identity);
}

/* A serial that was set stays so. */
static void identity_done(struct job *job)
{
	struct device_identity *identity = (struct device_identity *) job;
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
	device_ownership_learn(device);
	if (!device_ownership_looks(device))
		device_tell_identity(device);
	device_release(device);
}

static int identity_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void) source;
	(void) usec;
	device_tell_identity(userdata);
	return 0;
}

void device_need_identity(struct device *device)
{
	struct device_identity *identity = &device->identity;

	if (!identity->call.running && !device->ownership.look.running &&
	    device_start_call(device, &identity->call, read_identity, identity_done, "identity") <
		    0)
		device_tell_identity(device);
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
	struct device_errand *errand = (struct device_errand *) job;
	const struct device *device = errand->call.device;

	switch (errand->what.kind) {
	case LOOP_ERRAND_SAVE:
		errand->call.result = identity_save(
			state_dir(device), errand->what.serial, &errand->what.saved);
		break;
	case LOOP_ERRAND_SET_GROUPS:
		errand->call.result = identity_set_groups(&device->name, &errand->what.states);
		break;
	}
}

static void log_errand(const struct device *device, const struct device_errand *errand)
{
	const struct scsi_group_states *states = &errand->what.states;

	if (errand->what.kind == LOOP_ERRAND_SAVE) {
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

static void errand_done(struct job *job)
{
	struct device_errand *errand = (struct device_errand *) job;
	struct device *device = errand->call.device;

	errand->call.running = false;
	log_errand(device, errand);
	if (errand->loop)
		loop_errand_done(errand->loop, errand->call.result);
	errand->loop = NULL;
	device_release(device);
}

void device_run_errand(struct device *device)
{
	struct device_errand *errand = &device->errand;

	/* An earlier loop of this device had asked for something, which is not done yet. */
	if (errand->call.running) {
		loop_errand_done(device->loop, -EAGAIN);
		return;
	}
	loop_errand(device->loop, &errand->what);
	if (errand->what.kind != LOOP_ERRAND_SET_GROUPS || !device_ownership_holds_errand(device))
		device_go_on_with_errand(device, 0);
}

void device_go_on_with_errand(struct device *device, int error)
{
	struct device_errand *errand = &device->errand;

	if (!device->loop || device->loop_ended)
		return;
	if (!error &&
	    device_start_call(device, &errand->call, run_errand, errand_done, "errand") < 0)
		error = -EAGAIN;
	if (error)
		loop_errand_done(device->loop, error);
	else
		errand->loop = device->loop;
}
