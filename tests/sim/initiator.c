/* SPDX-License-Identifier: Apache-2.0 */
/* See initiator.h. */
#include "initiator.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "cache.h"
#include "cdb.h"
#include "sim.h"
#include "threads.h"

#define SLOTS_MAX           8
#define MORE_MAX            16
#define FORMATS_MAX         64
#define SAME_BLOCKS         12
#define HOT_BLOCKS          6
#define COMPARED_BLOCKS     2 /* COMPARE AND WRITE: many to the same */
#define STATUS_TASK_ABORTED 0x40
#define SENSE_MEDIUM        0x03
#define SENSE_UA            0x06
#define SENSE_MISMATCH      0x0e

struct world {
	bool calm;
	bool expiry;
	enum kcommand_op more[MORE_MAX]; /* kinds of commands that this life has too */
	unsigned more_cnt;
	bool segments; /* EXTENDED COPY may have several */
	uint64_t tag;
	bool served[SLOTS_MAX];
	bool needs_format[SLOTS_MAX];
	struct kcommand *formats[FORMATS_MAX]; /* that may go on after their status */
	unsigned format_cnt;
	struct commands *commands; /* all of this life */
};

struct commands {
	struct commands *next;
	struct kcommand command;
};

void initiators_reset(bool expiry)
{
	struct world *world = sim->world;

	if (!world)
		world = sim->world = calloc(1, sizeof(*world));
	while (world->commands) {
		struct commands *commands = world->commands;

		world->commands = commands->next;
		free(commands);
	}
	*world = (struct world){.expiry = expiry};
}

/* The device whose medium it writes. */
static unsigned command_slot(const struct kcommand *command)
{
	return command->op == KCOMMAND_XCOPY ? command->to : command->kdev->slot;
}

/* It overwrites the whole medium. */
static bool command_formats(const struct kcommand *command)
{
	return command->op == KCOMMAND_FORMAT || command->op == KCOMMAND_SANITIZE;
}

void initiators_set_calm(bool calm)
{
	sim->world->calm = calm;
}

void initiators_use(enum kcommand_op op)
{
	assert(sim->world->more_cnt < MORE_MAX);
	sim->world->more[sim->world->more_cnt++] = op;
}

static bool initiators_have(enum kcommand_op op)
{
	for (unsigned i = 0; i < sim->world->more_cnt; i++)
		if (sim->world->more[i] == op)
			return true;
	return false;
}

void initiators_use_segments(void)
{
	sim->world->segments = true;
}

uint64_t initiators_new_tag(void)
{
	return ++sim->world->tag;
}

bool initiators_ask_cache_on(unsigned slot)
{
	for (const struct commands *at = sim->world->commands; at; at = at->next)
		if (at->command.op == KCOMMAND_MODE_SELECT && at->command.cache_on &&
		    command_slot(&at->command) == slot &&
		    (!at->command.has_status || at->command.in_ring))
			return true;
	return false;
}

void initiators_cache_is_on(unsigned slot)
{
	for (struct commands *at = sim->world->commands; at; at = at->next)
		if (command_slot(&at->command) == slot && !at->command.has_status)
			at->command.strict = false;
}

static struct kcommand *command_new(struct kdev *kdev, enum kcommand_op op)
{
	struct commands *commands = malloc(sizeof(*commands));

	if (!commands)
		abort();
	memset(commands, 0, offsetof(struct commands, command.data));
	commands->next = sim->world->commands;
	sim->world->commands = commands;
	commands->command.kdev = kdev;
	commands->command.op = op;
	return &commands->command;
}

/* Each block is filled with words of the tag. */
static void command_fill(uint8_t *at, uint64_t tag, unsigned blocks)
{
	for (unsigned i = 0; i < blocks * BLOCK_SIZE; i += sizeof(tag))
		memcpy(at + i, &tag, sizeof(tag));
}

/* Of some blocks, among the first or the last. */
static void command_prepare_same(struct kcommand *command, unsigned blocks)
{
	command->blocks = 1 + sim_choose(SAME_BLOCKS);
	command->lba = sim_choose(sim_chance(4) ? blocks - SAME_BLOCKS : HOT_BLOCKS);
	command->no_data = sim_chance(3);
	command->unmap = backends_can(command->kdev->store, TCMU_IO_UNMAP) && sim_chance(2);
	if (command->no_data || sim_chance(4))
		memset(command->data, 0, BLOCK_SIZE);
	else
		command_fill(command->data, command->tag = ++sim->world->tag, 1);
}

