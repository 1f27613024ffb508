/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel.h: devices, their commands and rings. */
#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"
#include "cdb.h"
#include "event-loop.h"
#include "fds.h"
#include "kernel-private.h"
#include "sim.h"
#include "threads.h"

#define STATUS_GOOD  0x00
#define STATUS_CHECK 0x02
#define STATUS_BUSY  0x08

struct kdev *kernel_at(unsigned index)
{
	return index < sim->kernel->kdev_cnt ? sim->kernel->kdevs[index] : NULL;
}

void kernel_name(const struct kdev *kdev, struct tcmu_name *name)
{
	memset(name, 0, sizeof(*name));
	(void) snprintf(name->name, sizeof(name->name), "%s", kdev->name);
	(void) snprintf(name->config, sizeof(name->config), "%s", kdev->config);
	(void) snprintf(
		name->subtype, sizeof(name->subtype), "%.*s", (int) strcspn(kdev->config, "/"),
		kdev->config);
}

struct kdev *kernel_find(const struct tcmu_name *name)
{
	struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->registered && strcmp(kdev->name, name->name) == 0)
			return kdev;
	return NULL;
}

struct kdev *kernel_find_minor(unsigned minor)
{
	struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->registered && kdev->minor == minor)
			return kdev;
	return NULL;
}

/* ------- the end of a device ------- */

void kernel_release(struct kdev *kdev)
{
	if (kdev->registered || kdev->opened || (kdev->mapped && !kdev->replaced) || kdev->released)
		return;
	sim_trace("%s is released", kdev->name);
	kdev->released = true;
	fake_ring_free(kdev->ring);
	kdev->ring = NULL;
}

void kernel_unregister(struct kdev *kdev)
{
	char node[16];

	if (kdev->waiting)
		sim_fail("%s is removed while commands wait: the model is wrong", kdev->name);
	kdev->registered = false;
	kdev->configured = false;
	kdev->unregistered_at = sim_now();
	backends_note_activity(kdev->store);
	kernel_hang_configfs(kdev, false);
	sim_trace("%s is unregistered", kdev->name);
	if (kdev->opened)
		fds_edge(kdev->fd);
	(void) snprintf(node, sizeof(node), "uio%u", kdev->minor);
	if (!sim_chance(4))
		event_loop_node_deleted(node);
	kernel_release(kdev);
}

void kernel_unregister_failed(struct kdev *kdev)
{
	kernel_unregister(kdev);
}

bool kernel_has_room(void)
{
	return sim->kernel->kdev_cnt < KDEVS_MAX;
}

void kernel_note_orphans(struct kdev *kdev)
{
	for (unsigned id = 1; id < IDS_MAX; id++) {
		struct kcommand *command = kdev->by_id[id];

		/* A daemon notes nothing of a store that others write, too. */
		if (!command || backends_is_shared(kdev->store))
			continue;
		if (command->op == KCOMMAND_COMPARE_AND_WRITE &&
		    !backends_can(kdev->store, TCMU_IO_COMPARE_AND_WRITE))
			command->writes[0]->again = true;
		if (backends_faults(kdev->store)->mode != STORE_GOOD)
			continue;
		command->orphaned = true;
		command->changes = backends_changes(kdev->store);
	}
}

void kernel_check_orphans(const struct kdev *kdev)
{
	/* The daemon does not see when such a backend writes. */
	if (backends_can(kdev->store, TCMU_IO_COMPARE_AND_WRITE))
		return;
	for (unsigned id = 1; id < IDS_MAX; id++) {
		const struct kcommand *command = kdev->by_id[id];

		if (!command || !command->orphaned || command->has_status ||
		    command->op != KCOMMAND_COMPARE_AND_WRITE ||
		    command->changes != backends_changes(kdev->store))
			continue;
		if (memcmp(backends_block(kdev->store, command->lba), &command->tag,
			   sizeof(command->tag)) == 0)
			sim_fail(
				"%s: COMPARE AND WRITE %u was carried out before the ring was "
				"left, and is answered BUSY",
				kdev->name, command->lba);
	}
}

/* No daemon has the ring: the next one may carry out what is there, whatever happens until then. */
static void kernel_note_waiting(struct kdev *kdev)
{
	for (unsigned id = 1; id < IDS_MAX; id++) {
		struct kcommand *command = kdev->by_id[id];

		for (unsigned i = 0; command && command->writes[i]; i++)
			command->writes[i]->waited = sim_now();
	}
}

