/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel.h: uio, sysfs and configfs. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <tcmu/configfs.h>
#include <tcmu/mappings.h>
#include <tcmu/port-groups.h>
#include <tcmu/uio.h>

#include "backend.h"
#include "daemon.h"
#include "fds.h"
#include "kernel-private.h"
#include "sim.h"
#include "threads.h"

#define MINORS_MAX (2 * KDEVS_MAX)

/* ------- uio ------- */

static uint32_t uio_poll(void *userdata)
{
	const struct kdev *kdev = userdata;

	if (kdev->registered)
		return kdev->event ? EPOLLIN : 0;
	return sim->kernel->version == KERNEL_7_2 ? EPOLLERR : EPOLLIN | EPOLLERR | EPOLLHUP;
}

static void uio_closed(void *userdata)
{
	struct kdev *kdev = userdata;

	kdev->opened = false;
	kernel_note_orphans(kdev);
	backends_note_activity(kdev->store);
	kernel_release(kdev);
}

static const struct fd_operations uio_operations = {.poll = uio_poll, .closed = uio_closed};

/* The device whose open file this is. */
static struct kdev *uio_of(const struct tcmu_uio *uio)
{
	struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if ((uio->fd >= 0 && kdev->opened && kdev->fd == uio->fd) ||
		    (uio->base && kdev->mapped == uio->base))
			return kdev;
	sim_fail("uio%u is used and not open", uio->minor);
}

int tcmu_uio_open(struct tcmu_uio *uio, unsigned minor)
{
	struct kdev *kdev;

	*uio = (struct tcmu_uio) TCMU_UIO_INIT;
	sim_preempt();
	kdev = kernel_find_minor(minor);
	if (!kdev)
		return -ENODEV;
	if (kdev->opened)
		return -EBUSY;
	kdev->opened = true;
	kdev->event = false;
	kdev->fresh = sim_now();
	kdev->fd = uio->fd = fds_open(&uio_operations, kdev);
	uio->minor = minor;
	sim->kernel->calls.attached(kdev);
	sim_trace("%s is attached", kdev->name);
	return 0;
}

int tcmu_uio_map(struct tcmu_uio *uio)
{
	struct kdev *kdev = uio_of(uio);
	void *base;

	sim_preempt();
	if (!kdev->registered)
		return -ENODEV;
	kdev->mapped_length = fake_ring_length(kdev->ring);
	base = mmap(
		NULL, kdev->mapped_length, PROT_READ | PROT_WRITE, MAP_SHARED,
		fake_ring_fd(kdev->ring), 0);
	if (base == MAP_FAILED)
		abort();
	kdev->mapped = uio->base = base;
	uio->length = kdev->mapped_length;
	kdev->replaced = kdev->inaccessible = false;
	return 0;
}

int tcmu_uio_doorbell(struct tcmu_uio *uio)
{
	struct kdev *kdev = uio_of(uio);

	sim_preempt();
	if (!kdev->registered)
		return -ENODEV;
	kernel_consume(kdev);
	sim_preempt();
	return 0;
}

void tcmu_uio_unmap(struct tcmu_uio *uio)
{
	struct kdev *kdev;

	if (!uio->base)
		return;
	kdev = uio_of(uio);
	/* Nothing else is ever put there: a late access ends the process. */
	(void) mmap(
		uio->base, uio->length, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	uio->base = NULL;
	uio->length = 0;
	kdev->mapped = NULL;
	kernel_release(kdev);
	sim_preempt();
}

void tcmu_uio_close(struct tcmu_uio *uio)
{
	struct kdev *kdev;

	if (uio->fd < 0)
		return;
	kdev = uio_of(uio);
	if (kdev->mapped && !kdev->replaced)
		sim_fail("%s: uio is closed before the ring is unmapped", kdev->name);
	sim_trace("%s is detached", kdev->name);
	fds_close(uio->fd);
	uio->fd = -1;
	sim_preempt();
}

int tcmu_uio_replace_inaccessible(struct tcmu_uio *uio)
{
	static int (*next)(struct tcmu_uio *);
	struct kdev *kdev = uio_of(uio);

	if (sim_chance(8))
		return -ENOMEM;
	if (!next)
		next = (int (*)(struct tcmu_uio *)) dlsym(
			RTLD_NEXT, "tcmu_uio_replace_inaccessible");
	kdev->replaced = kdev->inaccessible = true;
	sim_trace("%s: the ring is revoked", kdev->name);
	return next(uio);
}

int tcmu_uio_replace_private(struct tcmu_uio *uio, const struct iovec *keep, size_t keep_cnt)
{
	static int (*next)(struct tcmu_uio *, const struct iovec *, size_t);
	struct kdev *kdev = uio_of(uio);

	if (sim_chance(8))
		return -ENOMEM;
	if (!next)
		next = (int (*)(struct tcmu_uio *, const struct iovec *, size_t)) dlsym(
			RTLD_NEXT, "tcmu_uio_replace_private");
	kdev->replaced = true;
	sim_trace("%s: the ring is revoked", kdev->name);
	return next(uio, keep, keep_cnt);
}

bool kernel_memory_is_there(const void *address)
{
	const struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->mapped && kdev->inaccessible &&
		    (const uint8_t *) address >= (const uint8_t *) kdev->mapped &&
		    (const uint8_t *) address <
			    (const uint8_t *) kdev->mapped + kdev->mapped_length)
			return false;
	return true;
}

