/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, closing and changing a disk.
 */
#include "host/disk.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/reason.h"
#include "config/handler-call.h"
#include "config/handlers.h"
#include "config/options.h"
#include "config/stack.h"
#include "host/faults.h"
#include "host/plugin.h"
#include "host/request.h"
#include "host/thread.h"
#include "host/violation.h"

/* Strict disks after their close: their memory and that of their requests stays, so that what a
 * handler does too late is noticed. */
static struct {
	pthread_mutex_t lock;
	GPtrArray *disks;
} disk_graveyard = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct tcmu_disk *disk_of(struct tcmu_host_device *dev)
{
	return (struct tcmu_disk *) dev;
}

static void disk_log(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message)
{
	struct tcmu_disk *disk = disk_of(dev);

	if (atomic_load(&disk->closed))
		host_violation(disk, NULL, "calls log after close");
	else if (disk->setup.log)
		disk->setup.log(disk->setup.userdata, level, message);
}

static void disk_event(struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value)
{
	struct tcmu_disk *disk = disk_of(dev);

	if (atomic_load(&disk->closed))
		host_violation(disk, NULL, "calls event after close");
	else if (disk->setup.event)
		disk->setup.event(disk->setup.userdata, event, value);
}

static const char *disk_name(struct tcmu_host_device *dev)
{
	(void) dev;
	return "host/disk";
}

static bool disk_debug(struct tcmu_host_device *dev)
{
	return disk_of(dev)->setup.debug;
}

static void disk_health(struct tcmu_host_device *dev, const char *text)
{
	struct tcmu_disk *disk = disk_of(dev);

	if (atomic_load(&disk->closed))
		host_violation(disk, NULL, "calls health after close");
	else if (disk->setup.health)
		disk->setup.health(disk->setup.userdata, text);
}

static uint64_t *disk_counters(struct tcmu_host_device *dev)
{
	return disk_of(dev)->counters;
}

/* Checks the result of a function that may refuse. */
static void disk_check_refusal(
	struct tcmu_disk *disk, const char *function, int r, const struct tcmu_reason *reason)
{
	char what[96];

	assert(strlen(function) < 32);
	if (r <= 0 && (r < 0) == (reason->text[0] != '\0'))
		return;
	(void) snprintf(
		what, sizeof(what),
		r > 0           ? "returns a positive number from %s"
			: r < 0 ? "gives no reason for the refusal of %s"
				: "gives a reason although %s succeeds",
		function);
	host_violation(disk, NULL, what);
}

static int disk_check_setup(const struct tcmu_disk_setup *setup, struct tcmu_reason *reason)
{
	if (setup->block_size < 512 || (setup->block_size & (setup->block_size - 1)))
		return reason_refuse(
			reason, -EINVAL, "a block of %u bytes is not possible", setup->block_size);
	if (!setup->disk_size || setup->disk_size % setup->block_size)
		return reason_refuse(
			reason, -EINVAL, "the size of the disk is not a multiple of %u bytes",
			setup->block_size);
	return 0;
}

static struct tcmu_disk *disk_new(
	const struct tcmu_plugin *plugin, const char *config, const struct tcmu_disk_setup *setup)
{
	struct tcmu_disk *disk = g_new0(struct tcmu_disk, 1);

	disk->plugin = plugin;
	disk->stack = host_plugin_stack(plugin, config);
	disk->handler = disk->stack ? stack_handler(disk->stack) : tcmu_plugin_handler(plugin);
	disk->setup = *setup;
	disk->wake_fd = -1;
	disk->host = (struct tcmu_host){
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(disk->host),
		.complete = host_complete,
		.aio = host_aio,
		.log = disk_log,
		.event = disk_event,
		.sizes = &handler_call_sizes,
		.handler_flags = TCMU_HANDLER_SYSCALLS_ONLY | TCMU_HANDLER_REOPENS |
			TCMU_HANDLER_ESCAPED_CONFIG | TCMU_HANDLER_RAW_CONFIG |
			TCMU_HANDLER_JOINED | TCMU_HANDLER_FLAT,
		.name = disk_name,
		.debug = disk_debug,
		.health = disk_health,
		.counters = disk_counters,
	};
	disk->counters = g_new0(uint64_t, handlers_counter_count(disk->handler) + 1);
	atomic_store(&disk->size, setup->disk_size);
	list_init(&disk->stuck);
	list_init(&disk->delayed);
	list_init(&disk->ended);
	list_init(&disk->kept);
	pthread_mutex_init(&disk->lock, NULL);
	pthread_cond_init(&disk->idle, NULL);
	return disk;
}

static void disk_free(struct tcmu_disk *disk)
{
	host_thread_end(disk);
	host_request_free_kept(disk);
	options_free(disk->options);
	stack_free(disk->stack);
	g_free(disk->counters);
	pthread_cond_destroy(&disk->idle);
	pthread_mutex_destroy(&disk->lock);
	g_free(disk);
}

static struct tcmu_config disk_config(const struct tcmu_disk *disk, uint64_t size)
{
	struct tcmu_config config = *options_config(disk->options);

	config.size = size;
	config.block_size = disk->setup.block_size;
	config.must_exist = disk->setup.must_exist;
	return config;
}

static int disk_open_backend(struct tcmu_disk *disk, struct tcmu_reason *reason)
{
	struct tcmu_config config = disk_config(disk, disk->setup.disk_size);
	int r = handler_call_open(
		disk->handler, &config, &disk->host, (struct tcmu_host_device *) disk, &disk->info,
		&disk->backend, reason);

	disk_check_refusal(disk, "open", r, reason);
	if (r == 0 && !disk->backend)
		host_violation(disk, NULL, "sets no backend although open succeeds");
	if (r > 0)
		r = reason_refuse(reason, -EINVAL, "open of the handler returned %d", r);
	return r;
}

