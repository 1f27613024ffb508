/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model kernel: uio devices with their rings, configfs, and netlink. It defines the functions
 * of libtcmu that reach the kernel; the ring's own code is libtcmu's.
 *
 * Everything here runs on the world's side, or within a call of the daemon.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <tcmu/netlink.h>

#include "fake-ring.h"
#include "history.h"

#define KDEVS_MAX    16
#define IDS_MAX      512
#define BURST_BLOCKS 4
#define PORT_GROUP   1 /* of this host's ports, where the store is shared */

/* How uio behaves after the device is unregistered. */
enum kernel_version {
	KERNEL_5_10, /* poll: IN, ERR, HUP */
	KERNEL_6_1,  /* the same */
	KERNEL_6_12, /* the same */
	KERNEL_7_2,  /* ERR alone */
	KERNEL_VERSIONS,
};

enum kcommand_op {
	KCOMMAND_READ,
	KCOMMAND_WRITE,
	KCOMMAND_COMPARE_AND_WRITE,
	KCOMMAND_FLUSH,
	KCOMMAND_TEST_UNIT_READY,
	KCOMMAND_INQUIRY,
	KCOMMAND_UNMAP,
	KCOMMAND_WRITE_SAME,
	KCOMMAND_SET_GROUPS,  /* of target ports */
	KCOMMAND_XCOPY,       /* EXTENDED COPY: blocks from lba to lba_2 */
	KCOMMAND_FORMAT,      /* FORMAT UNIT */
	KCOMMAND_SANITIZE,    /* OVERWRITE with the tag, or BLOCK ERASE (no_data) */
	KCOMMAND_MODE_SELECT, /* of WCE, the write cache */
	KCOMMAND_OPS,
};

#define MORE_SEGMENTS 3

/* EXTENDED COPY: another segment, within the destination or from the source to it. */
struct ksegment {
	bool within;
	unsigned lba, lba_2, blocks;
};

struct kdev;

/* A command of an initiator. */
struct kcommand {
	struct kdev *kdev;
	enum kcommand_op op;
	unsigned lba, blocks;
	unsigned lba_2, blocks_2; /* of UNMAP's second extent */
	unsigned from, to;        /* EXTENDED COPY: the slots of its devices */
	struct ksegment segments[MORE_SEGMENTS];
	unsigned segment_cnt; /* of these */
	uint8_t state;        /* of SET TARGET PORT GROUPS */
	unsigned data_out;    /* bytes, of the commands of cdb.h */
	bool fua;
	bool no_data;   /* zeros: NDOB of WRITE SAME, SANITIZE BLOCK ERASE */
	bool unmap;     /* WRITE SAME with UNMAP */
	bool hint;      /* UNMAP where unmapped blocks may keep their data */
	bool immediate; /* IMMED: FORMAT UNIT, SANITIZE */
	bool cache_on;  /* MODE SELECT: WCE */
	bool save;      /* MODE SELECT: SP */
	bool probe;
	bool may_fail; /* even where nothing goes wrong */
	bool strict;   /* the write cache was off for certain when it was sent */
	uint64_t tag;
	uint64_t begun, ended;
	uint64_t busy_before; /* history_count_busy() when it was sent */
	uint64_t deadline;    /* cmd_time_out */
	bool expired;         /* its status is that of cmd_time_out */
	bool has_status;      /* the initiator has its status */
	bool in_ring;
	bool orphaned;    /* the daemon left the ring while it was there, with a good store */
	unsigned changes; /* then: backends_changes() */
	uint16_t cmd_id;
	uint8_t status;
	uint8_t sense_key;
	struct history_write *writes[STORE_BLOCKS + 1]; /* NULL after the last */
	struct kcommand *next; /* of the device's queue for a full ring, or of dropped ones */
	uint8_t data[2 * BURST_BLOCKS * BLOCK_SIZE];
};

/* A netlink command of the kernel, whose sender waits. */
struct knetlink {
	bool waits;
	bool waited; /* so a daemon knows of it, once it is answered */
	enum tcmu_event_kind kind;
	uint64_t sent;
	unsigned daemon; /* the daemon that has received it; 0: none */
	bool write_cache;
	uint64_t size;
	void (*answered)(struct kdev *kdev, int status);
};