static void command_prepare_unmap(struct kcommand *command)
{
	command->lba = sim_choose(HOT_BLOCKS);
	command->blocks = 1 + sim_choose(BURST_BLOCKS);
	command->lba_2 = HOT_BLOCKS + BURST_BLOCKS + sim_choose(HOT_BLOCKS);
	command->blocks_2 = sim_choose(BURST_BLOCKS + 1);
	command->hint = !backends_unmap_zeroes(command->kdev->store);
}

/* Of any device that is or was there. */
static unsigned command_choose_slot(void)
{
	unsigned cnt = 0;

	while (kernel_at(cnt))
		cnt++;
	return kernel_at(sim_choose(cnt))->slot;
}

/* Within the device, or to or from another one, which may not be there. */
static void command_prepare_xcopy(struct kcommand *command)
{
	unsigned other = sim_chance(2) ? command_choose_slot() : command->kdev->slot;
	bool from_other = sim_chance(2);

	command->from = from_other ? other : command->kdev->slot;
	command->to = from_other ? command->kdev->slot : other;
	command->blocks = 1 + sim_choose(2 * BURST_BLOCKS);
	command->lba = sim_choose(HOT_BLOCKS);
	command->lba_2 = sim_choose(2 * HOT_BLOCKS);
	command->may_fail = true; /* BUSY: too many of them */
	command->segment_cnt = sim->world->segments ? sim_choose(MORE_SEGMENTS + 1) : 0;
	for (unsigned i = 0; i < command->segment_cnt; i++)
		command->segments[i] = (struct ksegment){
			.within = sim_chance(2),
			.blocks = 1 + sim_choose(BURST_BLOCKS),
			.lba = sim_choose(2 * HOT_BLOCKS),
			.lba_2 = sim_choose(2 * HOT_BLOCKS),
		};
}

/* Of blocks that a resize adds meanwhile, it may format some. */
static void command_prepare_format(struct kcommand *command)
{
	command->blocks = command->lba_2 = (unsigned) (command->kdev->size / BLOCK_SIZE);
	command->blocks_2 = STORE_BLOCKS - command->blocks;
	command->immediate = sim_chance(4);
}

static void command_prepare_sanitize(struct kcommand *command)
{
	command_prepare_format(command);
	command->no_data = sim_chance(3);
	command->tag = command->no_data ? 0 : ++sim->world->tag;
}

/* It may be refused: the store has no cache that can be switched. */
static void command_prepare_mode_select(struct kcommand *command)
{
	command->cache_on = sim_chance(3);
	command->save = sim_chance(4);
	command->may_fail = true;
}

static void command_prepare_more(struct kcommand *command)
{
	unsigned blocks = (unsigned) (command->kdev->size / BLOCK_SIZE);

	if (command->op == KCOMMAND_UNMAP && !backends_can(command->kdev->store, TCMU_IO_UNMAP))
		command->op = KCOMMAND_WRITE_SAME;
	if (command_formats(command) && sim_chance(2))
		command->op = KCOMMAND_WRITE_SAME; /* it leaves nothing to the others */
	if (command->op == KCOMMAND_FORMAT)
		command_prepare_format(command);
	else if (command->op == KCOMMAND_SANITIZE)
		command_prepare_sanitize(command);
	else if (command->op == KCOMMAND_MODE_SELECT)
		command_prepare_mode_select(command);
	else if (command->op == KCOMMAND_SET_GROUPS)
		command->state = sim_chance(3) ? 2 : 0;
	else if (command->op == KCOMMAND_XCOPY)
		command_prepare_xcopy(command);
	else if (command->op == KCOMMAND_UNMAP)
		command_prepare_unmap(command);
	else
		command_prepare_same(command, blocks);
	cdb_make_list(command);
}

static void command_prepare(struct kcommand *command)
{
	unsigned blocks = (unsigned) (command->kdev->size / BLOCK_SIZE);
	uint64_t found;

	command->blocks = 1 + sim_choose(BURST_BLOCKS);
	command->lba = sim_choose(sim_chance(4) ? blocks - BURST_BLOCKS : HOT_BLOCKS);
	command->fua = sim_chance(4);
	if (command->op == KCOMMAND_WRITE) {
		command->tag = ++sim->world->tag;
		command_fill(command->data, command->tag, command->blocks);
	} else if (command->op == KCOMMAND_COMPARE_AND_WRITE) {
		command->blocks = 1;
		command->lba %= COMPARED_BLOCKS;
		command->tag = ++sim->world->tag;
		memcpy(&found, backends_block(command->kdev->store, command->lba), sizeof(found));
		command_fill(command->data, sim_chance(4) ? 0 : found, 1);
		command_fill(command->data + BLOCK_SIZE, command->tag, 1);
	} else if (command->op != KCOMMAND_READ) {
		command->blocks = 0;
	}
}