/* ------- sysfs ------- */

static void scan_fill(const struct kdev *kdev, struct tcmu_scan_entry *entry)
{
	entry->minor = kdev->minor;
	kernel_name(kdev, &entry->name);
}

int tcmu_scan_minor(unsigned minor, struct tcmu_scan_entry *entry)
{
	const struct kdev *kdev = kernel_find_minor(minor);

	sim_preempt();
	if (!kdev)
		return -ENODEV;
	scan_fill(kdev, entry);
	return 0;
}

int tcmu_scan(struct tcmu_scan_entry **entries)
{
	int cnt = 0;

	sim_preempt();
	*entries = calloc(MINORS_MAX, sizeof(**entries));
	for (unsigned minor = 0; minor < MINORS_MAX; minor++)
		if (kernel_find_minor(minor))
			scan_fill(kernel_find_minor(minor), &(*entries)[cnt++]);
	return cnt;
}

/* ------- configfs ------- */

/* The directory of the device; *r: -errno where there is none, or it fails. */
static struct kdev *configfs_find(const struct tcmu_name *name, int *r)
{
	struct kdev *kdev;

	if (threads_self())
		sim_sleep(sim_choose(500) * SIM_NS_PER_US);
	while (threads_self() && (kdev = kernel_find(name)) && kdev->configfs_hangs) {
		if (daemon_on_main_thread())
			sim_fail("%s: the main thread waits for configfs", kdev->name);
		(void) sim_block(&kdev->configfs_hangs, 0);
	}
	kdev = kernel_find(name);
	*r = !kdev ? -ENOENT : kdev->configfs_fails ? -EIO : 0;
	return *r < 0 ? NULL : kdev;
}

void kernel_hang_configfs(struct kdev *kdev, bool on)
{
	kdev->configfs_hangs = on;
	sim_wake(&kdev->configfs_hangs);
}

int tcmu_configfs_get(const struct tcmu_name *name, const char *attribute, uint64_t *value)
{
	int r;
	const struct kdev *kdev = configfs_find(name, &r);

	if (!kdev)
		return r;
	if (strcmp(attribute, "hw_block_size") == 0)
		*value = BLOCK_SIZE;
	else if (strcmp(attribute, "dev_size") == 0)
		*value = kdev->size;
	else if (strcmp(attribute, "hw_max_sectors") == 0)
		*value = 64;
	else if (strcmp(attribute, "emulate_write_cache") == 0)
		*value = kdev->write_cache;
	else if (strcmp(attribute, "cmd_time_out") == 0)
		*value = kdev->timeout_ns / SIM_NS_PER_S;
	else if (strcmp(attribute, "emulate_pr") == 0 || strcmp(attribute, "alua_support") == 0)
		*value = 1;
	else
		return -ENOENT;
	return 0;
}

int tcmu_configfs_get_signed(const struct tcmu_name *name, const char *attribute, int64_t *value)
{
	uint64_t number = 1;
	int r = strcmp(attribute, "nl_reply_supported") == 0
		? 0
		: tcmu_configfs_get(name, attribute, &number);

	*value = (int64_t) number;
	return r;
}

int tcmu_configfs_set(const struct tcmu_name *name, const char *attribute, const char *value)
{
	int r;

	(void) attribute, (void) value;
	(void) configfs_find(name, &r);
	return r;
}