void kernel_daemon_killed(void)
{
	struct kdev *kdev;

	genl_daemon_killed();
	sim->kernel->disturbed = true;
	for (unsigned i = 0; (kdev = kernel_at(i)); i++) {
		kernel_note_orphans(kdev);
		backends_note_activity(kdev->store);
		if (kdev->mapped)
			(void) mmap(
				kdev->mapped, kdev->mapped_length, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
		else
			kernel_note_waiting(kdev);
		kdev->mapped = NULL;
		kdev->opened = kdev->replaced = kdev->inaccessible = false;
		kernel_release(kdev);
	}
}

static void kdev_free(struct kdev *kdev)
{
	fake_ring_free(kdev->ring);
	if (kdev->mapped_length && kdev->mapped)
		munmap(kdev->mapped, kdev->mapped_length);
	free(kdev);
}

void kernel_reset(enum kernel_version version, const struct kernel_calls *calls)
{
	if (!sim->kernel)
		sim->kernel = calloc(1, sizeof(*sim->kernel));
	for (unsigned i = 0; i < sim->kernel->kdev_cnt; i++)
		kdev_free(sim->kernel->kdevs[i]);
	*sim->kernel = (struct kernel){.version = version, .calls = *calls};
	kernel_load();
}

/* ------- the beginning of a device ------- */

static unsigned kernel_free_minor(void)
{
	unsigned minor = sim->kernel->minor_first;

	while (kernel_find_minor(minor))
		minor++;
	return minor;
}

struct kdev *kernel_create(
	unsigned slot, const char *config, unsigned store, const struct fake_ring_options *options,
	bool write_cache, uint64_t timeout_ns, void (*configured)(struct kdev *kdev, int status))
{
	struct kernel *kernel = sim->kernel;
	struct kdev *kdev = calloc(1, sizeof(*kdev));

	if (!kdev || kernel->kdev_cnt == KDEVS_MAX)
		abort();
	*kdev = (struct kdev){
		.used = true,
		.slot = slot,
		.id = ++kernel->id_last,
		.minor = kernel_free_minor(),
		.store = store,
		.ring = fake_ring_new(options),
		.registered = true,
		.write_cache = write_cache,
		.size = STORE_BLOCKS * BLOCK_SIZE / 2,
		.timeout_ns = timeout_ns,
	};
	(void) snprintf(kdev->name, sizeof(kdev->name), "disk%u", slot);
	(void) snprintf(kdev->config, sizeof(kdev->config), "%s", config);
	kernel->kdevs[kernel->kdev_cnt++] = kdev;
	sim->report->devices++;
	sim_trace("%s is created as uio%u: %s", kdev->name, kdev->minor, config);
	kernel_send_event(kdev, TCMU_EVENT_ADDED, 0, configured);
	return kdev;
}

/* ------- commands ------- */

static void kernel_give_status(struct kcommand *command, uint8_t status, uint8_t sense_key)
{
	if (command->has_status)
		sim_fail("a command is completed twice");
	command->has_status = true;
	command->status = status;
	command->sense_key = sense_key;
	command->ended = sim_now();
	command->kdev->waiting--;
	sim->kernel->calls.got_status(command);
}

/* Returns the length of the CDB; *length: of the data, *out: it is sent. */
static unsigned command_cdb(
	const struct kcommand *command, uint8_t *cdb, uint32_t *length, bool *out)
{
	memset(cdb, 0, 16);
	*length = command->blocks * BLOCK_SIZE;
	*out = command->op == KCOMMAND_WRITE || command->op == KCOMMAND_COMPARE_AND_WRITE;
	switch (command->op) {
	case KCOMMAND_READ:
	case KCOMMAND_WRITE:
		cdb[0] = *out ? 0x2a : 0x28;
		cdb[1] = command->fua ? 0x08 : 0;
		cdb_put_be(cdb + 2, command->lba, 4);
		cdb_put_be(cdb + 7, command->blocks, 2);
		return 10;
	case KCOMMAND_COMPARE_AND_WRITE:
		cdb[0] = 0x89;
		cdb[1] = command->fua ? 0x08 : 0;
		cdb_put_be(cdb + 2, command->lba, 8);
		cdb[13] = (uint8_t) command->blocks;
		*length *= 2;
		return 16;
	case KCOMMAND_FLUSH:
		cdb[0] = 0x35;
		*length = 0;
		return 10;
	case KCOMMAND_INQUIRY:
		cdb[0] = 0x12;
		cdb[4] = 96;
		*length = 96;
		return 6;
	case KCOMMAND_TEST_UNIT_READY:
		*length = 0;
		return 6;
	default:
		*length = command->data_out;
		*out = *length > 0;
		return cdb_fill(command, cdb);
	}
}

/* A store that another host may have locked: whether this one must have the lock. */
static bool command_needs_lock(const struct kcommand *command)
{
	return command->op != KCOMMAND_READ && command->op != KCOMMAND_TEST_UNIT_READY &&
		command->op != KCOMMAND_INQUIRY;
}

/* XCOPY: the device that it writes is perhaps another one. */
static void command_note_lock_needed(const struct kcommand *command)
{
	struct kdev *kdev;

	for (unsigned i = 0; command_needs_lock(command) && (kdev = kernel_at(i)); i++)
		if (kdev == command->kdev ||
		    (command->op == KCOMMAND_XCOPY && kdev->slot == command->to))
			kdev->lock_needed = sim_now();
}

bool kernel_expects_answer(unsigned store, uint64_t begun)
{
	const struct kdev *kdev;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++)
		if (kdev->store == store && kdev->registered && kdev->opened && !kdev->blocked &&
		    kdev->fresh < begun)
			return true;
	return false;
}

