/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SCSI disk for programs that serve TCMU devices themselves
 *
 * A program opens the uio device and the ring with libtcmu, and the disk with tcmu_scsi_open().
 * Then tcmu_scsi_serve() answers what is in the ring. A program that takes commands from somewhere
 * else, or in its own way, makes a disk with tcmu_scsi_new() and passes each command to
 * tcmu_scsi_execute().
 *
 * A command is decoded and checked as in tcmud, and carried out with the functions of the program's
 * store, which see byte ranges and return 0 or a negative errno. Such an error ends a command as
 * one of a handler of tcmud does: the handler guide has the table. The library starts no thread.
 *
 * Any thread may call tcmu_scsi_execute(), and several at once: commands are carried out at the
 * same time, but for COMPARE AND WRITE and ORWRITE, which are atomic. It returns when the functions
 * of the store have.
 *
 * The device has no target port groups, EXTENDED COPY, FORMAT UNIT and SANITIZE; the target core
 * answers persistent reservations. Structures grow at their end only, and carry their size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <tcmu/ring.h>
#include <tcmu/scan.h>
#include <tcmu/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A disk. */
struct tcmu_scsi;

/* The program's store. Offsets and lengths are bytes, multiples of the block, and within the disk.
 * Each function returns 0 or a negative errno. A function that is NULL is not there. */
struct tcmu_scsi_store {
	uint32_t size; /* of this structure */
	/* Fills the pieces with what is stored from offset on. Required. */
	int (*read)(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset);
	/* Stores the pieces from offset on. NULL: the disk is write-protected. */
	int (*write)(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset);
	/* Puts all that was written on stable storage. NULL: written data is stable. */
	int (*flush)(void *store);
	/* The range is no longer needed, and reads as zeros. NULL: the disk is not thin. */
	int (*unmap)(void *store, uint64_t offset, uint64_t length);
	/* *run: how many bytes from offset, at most length, are alike, and *mapped whether they are
	 * allocated. NULL: all blocks are. */
	int (*map)(void *store, uint64_t offset, uint64_t length, uint64_t *run, bool *mapped);
};

/* The properties of a disk. Texts are copied. */
struct tcmu_scsi_setup {
	uint32_t size;              /* of this structure */
	uint32_t block_size;        /* bytes: a power of two from 512 to 65536 */
	uint64_t disk_size;         /* bytes: a multiple of the block */
	const char *config;         /* "<subtype>/<config>", a designator of VPD 83h; NULL: none */
	const char *serial;         /* the unit serial; NULL: none */
	const char *vendor;         /* NULL: "LIO-ORG" */
	const char *product;        /* NULL: "TCMU device" */
	const char *revision;       /* NULL: "0002" */
	uint32_t max_blocks;        /* reported, and not enforced: hw_max_sectors; 0: 128 */
	uint32_t physical_block;    /* bytes; 0: the block */
	uint32_t unmap_granularity; /* bytes; 0: the block */
	bool read_only;
	bool rotational;
};

/* A command, and its answer. */
struct tcmu_scsi_command {
	uint32_t size;      /* of this structure */
	uint8_t cdb_length; /* bytes */
	const uint8_t *cdb;
	const struct iovec *iov; /* data-out, or room for data-in */
	unsigned iov_cnt;
	uint8_t status;    /* of SAM */
	bool has_read_len; /* the command has data-in: read_len bytes of it are valid */
	uint32_t read_len;
	uint8_t sense[96]; /* with CHECK CONDITION */
};

/* Makes a disk. store and the functions are used until tcmu_scsi_free(), which the caller calls;
 * *functions is copied.
 *
 * Returns 0 and sets *scsi, or a negative errno:
 * -EINVAL: the setup cannot be, or read is missing.
 * -ENOMEM: there is not enough memory. */
int tcmu_scsi_new(
	const struct tcmu_scsi_setup *setup, const struct tcmu_scsi_store *functions, void *store,
	struct tcmu_scsi **scsi);

/* Makes a disk for a device of the kernel, with its size, block size and longest transfer. Its unit
 * serial is read when an initiator asks for it. This function, and tcmu_scsi_execute() then, may
 * block while the kernel creates or deletes another device, as tcmu_configfs_get() may: not on the
 * thread that answers netlink events. Use and result are those of tcmu_scsi_new().
 *
 * Returns 0 and sets *scsi, or a negative errno:
 * -ENOENT: the device is gone.
 * -EINVAL: read is missing.
 * -ENOMEM: there is not enough memory. */
int tcmu_scsi_open(
	const struct tcmu_name *name, const struct tcmu_scsi_store *functions, void *store,
	struct tcmu_scsi **scsi);

/* The size of a disk.
 *
 * Returns bytes. */
uint64_t tcmu_scsi_size(struct tcmu_scsi *scsi);

/* Frees a disk, or NULL. No command is being executed. */
void tcmu_scsi_free(struct tcmu_scsi *scsi);

/* Executes a command. It never fails: a refusal is an answer. */
void tcmu_scsi_execute(struct tcmu_scsi *scsi, struct tcmu_scsi_command *command);

/* Executes all commands that are in the ring, one after the other, and publishes their answers.
 * After a reset of the ring it is attached again. One thread at a time serves a ring. Call it once
 * after tcmu_ring_attach(), and then after each event of the uio device.
 *
 * Returns 0 or a negative errno, after which the ring cannot be served any more:
 * -ENODEV: the device is unregistered.
 * -EBADMSG: the ring is corrupt.
 * -ENOMEM: there is not enough memory. */
int tcmu_scsi_serve(struct tcmu_scsi *scsi, struct tcmu_ring *ring, struct tcmu_uio *uio);

/* Sets a new size, in bytes, and reports it to initiators by a unit attention.
 *
 * Returns 0 or a negative errno:
 * -EINVAL: it is 0 or no multiple of the block. */
int tcmu_scsi_resize(struct tcmu_scsi *scsi, uint64_t disk_size);

#ifdef __cplusplus
}
#endif