int tcmu_configfs_set_before_enable(
	const struct tcmu_name *name, const char *attribute, const char *value)
{
	int r;
	struct kdev *kdev = configfs_find(name, &r);

	if (!kdev)
		return r;
	if (kdev->configured)
		return -EBUSY;
	if (strcmp(attribute, "emulate_write_cache") == 0)
		kdev->write_cache = strcmp(value, "1") == 0;
	return 0;
}

int tcmu_configfs_set_max_sectors(const struct tcmu_name *name, uint32_t sectors)
{
	int r;

	(void) sectors;
	(void) configfs_find(name, &r);
	return r;
}

int tcmu_configfs_action(const struct tcmu_name *name, const char *action, unsigned value)
{
	int r;
	struct kdev *kdev = configfs_find(name, &r);

	if (!kdev)
		return r;
	if (!kdev->configured)
		return -EINVAL;
	if (strcmp(action, "block_dev") == 0)
		kernel_block(kdev, value != 0);
	else if (strcmp(action, "reset_ring") == 0) {
		kernel_check_orphans(kdev);
		kernel_reset_ring(kdev, false);
	} else
		return -ENOENT;
	sim_preempt();
	return 0;
}

int tcmu_configfs_enabled(const struct tcmu_name *name)
{
	int r;
	const struct kdev *kdev = configfs_find(name, &r);

	return kdev ? kdev->configured : r;
}

int tcmu_configfs_device_id(const struct tcmu_name *name, uint32_t *id)
{
	int r;
	const struct kdev *kdev = configfs_find(name, &r);

	if (!kdev)
		return r;
	*id = kdev->id;
	return 0;
}

int tcmu_configfs_unit_serial(const struct tcmu_name *name, char *serial, size_t size)
{
	int r;
	const struct kdev *kdev = configfs_find(name, &r);

	if (!kdev)
		return r;
	(void) snprintf(serial, size, "0000%u", kdev->slot);
	return 0;
}

int tcmu_configfs_dbroot(char *path, size_t size)
{
	(void) path, (void) size;
	return -ENOENT;
}

/* This host's group, and the rival's. */
static void port_groups_fill(const struct kdev *kdev, struct tcmu_port_group *groups)
{
	for (unsigned i = 0; i < 2; i++) {
		groups[i] = (struct tcmu_port_group){
			.id = (uint16_t) (PORT_GROUP + i),
			.supported = 0x0f,
			.access = kdev->port_access,
			.port_cnt = 1,
			.ports = calloc(1, sizeof(struct tcmu_port)),
		};
		(void) snprintf(groups[i].name, sizeof(groups[i].name), "host%u", i);
		groups[i].ports[0] = (struct tcmu_port){
			.fabric = "iscsi",
			.target = "iqn.2003-01.org.model:target",
			.tag = 1,
			.id = (uint16_t) (1 + i),
			.enabled = i == 0,
		};
	}
}

int tcmu_port_groups_read(const struct tcmu_name *name, struct tcmu_port_group **groups)
{
	int r;
	const struct kdev *kdev = configfs_find(name, &r);

	*groups = NULL;
	if (!kdev || !kdev->port_access)
		return r;
	*groups = calloc(2, sizeof(**groups));
	port_groups_fill(kdev, *groups);
	return 2;
}

void tcmu_port_groups_free(struct tcmu_port_group *groups, int cnt)
{
	for (int i = 0; i < cnt; i++)
		free(groups[i].ports);
	free(groups);
}

int tcmu_port_groups_set_state(
	const struct tcmu_name *name, const char *group, uint8_t state, bool by_initiator)
{
	int r;

	(void) group, (void) state, (void) by_initiator;
	(void) configfs_find(name, &r);
	return r;
}

int tcmu_port_groups_lu_group(const struct tcmu_name *name, uint16_t *id)
{
	(void) name, (void) id;
	return -ENOENT;
}

/* ------- mappings ------- */

/* One initiator has all devices, and no reservation. */
int tcmu_mappings_read(const struct tcmu_name *name, struct tcmu_mappings *mappings)
{
	int r;

	*mappings = (struct tcmu_mappings){0};
	if (!configfs_find(name, &r))
		return r;
	mappings->initiators = 1;
	return 0;
}

int tcmu_mappings_compare(
	const struct tcmu_name *name, const struct tcmu_name *other, bool *may_read,
	bool *may_write)
{
	int r = 0;

	*may_read = *may_write = configfs_find(name, &r) && configfs_find(other, &r);
	return *may_read ? 0 : r;
}