static bool command_writes(const struct kcommand *command)
{
	return command->tag || command_formats(command) || command->op == KCOMMAND_UNMAP ||
		command->op == KCOMMAND_WRITE_SAME;
}

static struct history_write **command_begin_segment(
	const struct kcommand *command, const struct ksegment *segment,
	struct history_write **write)
{
	unsigned from = segment->within ? command->to : command->from;

	for (unsigned i = 0; i < segment->blocks; i++)
		*write++ = history_begin_copy(
			command->to, segment->lba_2 + i, from, segment->lba + i);
	return write;
}

static void command_send(struct kcommand *command)
{
	struct kdev *kdev = command->kdev;
	struct history_write **write = command->writes;

	if (command->op == KCOMMAND_MODE_SELECT)
		cache_initiator_asks(command);
	command->strict = cache_is_off(command_slot(command));
	for (unsigned i = 0; command->op == KCOMMAND_XCOPY && i < command->blocks; i++)
		*write++ = history_begin_copy(
			command->to, command->lba_2 + i, command->from, command->lba + i);
	for (unsigned i = 0; i < command->segment_cnt; i++)
		write = command_begin_segment(command, &command->segments[i], write);
	for (unsigned i = 0; command_writes(command) && i < command->blocks; i++)
		*write++ = history_begin(kdev->store, command->lba + i, command->tag);
	for (unsigned i = 0; i < command->blocks_2; i++)
		*write++ = history_begin(kdev->store, command->lba_2 + i, command->tag);
	command->busy_before = history_count_busy(backends_in_flight());
	kernel_send(command);
}

static bool initiators_may_send(const struct kdev *kdev)
{
	return kdev->registered && kdev->configured && !kdev->ending;
}

static void initiator_send_one(void *arg)
{
	struct kdev *kdev = arg;
	static const enum kcommand_op ops[] = {
		KCOMMAND_READ,
		KCOMMAND_READ,
		KCOMMAND_WRITE,
		KCOMMAND_WRITE,
		KCOMMAND_WRITE,
		KCOMMAND_COMPARE_AND_WRITE,
		KCOMMAND_COMPARE_AND_WRITE,
		KCOMMAND_FLUSH,
		KCOMMAND_TEST_UNIT_READY,
		KCOMMAND_INQUIRY};
	struct kcommand *command;

	if (!initiators_may_send(kdev))
		return;
	if (sim->world->more_cnt && sim_chance(3)) {
		command = command_new(kdev, sim->world->more[sim_choose(sim->world->more_cnt)]);
		command_prepare_more(command);
	} else {
		command = command_new(kdev, ops[sim_choose(sizeof(ops) / sizeof(ops[0]))]);
		command_prepare(command);
	}
	command_send(command);
}

void initiators_burst(struct kdev *kdev, unsigned cnt)
{
	uint64_t time = sim_now();

	while (cnt--) {
		sim_at(time, initiator_send_one, kdev);
		if (sim_chance(3))
			time += sim_choose(2000) * SIM_NS_PER_US;
	}
}

void initiators_write(struct kdev *kdev)
{
	struct kcommand *command;

	if (!initiators_may_send(kdev))
		return;
	command = command_new(kdev, KCOMMAND_WRITE);
	command_prepare(command);
	command->lba %= HOT_BLOCKS;
	command_send(command);
}

void initiators_copy(struct kdev *kdev, unsigned to)
{
	struct kcommand *command;

	if (!initiators_may_send(kdev))
		return;
	command = command_new(kdev, KCOMMAND_XCOPY);
	command_prepare_xcopy(command);
	command->from = kdev->slot;
	command->to = to;
	command->lba_2 %= HOT_BLOCKS;
	cdb_make_list(command);
	command_send(command);
}

/* ------- the answers ------- */

static uint64_t stored_tag(unsigned store, unsigned block, bool stable)
{
	return history_tag(stable ? backends_stable(store, block) : backends_block(store, block));
}

static void command_check_read(const struct kcommand *command)
{
	for (unsigned i = 0; i < command->blocks; i++) {
		unsigned store = command->kdev->store, block = command->lba + i;
		uint64_t tag = history_tag(command->data + (size_t) i * BLOCK_SIZE);

		history_check(store, block, tag, command->begun, command->ended, "a READ");
	}
}

