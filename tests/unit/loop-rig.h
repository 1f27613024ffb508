/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's I/O thread between a fake kernel (fake-uio.h) and a fake backend (fake-backend.h), and
 * an initiator that sends commands.
 *
 * A command's answer is copied at its completion and the data blocks are then poisoned: who touches
 * them later is seen. rig_stop() drains, waits for the end and checks that nothing is left: no
 * mapping, no descriptor, no command, no answer that the kernel does not know.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake-backend.h"
#include "fake-uio.h"
#include "loop.h"

#define RIG_BLOCK  512u
#define RIG_POISON 0xa5

/* Every operation that a handler can have. */
#define RIG_ALL_CAPS \
	(TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH) | \
	 TCMU_IO_CAP(TCMU_IO_UNMAP) | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES) | \
	 TCMU_IO_CAP(TCMU_IO_COMPARE_AND_WRITE) | TCMU_IO_CAP(TCMU_IO_MAP) | \
	 TCMU_IO_CAP(TCMU_IO_WRITE_SAME))
#define RIG_BASIC_CAPS \
	(TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_FLUSH))

/* A zero means the default. */
struct rig_options {
	struct fake_uio_options uio;
	struct backend_options
		backend;    /* its info goes to the loop, RIG_BASIC_CAPS if it has no caps */
	unsigned depth;     /* 16 */
	unsigned busy_poll; /* percent */
	struct throttle_limits limits;
	enum loop_start start;
	enum aio_kind aio;
	bool no_write_cache; /* WCE=0 */
	bool wait_serial;    /* what tells the serial waits for rig_serial() */
	uint32_t max_transfer;
};

struct rig {
	struct loop_setup setup;
	struct fake_uio *uio;
	struct backend *backend;
	struct loop *loop;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t signals;
	unsigned ended; /* how often LOOP_ENDED came */
	unsigned completions;
	bool answer_serial;
};

/* One command and its answer. */
struct rig_command {
	struct rig *rig;
	uint16_t id;
	uint8_t cdb[TCMU_CDB_MAX];
	uint8_t cdb_length;
	const void *out;
	uint32_t length;
	bool done;
	unsigned order; /* 1: the rig's first completion */
	uint8_t status;
	uint8_t sense[TCMU_SENSE_MAX];
	bool has_read_len;
	uint32_t read_len;
	void *in; /* room for length bytes, or NULL */
};

/* The owner's answer to LOOP_NEEDS_IDENTITY: the serial, and nothing else. */
void rig_set_serial(struct loop *loop, const char *serial);

/* Starts a loop and waits until it has attached. */
void rig_start(struct rig *rig, const struct rig_options *options);
/* The same without the waiting. */
void rig_begin(struct rig *rig, const struct rig_options *options);
/* The same without a loop: rig->setup may be changed, for loop_new(). */
void rig_make(struct rig *rig, const struct rig_options *options);
/* What setup.signal is. */
void on_rig_signal(void *owner, uint32_t bits);

/* Drains, waits for the end, checks that nothing is left, frees. */
void rig_stop(struct rig *rig);

/* The second half of rig_stop(): the loop ends by itself. */
void rig_finish(struct rig *rig);

/* Waits for the loop's end, then starts another one on the same device, as another daemon would. */
void rig_restart(struct rig *rig);

/* The kernel's mapping and the descriptor are gone, whatever the loop still does. */
void rig_assert_let_go(struct rig *rig);

/* Waits until the loop's thread has taken the orders that it was given. */
void rig_wait_orders(struct rig *rig);

/* Waits until the loop's thread sleeps, everything that was sent being under way. */
void rig_wait_idle(struct rig *rig);

/* Waits for a signal of the loop. Fails the test after 10 s. */
void rig_wait_signal(struct rig *rig, uint32_t bit);
void rig_forget_signals(struct rig *rig);

/* Makes a command visible to the loop, with or without a notification. Fails the test where there
 * is no room. */
void rig_push(struct rig *rig, struct rig_command *command);
void rig_notify(struct rig *rig);
void rig_send(struct rig *rig, struct rig_command *command); /* both */

/* Waits for the answer. Fails the test after 10 s. */
void rig_wait(struct rig_command *command);
bool rig_is_done(struct rig_command *command);

/* Sends and waits. Returns the status. */
uint8_t rig_do(struct rig *rig, struct rig_command *command);

/* ------- CDBs ------- */

struct rig_command rig_read(uint64_t lba, uint32_t blocks, void *in);
struct rig_command rig_write(uint64_t lba, uint32_t blocks, const void *out);
struct rig_command rig_write_fua(uint64_t lba, uint32_t blocks, const void *out);
struct rig_command rig_flush(void);
struct rig_command rig_test_unit_ready(void);
/* blocks * 2 of data: what is to be there, what is to be written */
struct rig_command rig_compare_and_write(uint64_t lba, uint8_t blocks, const void *out);

/* 16 bytes of CDB: opcode, one more byte, LBA and count in the places of READ(16). */
struct rig_command rig_cdb16(
	uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t blocks, const void *out,
	uint32_t length);

/* ------- answers ------- */

uint8_t rig_sense_key(const struct rig_command *command);
uint16_t rig_sense_code(const struct rig_command *command); /* ASC and ASCQ */
uint64_t rig_sense_info(const struct rig_command *command); /* INFORMATION, UINT64_MAX: not valid */

#define assert_sense(command, key, code) \
	do { \
		assert_int_equal((command)->status, SCSI_CHECK_CONDITION); \
		assert_int_equal(rig_sense_key(command), key); \
		assert_int_equal(rig_sense_code(command), code); \
	} while (0)

/* Fills blocks so that each one differs. */
void rig_pattern(void *memory, size_t length, uint32_t seed);