int tcmu_disk_open(
	const struct tcmu_plugin *plugin, const char *config, const struct tcmu_disk_setup *setup,
	struct tcmu_disk **ret, struct tcmu_reason *reason)
{
	struct tcmu_disk_setup ours = {.size = sizeof(ours)};
	struct tcmu_disk *disk;
	int r;

	reason->text[0] = '\0';
	memcpy(&ours, setup, MIN(setup->size, sizeof(ours)));
	r = disk_check_setup(&ours, reason);
	if (r < 0)
		return r;
	disk = disk_new(plugin, config, &ours);
	r = host_plugin_parse(plugin, config, &disk->options, reason);
	if (r >= 0)
		r = disk_open_backend(disk, reason);
	if (r < 0) {
		disk_free(disk);
		return r;
	}
	r = host_thread_start(disk);
	if (r < 0) {
		disk->handler->close(disk->backend);
		disk_free(disk);
		return reason_refuse(reason, r, "cannot start the I/O thread: %s", strerror(-r));
	}
	*ret = disk;
	return 0;
}

static void disk_bury(struct tcmu_disk *disk)
{
	host_request_check_kept(disk);
	pthread_mutex_lock(&disk_graveyard.lock);
	if (!disk_graveyard.disks)
		disk_graveyard.disks = g_ptr_array_new();
	g_ptr_array_add(disk_graveyard.disks, disk);
	pthread_mutex_unlock(&disk_graveyard.lock);
}

void tcmu_disk_close(struct tcmu_disk *disk)
{
	if (!disk)
		return;
	while (tcmu_disk_drain(disk, INT_MAX) < 0)
		;
	/* A thread that is still within host_complete() needs only CPU time to leave it. */
	while (atomic_load(&disk->completing))
		sched_yield();
	host_thread_end(disk);
	disk->handler->close(disk->backend);
	atomic_store(&disk->closed, true);
	if (disk->setup.strict)
		disk_bury(disk);
	else
		disk_free(disk);
}

const struct tcmu_backend_info *tcmu_disk_info(const struct tcmu_disk *disk)
{
	return &disk->info;
}

uint64_t tcmu_disk_size(const struct tcmu_disk *disk)
{
	return atomic_load(&disk->size);
}

static bool disk_info_differs(const void *before, const void *after)
{
	return memcmp(before, after, sizeof(struct tcmu_backend_info)) != 0;
}

/* A larger size holds from the handler's success on, a smaller one from before its call. */
int tcmu_disk_resize(struct tcmu_disk *disk, uint64_t size, struct tcmu_reason *reason)
{
	struct tcmu_config config = disk_config(disk, size);
	struct tcmu_backend_info info = disk->info;
	uint64_t before = atomic_load(&disk->size);
	int r;

	reason->text[0] = '\0';
	if (!disk->handler->resize)
		return reason_refuse(reason, -EOPNOTSUPP, "the handler has no function resize");
	if (!size || size % disk->setup.block_size)
		return reason_refuse(
			reason, -EINVAL, "the size of the disk is not a multiple of %u bytes",
			disk->setup.block_size);
	if (size < before)
		atomic_store(&disk->size, size);
	r = handler_call_resize(disk->handler, disk->backend, &config, &info, reason);
	disk_check_refusal(disk, "resize", r, reason);
	if (r < 0 && disk_info_differs(&disk->info, &info))
		host_violation(disk, NULL, "changes the properties although it refuses a resize");
	if (r == 0 && disk_info_differs(&disk->info, &info))
		disk->info = info;
	atomic_store(&disk->size, r == 0 ? size : before);
	return r;
}

const struct tcmu_counter *tcmu_disk_counters(const struct tcmu_disk *disk)
{
	return disk->handler->counters;
}

uint64_t tcmu_disk_read_counter(const struct tcmu_disk *disk, unsigned index)
{
	assert(index < handlers_counter_count(disk->handler));
	return __atomic_load_n(&disk->counters[index], __ATOMIC_RELAXED);
}

void tcmu_disk_read_stats(struct tcmu_disk *disk, struct tcmu_disk_stats *stats)
{
	struct tcmu_disk_stats ours = {
		.size = stats->size,
		.requests = atomic_load(&disk->requests),
		.system_calls = atomic_load(&disk->system_calls),
		.longest_submit = atomic_load(&disk->longest_submit),
	};

	pthread_mutex_lock(&disk->lock);
	ours.in_flight = disk->in_flight;
	pthread_mutex_unlock(&disk->lock);
	memcpy(stats, &ours, MIN(stats->size, sizeof(ours)));
}

/* ------- the lock of a shared store ------- */

int tcmu_disk_lock(struct tcmu_disk *disk, uint16_t tag, struct tcmu_reason *reason)
{
	int r;

	reason->text[0] = '\0';
	r = handler_call_lock(disk->handler, disk->backend, tag, reason);
	disk_check_refusal(disk, "lock", r, reason);
	return r;
}

int tcmu_disk_unlock(struct tcmu_disk *disk)
{
	return disk->handler->unlock(disk->backend);
}

int tcmu_disk_lock_state(struct tcmu_disk *disk, bool *ours, uint16_t *tag)
{
	return disk->handler->lock_state(disk->backend, ours, tag);
}

void tcmu_disk_abandon(struct tcmu_disk *disk)
{
	disk->handler->abandon(disk->backend);
}