static void command_check_write(const struct kcommand *command)
{
	uint64_t now = sim_now();

	for (unsigned i = 0; command->writes[i]; i++) {
		const struct history_write *write = command->writes[i];
		unsigned store = write->store, block = write->block;

		if (write->copies && !write->copied_cnt)
			sim_fail("EXTENDED COPY is GOOD, and block %u was not written", block);

		history_check(
			store, block, stored_tag(store, block, false), now + 1, now,
			"after a WRITE was GOOD");
		if (command->strict || command->fua)
			history_check_stable(
				store, block, stored_tag(store, block, true),
				command->fua ? "on stable storage after FUA"
					     : "on stable storage without a write cache");
	}
}

static void command_check_compared(const struct kcommand *command)
{
	uint64_t tag;

	memcpy(&tag, command->data, sizeof(tag));
	history_check(
		command->kdev->store, command->lba, tag, command->begun, command->ended,
		"COMPARE AND WRITE found");
	history_compared(command->writes[0], command->kdev->store, tag);
}

void initiators_check_stable(unsigned store, uint64_t before, const char *why)
{
	history_flushed(store, before);
	for (unsigned i = 0; i < STORE_BLOCKS; i++)
		history_check_stable(store, i, stored_tag(store, i, true), why);
}

static void command_check_format(const struct kcommand *command)
{
	const struct kdev *kdev = command->kdev;

	if (command->immediate)
		return;
	/* Others may be GOOD meanwhile: FORMAT UNIT begins when it has passed the guard. */
	command_check_write(command);
	for (unsigned i = 0; i < command->blocks; i++)
		history_check_stable(
			kdev->store, i, stored_tag(kdev->store, i, true),
			"on stable storage after FORMAT UNIT or SANITIZE");
}

static bool command_needs_medium(const struct kcommand *command)
{
	return command->op == KCOMMAND_READ || command->op == KCOMMAND_FLUSH ||
		(command->writes[0] && !command_formats(command) && command->op != KCOMMAND_XCOPY);
}

/* A command is GOOD that needs the medium: no format that had begun before it goes on. */
static void command_end_formats(const struct kcommand *command)
{
	struct world *world = sim->world;

	for (unsigned i = world->format_cnt; i--;) {
		struct kcommand *format = world->formats[i];

		if (format->kdev->slot != command->kdev->slot || format->ended >= command->begun)
			continue;
		for (unsigned j = 0; format->writes[j]; j++)
			format->writes[j]->ended = command->ended;
		world->formats[i] = world->formats[--world->format_cnt];
	}
}

/* Whether the medium is formatted although the command has its status. */
static bool command_goes_on(struct kcommand *command)
{
	struct world *world = sim->world;

	if (!command_formats(command) ||
	    (!command->in_ring && command->status != STATUS_TASK_ABORTED &&
	     !(command->status == 0 && command->immediate)))
		return false;
	if (world->format_cnt < FORMATS_MAX)
		world->formats[world->format_cnt++] = command;
	return true;
}

static void command_check(const struct kcommand *command)
{
	switch (command->op) {
	case KCOMMAND_READ:
		command_check_read(command);
		break;
	case KCOMMAND_COMPARE_AND_WRITE:
		command_check_compared(command);
		command_check_write(command);
		break;
	case KCOMMAND_WRITE:
	case KCOMMAND_UNMAP:
	case KCOMMAND_WRITE_SAME:
	case KCOMMAND_XCOPY:
		command_check_write(command);
		break;
	case KCOMMAND_FORMAT:
	case KCOMMAND_SANITIZE:
		command_check_format(command);
		break;
	case KCOMMAND_MODE_SELECT:
		cache_initiator_has(command);
		break;
	case KCOMMAND_FLUSH:
		initiators_check_stable(
			command->kdev->store, command->begun,
			"on stable storage after SYNCHRONIZE CACHE");
		break;
	default:
		break;
	}
}

void initiators_late(struct kcommand *command)
{
	if (command_formats(command))
		return;
	for (unsigned i = 0; command->writes[i]; i++)
		if (command->writes[i]->ended == UINT64_MAX)
			command->writes[i]->ended = sim_now();
}

