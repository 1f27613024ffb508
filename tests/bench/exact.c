/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of QEMU's emulator, for tests/bench/exact: counts the instructions of each translated
 * block between two marks, and writes them to the file out=PATH, "-1" for the first pair of marks:
 * a line for each address, "HEX COUNT".
 *
 * The guest sets a mark by an instruction that no compiler emits by chance. Debian has no package
 * with the header for such plugins, so the declarations that are needed stand here (version 1).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT  __attribute__((visibility("default")))
#define BUCKETS 65536u

/* ------- of QEMU ------- */

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum {
	NO_REGISTERS
};
enum {
	INLINE_ADD
};

void qemu_plugin_register_vcpu_tb_trans_cb(
	plugin_id id, void (*callback)(plugin_id id, struct qemu_plugin_tb *block));
void qemu_plugin_register_vcpu_tb_exec_inline(
	struct qemu_plugin_tb *block, int op, void *counter, uint64_t add);
void qemu_plugin_register_vcpu_insn_exec_cb(
	struct qemu_plugin_insn *instruction, void (*callback)(unsigned cpu, void *userdata),
	int registers, void *userdata);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *instruction);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);

EXPORT int qemu_plugin_version = 1;

/* ------- the counters ------- */

/* mov $0x7c3d0001, %eax; tests/bench/measure.py has the same. */
static const uint8_t mark[] = {0xb8, 0x01, 0x00, 0x3d, 0x7c};

struct counter {
	struct counter *next;
	uint64_t address;
	uint64_t count; /* instructions */
};

static struct counter *buckets[BUCKETS];
static const char *path;
static unsigned marks;

/* Blocks are translated again and again, of different lengths. */
static struct counter *counter_of(uint64_t address)
{
	struct counter **bucket = &buckets[(address ^ (address >> 16)) % BUCKETS];
	struct counter *counter;

	for (counter = *bucket; counter; counter = counter->next)
		if (counter->address == address)
			return counter;
	counter = calloc(1, sizeof(*counter));
	if (!counter)
		abort();
	counter->address = address;
	counter->next = *bucket;
	*bucket = counter;
	return counter;
}

static void counters_write(void)
{
	char name[4096];
	FILE *file;

	(void) snprintf(name, sizeof(name), "%s-%u", path, marks / 2);
	file = fopen(name, "w");
	if (!file)
		abort();
	for (unsigned i = 0; i < BUCKETS; i++)
		for (const struct counter *counter = buckets[i]; counter; counter = counter->next)
			if (counter->count)
				(void) fprintf(
					file, "%" PRIx64 " %" PRIu64 "\n", counter->address,
					counter->count);
	(void) fclose(file);
}

static void marked(unsigned cpu, void *userdata)
{
	(void) cpu;
	(void) userdata;
	if (++marks % 2 == 0) {
		counters_write();
		return;
	}
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct counter *counter = buckets[i]; counter; counter = counter->next)
			counter->count = 0;
}

static void block_translated(plugin_id id, struct qemu_plugin_tb *block)
{
	size_t count = qemu_plugin_tb_n_insns(block);

	(void) id;
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);

		if (qemu_plugin_insn_size(instruction) == sizeof(mark) &&
		    memcmp(qemu_plugin_insn_data(instruction), mark, sizeof(mark)) == 0)
			qemu_plugin_register_vcpu_insn_exec_cb(
				instruction, marked, NO_REGISTERS, NULL);
	}
	qemu_plugin_register_vcpu_tb_exec_inline(
		block, INLINE_ADD, &counter_of(qemu_plugin_tb_vaddr(block))->count, count);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void) info;
	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], "out=", 4) == 0)
			path = argv[i] + 4;
	if (!path)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
	return 0;
}
