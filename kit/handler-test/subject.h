/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler under test, in the process of one test: loaded, opened, and used one request at a
 * time. Every function fails the test where the handler does not do what it must.
 */
#pragma once

#include <stdatomic.h>

#include <tcmu/handler.h>
#include <tcmu/host.h>

#include "buffers.h"
#include "cli.h"
#include "model.h"

struct subject {
	const struct cli *cli;
	struct tcmu_plugin *plugin;
	const struct tcmu_handler *handler;
	struct tcmu_disk *disk; /* NULL: not open */
	const struct tcmu_backend_info *info;
	uint64_t random;
	atomic_bool failed; /* the handler has reported TCMU_BACKEND_FAILED since open */
};

enum subject_opening {
	SUBJECT_NEW = 0,
	SUBJECT_AGAIN = 1,     /* must_exist */
	SUBJECT_READ_ONLY = 2, /* ro=1 */
};

void subject_load(struct subject *subject, const struct cli *cli);
void subject_open(struct subject *subject, unsigned opening);

/* The same without a failure of the test. -errno with a reason. */
int subject_open_quietly(struct subject *subject, unsigned opening, struct tcmu_reason *reason);

void subject_close(struct subject *subject);

/* Ends the test as skipped. It closes an open disk, as a test that passes does: a store on another
 * host would wait for this client otherwise. */
void subject_skip(struct subject *subject, const char *why) __attribute__((noreturn));

/* A number below limit. */
uint64_t subject_random(struct subject *subject, uint64_t limit);

bool subject_can(const struct subject *subject, enum tcmu_io_op op);

/* Blocks that one request of this operation may have at most, and no more than most. */
uint64_t subject_most_blocks(const struct subject *subject, enum tcmu_io_op op, uint64_t most);

/* A model of blocks of the disk. */
void subject_model(
	const struct subject *subject, struct model *model, uint64_t first, uint64_t blocks);

/* Writes new data to blocks, and reads and compares blocks, in one request. */
void subject_write(
	struct subject *subject, struct model *model, uint64_t block, uint64_t cnt, uint32_t flags,
	enum buffer_shape shape);
void subject_verify(
	struct subject *subject, struct model *model, uint64_t block, uint64_t cnt,
	enum buffer_shape shape);

/* Reads and compares all blocks of the model. */
void subject_verify_all(struct subject *subject, struct model *model);

/* A request that must succeed. buffer: NULL: none. */
void subject_do(
	struct subject *subject, enum tcmu_io_op op, uint32_t flags, uint64_t block, uint64_t cnt,
	struct buffer *buffer);

/* The same, with its error and its result, which may be NULL. */
int subject_try(
	struct subject *subject, enum tcmu_io_op op, uint32_t flags, uint64_t block, uint64_t cnt,
	struct buffer *buffer, uint64_t *result, uint32_t *result_flags);

/* FLUSH, if the handler has it. */
void subject_flush(struct subject *subject);

const char *subject_op_name(enum tcmu_io_op op);