uint64_t kernel_lock_needed(unsigned store)
{
	const struct kdev *kdev;
	uint64_t needed = 0;

	for (unsigned i = 0; (kdev = kernel_at(i)); i++) {
		if (kdev->store == store && kdev->lock_needed > needed)
			needed = kdev->lock_needed;
		if (kdev->store == store && (kdev->port_access & 2))
			return sim_now();
		for (unsigned id = 1; id < IDS_MAX && kdev->in_ring; id++)
			if (kdev->by_id[id] && command_needs_lock(kdev->by_id[id]) &&
			    (kdev->store == store || kdev->by_id[id]->op == KCOMMAND_XCOPY))
				return sim_now();
		/* The administrator's, whose flush needs it. */
		if (kdev->store == store && kdev->netlink.waits &&
		    kdev->netlink.kind == TCMU_EVENT_RECONFIG)
			return sim_now();
	}
	return needed;
}

static void command_enter_ring(struct kcommand *command, unsigned id)
{
	if (id >= IDS_MAX)
		sim_fail("the ring holds too many commands: the model is wrong");
	command->cmd_id = (uint16_t) id;
	command->in_ring = true;
	command->kdev->by_id[id] = command;
	command->kdev->in_ring++;
}

static void command_leave_ring(struct kcommand *command)
{
	command->in_ring = false;
	command_note_lock_needed(command);
	command->kdev->by_id[command->cmd_id] = NULL;
	command->kdev->in_ring--;
}

static void command_unqueue(struct kcommand *command)
{
	struct kcommand **at = &command->kdev->queue;

	while (*at && *at != command)
		at = &(*at)->next;
	if (*at)
		*at = command->next;
}

/* cmd_time_out: the initiator gets an error, and the entry stays. */
static void command_expire(void *arg)
{
	struct kcommand *command = arg;

	if (command->has_status || sim_now() < command->deadline)
		return;
	sim_trace(
		"%s: a command (%u at %u) has expired", command->kdev->name, command->op,
		command->lba);
	command_unqueue(command);
	command->expired = true;
	kernel_give_status(command, STATUS_CHECK, 0x0b);
}

/* In the kernel's queue for a full ring, and once more in the ring. */
static void command_set_deadline(struct kcommand *command)
{
	command->deadline = sim_now() + command->kdev->timeout_ns;
	sim_at(command->deadline, command_expire, command);
}

/* Puts it in the ring. False: there is no room. */
static bool command_push(struct kcommand *command)
{
	struct kdev *kdev = command->kdev;
	uint8_t cdb[16];
	uint32_t length;
	bool out;
	struct fake_command pushed = {
		.cdb = cdb,
		.cdb_length = command_cdb(command, cdb, &length, &out),
		.cookie = command,
	};
	int r;

	pushed.length = length;
	pushed.data_out = out ? command->data : NULL;
	r = fake_ring_push(kdev->ring, &pushed);
	if (r == -ENOSPC)
		return false;
	if (r < 0) {
		kernel_give_status(command, STATUS_CHECK, 0x0b);
		return true;
	}
	command_enter_ring(command, (unsigned) r);
	command_set_deadline(command);
	(void) fake_ring_publish(kdev->ring);
	kernel_notify(kdev);
	return true;
}

void kernel_send(struct kcommand *command)
{
	struct kdev *kdev = command->kdev;
	struct kcommand **at = &kdev->queue;

	command->begun = sim_now();
	kdev->waiting++;
	sim->report->commands++;
	if (kdev->blocked) {
		kernel_give_status(command, STATUS_BUSY, 0);
		return;
	}
	if (!kdev->queue && command_push(command))
		return;
	command_set_deadline(command);
	while (*at)
		at = &(*at)->next;
	*at = command;
}