void initiators_data_taken(struct kcommand *command)
{
	/* The data of the others are not in its pages. */
	if (command->op != KCOMMAND_WRITE && command->op != KCOMMAND_COMPARE_AND_WRITE &&
	    command->op != KCOMMAND_WRITE_SAME)
		return;
	for (unsigned i = 0; command->writes[i]; i++)
		history_set_unknown(command->writes[i]->store, command->writes[i]->block);
}
static const char *const command_names[KCOMMAND_OPS] = {
	[KCOMMAND_READ] = "READ",
	[KCOMMAND_WRITE] = "WRITE",
	[KCOMMAND_COMPARE_AND_WRITE] = "COMPARE AND WRITE",
	[KCOMMAND_FLUSH] = "SYNCHRONIZE CACHE",
	[KCOMMAND_TEST_UNIT_READY] = "TEST UNIT READY",
	[KCOMMAND_INQUIRY] = "INQUIRY",
	[KCOMMAND_UNMAP] = "UNMAP",
	[KCOMMAND_WRITE_SAME] = "WRITE SAME",
	[KCOMMAND_SET_GROUPS] = "SET TARGET PORT GROUPS",
	[KCOMMAND_FORMAT] = "FORMAT UNIT",
	[KCOMMAND_SANITIZE] = "SANITIZE",
	[KCOMMAND_MODE_SELECT] = "MODE SELECT",
	[KCOMMAND_XCOPY] = "EXTENDED COPY",
};

/* One command is deferred at a time, for the guard or to save mode parameters; another one is to
 * come again. */
static bool command_guard_is_busy(const struct kcommand *command)
{
	return command->status == 0x08 &&
		(command_formats(command) || command->op == KCOMMAND_XCOPY ||
		 command->op == KCOMMAND_MODE_SELECT || command->op == KCOMMAND_WRITE_SAME);
}

/* Slow requests that follow each other use a cmd_time_out of 1 s up. Where the daemon forgets a
 * command, or commands wait for each other, the stores are idle meanwhile. */
static bool command_waited_for_stores(const struct kcommand *command)
{
	uint64_t busy = history_count_busy(backends_in_flight()) - command->busy_before;

	return command->expired && busy > (command->ended - command->begun) / 2;
}

void initiators_take_status(struct kcommand *command)
{
	bool good = command->status == 0;
	bool goes_on = command_goes_on(command);

	for (unsigned i = 0; command->writes[i]; i++) {
		if (goes_on || (command->in_ring && !sim->world->expiry))
			continue; /* it may still land */
		command->writes[i]->ended = command->ended;
		command->writes[i]->good = good && !command->hint &&
			(!command_formats(command) || i < command->blocks);
		if (command->writes[i]->good &&
		    (command->fua || command->strict || command_formats(command)))
			command->writes[i]->stable = command->ended;
	}
	sim_trace(
		"%s: %s %u+%u tag %#llx: status %02x key %x", command->kdev->name,
		command_names[command->op], command->lba, command->blocks,
		(unsigned long long) command->tag, command->status, command->sense_key);
	sim->world->needs_format[command->kdev->slot] |= command->sense_key == SENSE_MEDIUM;
	if (good) {
		sim->report->good++;
		if (command->probe)
			sim->world->served[command->kdev->slot] = true;
		if (command_needs_medium(command))
			command_end_formats(command);
		command_check(command);
	} else if (
		sim->world->calm && !command->may_fail && command->sense_key != SENSE_UA &&
		command->sense_key != SENSE_MISMATCH && !command_guard_is_busy(command) &&
		!command_waited_for_stores(command)) {
		sim_fail(
			"a command gets status %02x key %x, and nothing has gone wrong",
			command->status, command->sense_key);
	}
}

/* ------- at the end ------- */

void initiators_expect_service(void)
{
	memset(sim->world->served, 0, sizeof(sim->world->served));
}

bool initiators_served(const struct kdev *kdev)
{
	return sim->world->served[kdev->slot];
}

void initiators_probe(struct kdev *kdev)
{
	struct kcommand *command;

	/* Initiators say which host serves the medium. */
	if (kdev->port_access & 2) {
		command = command_new(kdev, KCOMMAND_SET_GROUPS);
		cdb_make_list(command);
		command_send(command);
	}
	/* One that was cut short has left the medium unusable; after SANITIZE only that helps. */
	if (sim->world->needs_format[kdev->slot] && sim_chance(3)) {
		bool sanitize = initiators_have(KCOMMAND_SANITIZE);

		sim->world->needs_format[kdev->slot] = false;
		command = command_new(kdev, sanitize ? KCOMMAND_SANITIZE : KCOMMAND_FORMAT);
		if (sanitize)
			command_prepare_sanitize(command);
		else
			command_prepare_format(command);
		cdb_make_list(command);
		command_send(command);
	}
	command = command_new(kdev, KCOMMAND_WRITE);
	command_prepare(command);
	command->probe = true;
	command_send(command);
}

void initiators_check_all(void)
{
	for (unsigned i = 0; i < STORES; i++)
		for (unsigned j = 0; j < STORE_BLOCKS; j++)
			history_check(
				i, j, stored_tag(i, j, false), sim_now() + 1, sim_now(),
				"at the end");
}
