/* SPDX-License-Identifier: Apache-2.0 */
#include "device/lu-info.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "base/container-of.h"
#include "base/log.h"
#include "device/lock.h"
#include "device/state.h"
#include "device/status.h"

#define LU_INFO_TIMEOUT_US UINT64_C(1000000)
#define WRITE_SAME_MAX     (UINT64_C(64) * 1024 * 1024)
#define UNMAP_MAX          (UINT64_C(512) * 1024 * 1024)

/* ------- LU info ------- */

static void lu_info_read(struct device_call *call)
{
	struct device_lu_info *lu_info = container_of(call, struct device_lu_info, call);
	const struct device *device = call->device;
	const struct env_kernel *kernel = device->env->kernel;

	call->result = kernel->read_lu_info(device->env, &device->name, lu_info->read);
	if (call->result >= 0)
		call->result = kernel->read_command_timeout(
			device->env, &device->name, &lu_info->command_timeout);
}

static void lu_info_report(struct device *device)
{
	struct scsi_lu_info lu_info = device->lu_info.known;

	env_timer_disarm(&device->lu_info.late.timer);
	lock_show_states(device, &lu_info.ports);
	if (device->thread)
		io_thread_set_lu_info(device->thread, &lu_info);
}

/* The kernel announces no change of it. Commands in flight keep the value that they were sent with;
 * those that wait for the LU info, an EXTENDED COPY among them, have the new one. */
static void lu_info_take_command_timeout(struct device *device)
{
	uint64_t timeout = device->lu_info.command_timeout;

	if (timeout == device->attributes.command_timeout)
		return;
	device->attributes.command_timeout = timeout;
	if (device->thread)
		io_thread_set_command_timeout(device->thread, timeout);
}

/* A serial that was set stays. If nothing could be read, all that was known stays. */
static void lu_info_read_done(struct device_call *call)
{
	struct device *device = call->device;
	struct device_lu_info *lu_info = &device->lu_info;
	g_autofree struct scsi_lu_info *read = lu_info->read;

	assert(read);
	lu_info->read = NULL;
	if (call->result >= 0) {
		if (!read->serial[0])
			memcpy(read->serial, lu_info->known.serial, sizeof(read->serial));
		lu_info->known = *read;
		lu_info_take_command_timeout(device);
	}
	lock_learn(device);
	if (!lock_query_start(device, lu_info_report))
		lu_info_report(device);
}

void lu_info_need(struct device *device)
{
	struct device_lu_info *lu_info = &device->lu_info;

	if (!lu_info->call.running && !device->lock.query.running) {
		assert(!lu_info->read);
		lu_info->read = g_new0(struct scsi_lu_info, 1);
		device_call_start(
			device, &lu_info->call, lu_info_read, lu_info_read_done, "lu-info");
	}
	if (!env_timer_is_armed(&lu_info->late.timer))
		device_alarm_arm(&lu_info->late, LU_INFO_TIMEOUT_US);
}

void lu_info_init(struct device *device)
{
	device_alarm_init(device, &device->lu_info.late, lu_info_report);
	device->deferred.log = (struct log_limit) LOG_LIMIT(10, 60);
}

/* ------- deferred commands ------- */

static const char *deferred_group_state_name(uint8_t state)
{
	static const char *const names[] = {
		[SCSI_ACTIVE_OPTIMIZED] = "active/optimized",
		[SCSI_ACTIVE_NONOPTIMIZED] = "active/non-optimized",
		[SCSI_STANDBY] = "standby",
		[SCSI_UNAVAILABLE] = "unavailable",
	};

	return state < G_N_ELEMENTS(names) ? names[state] : "another state";
}

static void deferred_work(struct device_call *call)
{
	struct device_deferred *deferred = container_of(call, struct device_deferred, call);
	const struct device *device = call->device;
	const struct deferred_request *request = &deferred->request;

	switch (request->kind) {
	case DEFERRED_SAVE:
		call->result = device->env->kernel->save_modes(
			device->env, request->serial, &request->saved);
		break;
	case DEFERRED_SET_GROUPS:
		call->result = device->env->kernel->set_groups(
			device->env, &device->name, &request->states);
		break;
	case DEFERRED_GUARD:
		call->result = device->env->kernel->check_mappings(device->env, &device->name);
		break;
	case DEFERRED_COPY_GUARD:
		call->result = 0;
		for (unsigned i = 0; i < request->other_cnt && call->result == 0; i++)
			call->result = device->env->kernel->check_copy(
				device->env, &device->name, &request->others[i].name,
				request->others[i].written);
		break;
	}
}

static void deferred_log_refusal(const struct device *device, int result)
{
	if (device->deferred.request.kind == DEFERRED_COPY_GUARD)
		log_dev_warning(
			device_label(device),
			"an initiator's EXTENDED COPY is refused: not all initiators of this LUN "
			"may use "
			"the other LUN, or that is reserved");
	else
		log_dev_warning(
			device_label(device),
			"an initiator's command without data, such as FORMAT UNIT or SANITIZE, is "
			"refused: %s",
			result == -EROFS           ? "a mapped LUN is write protected"
				: result == -EBUSY ? "the LUN is reserved"
						   : strerror(-result));
}

