/* SPDX-License-Identifier: Apache-2.0 */
#include "device/state.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/reason.h"
#include "config/handler-call.h"
#include "config/handlers.h"
#include "config/stack.h"

#define LASTING_US UINT64_C(10000000)

/* ------- references ------- */

struct device *device_ref(struct device *device)
{
	assert(env_on_main_thread(device->env));
	device->refs++;
	return device;
}

/* A timer that is still armed would fire into freed memory. */
static void device_disarm_all(struct device *device)
{
	list_for_each (node, &device->all_alarms)
		env_timer_disarm(&container_of(node, struct device_alarm, node)->timer);
}

void device_unref(struct device *device)
{
	assert(env_on_main_thread(device->env));
	assert(device->refs > 0);
	if (--device->refs)
		return;
	assert(!device->opening && !device->acting);
	device_disarm_all(device);
	options_free(device->options);
	device_close_notes(device);
	memory_unmap(device->stats, sizeof(*device->stats));
	device_host_destroy(device);
	stack_free(device->stack);
	g_free(device);
}

/* ------- the queue ------- */

void device_post(struct device *device, enum device_event event)
{
	struct device_queue *queue = &device->queue;

	assert(env_on_main_thread(device->env));
	assert(event < DEVICE_EVENT_COUNT);
	assert(queue->cnt < DEVICE_QUEUE_MAX);
	queue->events[(queue->first + queue->cnt++) % DEVICE_QUEUE_MAX] = (uint8_t) event;
}

enum device_event device_queue_take(struct device_queue *queue)
{
	enum device_event event = queue->events[queue->first];

	assert(queue->cnt > 0);
	queue->first = (queue->first + 1) % DEVICE_QUEUE_MAX;
	queue->cnt--;
	return event;
}

/* ------- calls ------- */

static void device_call_work(struct job *job)
{
	struct device_call *call = container_of(job, struct device_call, job);

	call->work(call);
}

static void device_call_end(struct device_call *call)
{
	struct device *device = call->device;

	assert(env_on_main_thread(device->env));
	assert(call->running && !device->acting);
	assert(device->calls > 0);
	call->running = false;
	device->calls--;
	call->done(call); /* may free the call */
	device->run(device);
	device_unref(device);
}

static void device_call_done(struct job *job)
{
	device_call_end(container_of(job, struct device_call, job));
}

static void device_call_not_started(struct post *post)
{
	device_call_end(container_of(post, struct device_call, not_started));
}

void device_call_start(
	struct device *device, struct device_call *call, void (*work)(struct device_call *call),
	void (*done)(struct device_call *call), const char *name)
{
	struct device_env *env = device->env;

	assert(env_on_main_thread(env));
	assert(!call->running);
	call->device = device_ref(device);
	call->work = work;
	call->done = done;
	call->job.work = device_call_work;
	call->job.done = device_call_done;
	call->running = true;
	device->calls++;
	call->result = -EAGAIN;
	if (env->system->job_start(env, &call->job, name) >= 0)
		return; /* from here on the call is the job's */
	log_dev_debug(device->host_device.label, "cannot start a thread for \"%s\"", name);
	call->not_started.run = device_call_not_started;
	env->system->post(env, &call->not_started);
}

bool device_backend_in_use(const struct device *device)
{
	return device->reconfig.call.running || device->lock.call.running ||
		device->lock.query.running;
}

/* ------- timers ------- */

static void device_alarm_fired(struct env_timer *timer)
{
	struct device_alarm *alarm = container_of(timer, struct device_alarm, timer);
	struct device *device = alarm->device;

	assert(!device->acting);
	device_ref(device);
	alarm->fired(device);
	device->run(device);
	device_unref(device);
}

void device_close_notes(struct device *device)
{
	assert(!device->thread);
	notes_close(device->notes);
	device->notes = NULL;
}

void device_alarm_init(
	struct device *device, struct device_alarm *alarm, void (*fired)(struct device *device))
{
	assert(!alarm->device);
	alarm->device = device;
	alarm->fired = fired;
	alarm->timer.fired = device_alarm_fired;
	list_append(&device->all_alarms, &alarm->node);
}

void device_alarm_end(struct device_alarm *alarm)
{
	assert(alarm->device);
	env_timer_disarm(&alarm->timer);
	list_remove(&alarm->device->all_alarms, &alarm->node);
	alarm->device = NULL;
}

void device_alarm_arm(struct device_alarm *alarm, uint64_t delay_us)
{
	assert(alarm->fired);
	env_timer_arm(alarm->device->env, &alarm->timer, delay_us);
}

void device_timer_arm(struct device *device, enum device_timer timer, uint64_t ms)
{
	assert(timer < DEVICE_TIMER_COUNT);
	assert(device_state_has_timer(device->state, timer));
	device_alarm_arm(&device->alarms[timer], ms * 1000);
}

void device_timer_disarm(struct device *device, enum device_timer timer)
{
	assert(timer < DEVICE_TIMER_COUNT);
	env_timer_disarm(&device->alarms[timer].timer);
}

