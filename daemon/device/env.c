/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real system and the real kernel behind the tables of device/env.h.
 */
#include "device/env.h"

#include <assert.h>
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "device/marks.h"

#define ACCURACY_US 1000u

bool env_on_main_thread(const struct device_env *env)
{
	return pthread_equal(env->main_thread, pthread_self());
}

void env_timer_arm(struct device_env *env, struct env_timer *timer, uint64_t delay_us)
{
	assert(env_on_main_thread(env) && timer->fired);
	env_timer_disarm(timer);
	env->system->timer_arm(env, timer, delay_us);
	timer->env = env;
}

void env_timer_disarm(struct env_timer *timer)
{
	struct device_env *env = timer->env;

	if (!env)
		return;
	assert(env_on_main_thread(env));
	env->system->timer_disarm(env, timer);
	timer->env = NULL;
}

/* ------- the system ------- */

static uint64_t system_now_us(const struct device_env *env)
{
	(void) env;
	return clock_now_us();
}

static int system_timer_fired(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct env_timer *timer = userdata;

	(void) usec;
	assert(timer->handle == source);
	env_timer_disarm(timer);
	timer->fired(timer);
	return 0;
}

static void system_timer_arm(struct device_env *env, struct env_timer *timer, uint64_t delay_us)
{
	sd_event_source *source = NULL;
	int r = sd_event_add_time_relative(
		env->event, &source, CLOCK_MONOTONIC, delay_us,
		timer->accuracy_us ? timer->accuracy_us : ACCURACY_US, system_timer_fired, timer);

	if (r < 0)
		g_error("cannot make a timer: %s", strerror(-r));
	assert(!timer->handle);
	timer->handle = source;
}

static void system_timer_disarm(struct device_env *env, struct env_timer *timer)
{
	(void) env;
	assert(timer->handle);
	timer->handle = sd_event_source_disable_unref(timer->handle);
}

static int system_job_start(struct device_env *env, struct job *job, const char *name)
{
	return job_start(env->mailbox, job, name);
}

static void system_post(struct device_env *env, struct post *post)
{
	mailbox_post(env->mailbox, post);
}

static const struct env_system env_real_system = {
	.now_us = system_now_us,
	.timer_arm = system_timer_arm,
	.timer_disarm = system_timer_disarm,
	.job_start = system_job_start,
	.post = system_post,
};

/* ------- the kernel ------- */

static int kernel_scan_minor(
	const struct device_env *env, unsigned minor, struct tcmu_scan_entry *entry)
{
	(void) env;
	return tcmu_scan_minor(minor, entry);
}

static int kernel_read_attributes(
	const struct device_env *env, const struct tcmu_name *name, enum device_origin origin,
	uint64_t max_transfer, struct device_attributes *attributes, struct tcmu_reason *reason)
{
	assert(!env_on_main_thread(env));
	return configfs_read_attributes(name, origin, max_transfer, attributes, reason);
}

static void kernel_prepare(const struct device_env *env, const struct tcmu_name *name)
{
	assert(!env_on_main_thread(env));
	configfs_prepare(name);
}

static int kernel_block(const struct device_env *env, const struct tcmu_name *name, bool on)
{
	assert(!env_on_main_thread(env));
	return configfs_block(name, on);
}

static int kernel_reset_ring(const struct device_env *env, const struct tcmu_name *name)
{
	assert(!env_on_main_thread(env));
	return configfs_reset_ring(name);
}

static int kernel_read_lu_info(
	const struct device_env *env, const struct tcmu_name *name, struct scsi_lu_info *lu_info)
{
	int r = configfs_read_lu_info(name, lu_info);

	if (lu_info->serial[0])
		r = marks_load_modes(env->state_dir, lu_info->serial, &lu_info->saved);
	lu_info->has_saved = r > 0;
	return r < 0 ? r : 0;
}

static int kernel_read_command_timeout(
	const struct device_env *env, const struct tcmu_name *name, uint64_t *timeout)
{
	struct tcmu_reason reason;

	assert(!env_on_main_thread(env));
	return configfs_read_command_timeout(name, timeout, &reason);
}

static int kernel_set_groups(
	const struct device_env *env, const struct tcmu_name *name,
	const struct scsi_group_states *states)
{
	(void) env;
	return configfs_set_groups(name, states);
}

static int kernel_check_mappings(const struct device_env *env, const struct tcmu_name *name)
{
	assert(!env_on_main_thread(env));
	return configfs_check_mappings(name);
}

static int kernel_check_copy(
	const struct device_env *env, const struct tcmu_name *name, const struct tcmu_name *other,
	bool writes)
{
	assert(!env_on_main_thread(env));
	return configfs_check_copy(name, other, writes);
}

static int kernel_save_modes(
	const struct device_env *env, const char *serial, const struct scsi_mode_values *values)
{
	return marks_save_modes(env->state_dir, serial, values);
}

static bool kernel_was_served(const struct device_env *env, const struct tcmu_name *name)
{
	assert(!env_on_main_thread(env));
	return marks_was_served(env->state_dir, name);
}

static void kernel_note_served(const struct device_env *env, const struct tcmu_name *name)
{
	assert(!env_on_main_thread(env));
	(void) marks_set_served(env->state_dir, name);
}

static const struct env_kernel env_real_kernel = {
	.scan_minor = kernel_scan_minor,
	.read_attributes = kernel_read_attributes,
	.prepare = kernel_prepare,
	.block = kernel_block,
	.reset_ring = kernel_reset_ring,
	.read_lu_info = kernel_read_lu_info,
	.read_command_timeout = kernel_read_command_timeout,
	.set_groups = kernel_set_groups,
	.save_modes = kernel_save_modes,
	.check_mappings = kernel_check_mappings,
	.check_copy = kernel_check_copy,
	.was_served = kernel_was_served,
	.note_served = kernel_note_served,
};

void device_env_init(struct device_env *env, sd_event *event, struct mailbox *mailbox)
{
	*env = (struct device_env){
		.system = &env_real_system,
		.kernel = &env_real_kernel,
		.main_thread = pthread_self(),
		.event = event,
		.mailbox = mailbox,
	};
}