static void deferred_log(struct device *device, int result)
{
	const struct deferred_request *request = &device->deferred.request;
	bool guard = request->kind == DEFERRED_GUARD || request->kind == DEFERRED_COPY_GUARD;
	unsigned more;

	if ((request->kind != DEFERRED_SET_GROUPS && result >= 0) || (guard && result == -EAGAIN) ||
	    !log_limit_pass(&device->deferred.log, &more))
		return;
	if (more)
		log_dev_info(
			device_label(device), "%u requests of initiators were not logged", more);
	if (guard)
		deferred_log_refusal(device, result);
	if (request->kind == DEFERRED_SAVE)
		log_dev_error(
			device_label(device), "cannot save mode parameters for an initiator: %s",
			strerror(-result));
	for (unsigned i = 0; request->kind == DEFERRED_SET_GROUPS && i < request->states.cnt; i++)
		log_dev(device_label(device), result < 0 ? TCMU_LOG_ERROR : TCMU_LOG_INFO,
			"an initiator sets target port group %u to %s: %s",
			request->states.to[i].id,
			deferred_group_state_name(request->states.to[i].state),
			result < 0 ? strerror(-result) : "done");
}

static void deferred_done(struct device_call *call)
{
	struct device *device = call->device;
	struct device_deferred *deferred = &device->deferred;

	deferred_log(device, call->result);
	if (deferred->thread) {
		assert(deferred->thread == device->thread);
		io_thread_deferred_done(deferred->thread, call->result);
	}
	deferred->thread = NULL;
	deferred_request_clear(&deferred->request);
}

/* The lock allows the request, or refuses it with -errno. */
static void deferred_resume(struct device *device, int error)
{
	struct device_deferred *deferred = &device->deferred;

	if (!device->thread)
		return;
	assert(!deferred->thread);
	if (error) {
		io_thread_deferred_done(device->thread, error);
		return;
	}
	deferred->thread = device->thread;
	device_call_start(device, &deferred->call, deferred_work, deferred_done, "deferred");
}

void lu_info_run_deferred(struct device *device)
{
	struct device_deferred *deferred = &device->deferred;
	int r = 0;

	assert(device->thread);
	/* A request of an earlier I/O thread of this device still runs. */
	if (deferred->call.running) {
		io_thread_deferred_done(device->thread, -EAGAIN);
		return;
	}
	deferred_request_clear(&deferred->request);
	r = io_thread_deferred(device->thread, &deferred->request);
	if (r < 0) {
		io_thread_deferred_done(device->thread, r);
		return;
	}
	if (deferred->request.kind == DEFERRED_SET_GROUPS)
		r = lock_request(device, &deferred->request.states, deferred_resume);
	if (r <= 0)
		deferred_resume(device, r);
}

/* ------- the logical unit ------- */

static void lu_set_limits(const struct device *device, struct scsi_lu *lu)
{
	const struct tcmu_backend_info *info = &device->info;
	struct scsi_backend_limits limits = {
		.physical_block = info->physical_block,
		.max_blocks = device->attributes.max_sectors,
		.max_transfer = info->maximum_transfer,
		.optimal_transfer = info->optimal_transfer,
		.max_unmap = info->maximum_unmap && info->maximum_unmap < UNMAP_MAX
			? info->maximum_unmap
			: UNMAP_MAX,
		.unmap_granularity = info->unmap_granularity,
		.max_write_same = WRITE_SAME_MAX,
		.max_compare_and_write = info->maximum_compare_and_write,
	};

	if (info->caps & TCMU_CAP_ATOMIC)
		limits.atomic_write = info->atomic_write > lu->block_size ? info->atomic_write
									  : lu->block_size;
	scsi_lu_set_limits(lu, &limits);
}

void lu_info_fill_lu(const struct device *device, struct scsi_lu *lu)
{
	const struct tcmu_backend_info *info = &device->info;
	enum xcopy_scope copies = device->env->settings->extended_copy;

	assert(device->options && device->attributes.block_size);
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
		.dataless = options_sanitize(device->options),
		.has_clock = true,
		.max_xcopies = copies == XCOPY_OFF ? 0 : SCSI_XCOPIES_MAX,
		.xcopy_to_others = copies == XCOPY_ALL,
		.has_port_groups = !device->attributes.no_port_groups,
		.no_reservations = device->attributes.no_reservations,
		.write_cache = info->volatile_cache,
		.write_cache_changeable = info->volatile_cache,
	};
	lu_set_limits(device, lu);
	snprintf(lu->vendor, sizeof(lu->vendor), "%s", options_vendor(device->options));
	snprintf(lu->product, sizeof(lu->product), "%s", options_product(device->options));
	snprintf(lu->revision, sizeof(lu->revision), "%s", options_revision(device->options));
	if (!options_neutral_designator(device->options))
		snprintf(lu->config, sizeof(lu->config), "%s", device->name.config);
}
