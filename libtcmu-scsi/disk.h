/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of the library.
 *
 * `lock` protects lu, result and data: a command has it while it is decoded, and not while the
 * store works. `medium` is shared by commands that write, and exclusive for those that read and
 * write and must be atomic. `medium` is taken without `lock`.
 */
#pragma once

#include <pthread.h>
#include <scsi/scsi.h>
#include <stdatomic.h>
#include <tcmu/scsi.h>

struct tcmu_scsi {
	struct tcmu_scsi_store functions;
	void *store;
	uint32_t block_size;
	_Atomic bool write_through; /* WCE is 0 */
	pthread_rwlock_t medium;
	pthread_mutex_t lock;
	bool named; /* a device of the kernel: its serial is asked for */
	struct tcmu_name name;
	struct iovec *iov; /* of the command that tcmu_scsi_serve() executes */
	unsigned iov_max;
	struct scsi_lu lu;
	struct scsi_result result;
	uint8_t data[SCSI_DATA_MAX];
};

/* Fills the answer of a command with a status and its sense, and with data-in, which may be NULL.
 * With lock. */
void disk_answer(
	struct tcmu_scsi *scsi, struct tcmu_scsi_command *command, const struct scsi_result *result,
	const uint8_t *data, uint32_t length);
