/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of a uio device, in this process: a fake ring behind a descriptor that epoll
 * can watch.
 *
 * fake-uio.c defines tcmu_uio_open, _map, _doorbell, _unmap, _close and tcmu_configfs_action: a
 * program that is linked with it gets these instead of libtcmu's. It also stands before epoll_ctl
 * and epoll_wait, to give the event masks that an unregistered uio device gives, and to count.
 *
 * The descriptor is the reading end of a pipe, the mapping is the fake ring's memfd: so the tests
 * can ask the real kernel whether anything still holds a reference on either of them.
 *
 * Threads: any. One lock stands for the kernel's lock of a device: completions are taken under it,
 * on the thread that rings the doorbell.
 */
#pragma once

#include "fake-ring.h"

struct fake_uio;

/* What poll says of an unregistered device. */
enum fake_uio_kernel {
	FAKE_KERNEL_6_1, /* IN, ERR and HUP */
	FAKE_KERNEL_7_2, /* ERR */
};

/* A zero means the default. */
struct fake_uio_options {
	struct fake_ring_options ring;
	enum fake_uio_kernel kernel;
	int open_error; /* -errno that open gives */
	int map_error;
	unsigned replace_failures; /* so many replacements of the mapping fail, with -ENOMEM */
	int block_error;           /* of the configfs actions */
	int unblock_error;
	int reset_error;
	bool hold_actions;        /* they do not return before fake_uio_release_actions() */
	fake_completion_fn *done; /* under the lock, on the thread of the doorbell */
	void *userdata;
};

/* Registers a device. NULL when there is no memory. */
struct fake_uio *fake_uio_new(const struct fake_uio_options *options);
void fake_uio_free(struct fake_uio *uio);

unsigned fake_uio_minor(const struct fake_uio *uio);

/* Calls that need the ring itself go between these two. */
struct fake_ring *fake_uio_lock(struct fake_uio *uio);
void fake_uio_unlock(struct fake_uio *uio);

/* fake_ring_push() under the lock; nothing of an unregistered device: -ENODEV. */
int fake_uio_push(struct fake_uio *uio, const struct fake_command *command);

/* Publishes what was pushed and notifies, as the kernel does. */
void fake_uio_notify(struct fake_uio *uio);

/* Where configfs actions are held. */
bool fake_uio_wait_action(struct fake_uio *uio); /* one is held; false: none came within 10 s */
void fake_uio_release_actions(struct fake_uio *uio);

/* uio_unregister_device(). silent: only the doorbell tells. */
void fake_uio_unregister(struct fake_uio *uio, bool silent);

struct fake_uio_counts {
	unsigned opens;
	unsigned maps;
	unsigned unmaps;
	unsigned closes;
	unsigned doorbells;
	unsigned blocks;   /* block_dev 1 */
	unsigned resets;   /* reset_ring 1 while blocked */
	unsigned unblocks; /* block_dev 0 */
	unsigned wrong;  /* a close before the unmapping, a reset while not blocked, a second opener
			  */
	unsigned broken; /* doorbells that found an answer which the kernel does not know */
	unsigned notifications; /* that found somebody to notify */
};

struct fake_uio_counts fake_uio_counts(struct fake_uio *uio);

/* All calls of epoll_wait in this process so far, and how many threads are in it. */
unsigned long fake_uio_epoll_waits(void);
unsigned fake_uio_sleepers(void);

/* How many mappings of the ring there are in this process beside the fake kernel's own. */
unsigned fake_uio_mappings(struct fake_uio *uio);

/* Whether anything still refers to the opened descriptor's file. For a device that has been let go:
 * no notification reaches anybody after this. */
bool fake_uio_is_open(struct fake_uio *uio);