struct kdev {
	bool used;
	unsigned slot; /* of the world */
	uint32_t id;
	unsigned minor;
	char name[16];
	char config[32];
	unsigned store;
	struct fake_ring *ring;
	bool registered; /* the uio device is there */
	bool configured; /* enable is 1 */
	bool ending;     /* no command is sent any more */
	bool opened;
	int fd; /* the daemon's */
	void *mapped;
	size_t mapped_length;
	bool replaced; /* other memory is at mapped; the kernel's reference is gone */
	bool inaccessible;
	bool released;
	uint64_t unregistered_at;
	bool event;    /* uio: an event that was not read; edges are counted by fds */
	bool changing; /* an attribute is being written */
	bool blocked;
	bool configfs_fails;
	bool configfs_hangs;
	uint8_t port_access; /* of the group of this host's ports: 1 implicit, 2 explicit; 0: none
			      */
	bool write_cache;
	uint64_t size;
	uint64_t timeout_ns;
	unsigned in_ring;
	struct kcommand *by_id[IDS_MAX]; /* in the ring */
	struct kcommand *queue;          /* the ring is full */
	struct kcommand *dropped;        /* by a reset by hand; their pages are not reused yet */
	uint64_t fresh;                  /* since then its ring was neither attached nor reset */
	unsigned waiting;                /* commands that wait for their status */
	uint64_t lock_needed;            /* by what has ended since: see kernel_lock_needed() */
	struct knetlink netlink;
};

/* Initiators have to know of these. */
struct kernel_calls {
	void (*attached)(const struct kdev *kdev); /* a daemon opens the uio device */
	void (*got_status)(struct kcommand *command);
	void (*late)(struct kcommand *command);       /* it is answered, and had expired */
	void (*data_taken)(struct kcommand *command); /* its pages may hold other data now */
};

/* No device. */
void kernel_reset(enum kernel_version version, const struct kernel_calls *calls);

/* Creates a device. Its ADDED_DEVICE is sent; configured(kdev, status) follows. */
struct kdev *kernel_create(
	unsigned slot, const char *config, unsigned store, const struct fake_ring_options *options,
	bool write_cache, uint64_t timeout_ns, void (*configured)(struct kdev *kdev, int status));

/* Removes it. Its REMOVED_DEVICE is sent; then the uio device goes. */
void kernel_remove(struct kdev *kdev);

/* Writes an attribute; answered(kdev, status) follows. */
void kernel_set_size(
	struct kdev *kdev, uint64_t size, void (*answered)(struct kdev *kdev, int status));
void kernel_set_write_cache(
	struct kdev *kdev, bool on, void (*answered)(struct kdev *kdev, int status));

/* A command of an initiator: it gets its status later, or at once. */
void kernel_send(struct kcommand *command);

/* ABORT TASK or LUN RESET, reported to the daemon. */
void kernel_task_management(struct kdev *kdev, bool lun_reset);

/* The daemon has left the ring, by its end or because the device ends: the commands there are to
 * be finished by the next opening. */
void kernel_note_orphans(struct kdev *kdev);

/* The daemon is about to reset the ring, so that its commands are answered BUSY: a COMPARE AND
 * WRITE that was carried out before it left the ring must not be among them. */
void kernel_check_orphans(const struct kdev *kdev);

/* Whether a command of that time, whose request to the store has ended, can be answered. */
bool kernel_expects_answer(unsigned store, uint64_t begun);

/* When this host last had a command, or a change by the administrator, that needs the lock of the
 * store; now, where one is there or initiators say which host serves it. */
uint64_t kernel_lock_needed(unsigned store);

/* configfs: action/reset_ring, action/block_dev. */
void kernel_reset_ring(struct kdev *kdev, bool by_hand);
void kernel_block(struct kdev *kdev, bool on);

/* Its files in configfs wait from now on, or do so no longer. */
void kernel_hang_configfs(struct kdev *kdev, bool on);

/* A device whose creation has failed goes. */
void kernel_unregister_failed(struct kdev *kdev);

/* The module comes; goes, unless a device holds it: then false. No device can be created without
 * it. A daemon that starts loads it, too. */
void kernel_load(void);
bool kernel_unload(void);
bool kernel_is_loaded(void);

/* Whether the daemon listens to its events, and it waits for the answers. */
bool kernel_waits_for_answers(void);

/* Whether another device can be created in this life. */
bool kernel_has_room(void);

/* The device at index. NULL: beyond the last. */
struct kdev *kernel_at(unsigned index);

/* The daemon was killed: its descriptors and mappings go. */
void kernel_daemon_killed(void);

/* A daemon has begun: its number. */
void kernel_daemon_began(unsigned number);

/* The next events are lost, and ENOBUFS is reported. */
void kernel_lose_events(unsigned cnt);
void kernel_double_events(unsigned cnt);

/* For the oracle: fails when a netlink command or a release is overdue. Every now and then. */
void kernel_check_deadlines(bool daemon_serves);

/* Fails when a netlink command that this daemon has received still waits. */
void kernel_check_owed(unsigned daemon);

/* Whether the address can be read by a system call. */
bool kernel_memory_is_there(const void *address);