static void kernel_send_queued(struct kdev *kdev)
{
	while (kdev->queue) {
		struct kcommand *command = kdev->queue;

		kdev->queue = command->next;
		if (command_push(command))
			continue;
		command->next = kdev->queue;
		kdev->queue = command;
		return;
	}
}

static void command_completed(const struct fake_completion *completion, void *userdata)
{
	struct kcommand *command = completion->cookie;
	struct kdev *kdev = userdata;

	if (!command || !command->in_ring || command->kdev != kdev)
		sim_fail("%s: a command is answered that is not in the ring", kdev->name);
	command_leave_ring(command);
	backends_note_activity(kdev->store);
	if (command->has_status) {
		sim->kernel->calls.late(command);
		return;
	}
	if (completion->uflags & 1)
		sim_fail("%s: a command is answered as unknown", kdev->name);
	if (command->op == KCOMMAND_READ && completion->status == STATUS_GOOD &&
	    fake_completion_data(completion, command->data, sizeof(command->data)) !=
		    command->blocks * BLOCK_SIZE)
		sim_fail("%s: a READ is GOOD and short", kdev->name);
	kernel_give_status(
		command, completion->status,
		completion->status == STATUS_CHECK ? completion->sense[2] & 0x0f : 0);
}

void kernel_consume(struct kdev *kdev)
{
	if (fake_ring_consume(kdev->ring, command_completed, kdev) < 0)
		sim_fail(
			"%s: the answer to a command that the kernel does not have broke the ring",
			kdev->name);
	if (!kdev->blocked)
		kernel_send_queued(kdev);
}

void kernel_notify(struct kdev *kdev)
{
	kdev->event = true;
	if (kdev->opened)
		fds_edge(kdev->fd);
}

/* ------- the operator ------- */

void kernel_task_management(struct kdev *kdev, bool lun_reset)
{
	uint16_t ids[64];
	uint32_t cnt = 0;

	if (!kdev->registered || !kdev->in_ring)
		return;
	for (uint16_t id = 1; id < 64; id++) {
		if (kdev->by_id[id] && !kdev->by_id[id]->has_status)
			ids[cnt++] = id;
	}
	if (!lun_reset && cnt > 1) {
		ids[0] = ids[sim_choose(cnt)];
		cnt = 1;
	}
	if (!cnt || fake_ring_push_tmr(kdev->ring, lun_reset ? 5 : 1, ids, cnt) < 0)
		return;
	(void) fake_ring_publish(kdev->ring);
	kernel_notify(kdev);
}

/* New commands get the pages of those that were in the ring at a reset. */
static void kernel_take_pages(struct kdev *kdev)
{
	while (kdev->dropped) {
		struct kcommand *command = kdev->dropped;

		kdev->dropped = command->next;
		sim->kernel->calls.data_taken(command);
	}
}

void kernel_reset_ring(struct kdev *kdev, bool by_hand)
{
	if (!kdev->ring || !kdev->registered)
		return;
	sim_trace("%s: the ring is reset", kdev->name);
	if (!by_hand)
		kdev->dropped = NULL; /* the daemon promises that nothing is in flight */
	sim->report->resets++;
	kdev->fresh = sim_now();
	backends_note_activity(kdev->store);
	for (unsigned id = 1; id < IDS_MAX && kdev->in_ring; id++) {
		struct kcommand *command = kdev->by_id[id];

		if (!command)
			continue;
		command_leave_ring(command);
		if (by_hand) {
			command->next = kdev->dropped;
			kdev->dropped = command;
		}
		if (!command->has_status)
			kernel_give_status(command, STATUS_BUSY, 0);
	}
	fake_ring_reset(kdev->ring, NULL, NULL);
	if (kdev->blocked)
		return;
	kernel_take_pages(kdev);
	kernel_send_queued(kdev);
}

void kernel_block(struct kdev *kdev, bool on)
{
	if (!kdev->registered)
		return;
	sim_trace("%s: block_dev %d", kdev->name, on);
	if (on && !kdev->blocked) {
		kernel_consume(kdev);
		while (kdev->queue) {
			struct kcommand *command = kdev->queue;

			kdev->queue = command->next;
			kernel_give_status(command, STATUS_BUSY, 0);
		}
	}
	kdev->blocked = on;
	if (!on)
		kernel_take_pages(kdev);
}