/* ------- from other threads ------- */

void device_signal(void *userdata, uint32_t bits)
{
	struct device *device = userdata;

	assert(bits);
	if (atomic_fetch_or(&device->signals, bits) == 0)
		device->env->system->post(device->env, &device->post);
}

void device_host_init(struct device *device)
{
	struct tcmu_host_device *host = &device->host_device;
	size_t count = handlers_counter_count(device->handler);

	assert(!host->device);
	host->device = device;
	host->counters = count ? g_new0(uint64_t, count) : NULL;
	(void) pthread_mutex_init(&host->lock, NULL);
	(void) snprintf(
		host->label, sizeof(host->label), "user_%u/%s", device->name.hba,
		device->name.name);
}

void device_host_destroy(struct device *device)
{
	g_free(device->host_device.counters);
	(void) pthread_mutex_destroy(&device->host_device.lock);
}

static const char *host_name(struct tcmu_host_device *dev)
{
	return dev->label;
}

static bool host_debug(struct tcmu_host_device *dev)
{
	(void) dev;
	return log_enabled(TCMU_LOG_DEBUG);
}

/* The text is shown on terminals, so it has no control characters. */
static void host_health(struct tcmu_host_device *dev, const char *text)
{
	size_t used = 0;

	(void) pthread_mutex_lock(&dev->lock);
	for (; text && text[used] && used + 1 < sizeof(dev->health); used++)
		dev->health[used] = (unsigned char) text[used] < ' ' || text[used] == 0x7f
			? ' '
			: text[used];
	dev->health[used] = '\0';
	(void) pthread_mutex_unlock(&dev->lock);
}

static uint64_t *host_counters(struct tcmu_host_device *dev)
{
	return dev->counters;
}

void device_host_begin(struct device *device)
{
	host_health(&device->host_device, NULL);
}

void device_host_health(const struct device *device, char *text)
{
	struct tcmu_host_device *host = (struct tcmu_host_device *) &device->host_device;

	(void) pthread_mutex_lock(&host->lock);
	memcpy(text, host->health, sizeof(host->health));
	(void) pthread_mutex_unlock(&host->lock);
}

static void host_log(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message)
{
	log_dev(dev->label, (int) level, "%s", message);
}

static void host_event(struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value)
{
	struct device *device = dev->device;

	switch (event) {
	case TCMU_BACKEND_LOCK_LOST:
		device_signal(device, DEVICE_SIGNAL_LOCK_LOST);
		break;
	case TCMU_BACKEND_FENCED:
		atomic_store(&device->backend_fenced, true);
		__attribute__((fallthrough));
	case TCMU_BACKEND_FAILED:
		atomic_store(&device->backend_error, (int) value);
		device_signal(device, DEVICE_SIGNAL_BACKEND_FAILED);
		break;
	case TCMU_BACKEND_RESIZED:
		atomic_store(&device->backend_size, value);
		device_signal(device, DEVICE_SIGNAL_BACKEND_RESIZED);
		break;
	}
}

const struct tcmu_host device_host = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(struct tcmu_host),
	.complete = submit_complete,
	.aio = submit_aio,
	.log = host_log,
	.event = host_event,
	.sizes = &handler_call_sizes,
	.handler_flags = TCMU_HANDLER_SYSCALLS_ONLY | TCMU_HANDLER_REOPENS |
		TCMU_HANDLER_ESCAPED_CONFIG | TCMU_HANDLER_RAW_CONFIG | TCMU_HANDLER_JOINED |
		TCMU_HANDLER_FLAT,
	.name = host_name,
	.debug = host_debug,
	.health = host_health,
	.counters = host_counters,
};

void device_note_backend_error(struct device *device, int error)
{
	device->error = reason_refuse(
		&device->reason, error, "%s; %s",
		atomic_load(&device->backend_fenced) ? "it has lost its connection to the shared "
						       "store: another host took the lock, or "
						       "the connection was given up"
						     : strerror(-error),
		device_reopens(device) ? "it is being reopened"
				       : "commands fail until it is deleted and created again");
}

/* ------- questions ------- */

bool device_reopens(const struct device *device)
{
	return (device->handler->flags & TCMU_HANDLER_REOPENS) ||
		atomic_load(&device->backend_fenced);
}

bool device_has_lasted(const struct device *device, uint64_t since)
{
	return clock_since(device->env->system->now_us(device->env), since) >= LASTING_US;
}

bool device_is_served(const struct device *device)
{
	return device->thread &&
		(device->state == DEVICE_ATTACHING || device->state == DEVICE_LIVE ||
		 device->state == DEVICE_RESETTING || device->state == DEVICE_FAULTED);
}

bool device_waits_for_claim(const struct device *device)
{
	return device->opening &&
		(device->opening->stage == OPENING_CLAIM_WAIT ||
		 device->opening->stage == OPENING_OPEN_WAIT);
}
