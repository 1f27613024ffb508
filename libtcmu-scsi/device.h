/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of a server, and its thread. The thread opens the store, serves the ring, and closes
 * both. The server's thread asks it to stop, and takes the ring away from it if that does not
 * happen.
 *
 * The ring lock protects what both change. The server frees a device when its thread has ended.
 */
#pragma once

#include <tcmu/netlink.h>
#include <tcmu/server.h>

#include "serve.h"

/* So long a device that was found may wait in configfs until the event of its deletion is lost. */
#define DEVICE_LOST_MS 3000

enum device_state {
	DEVICE_ASKS = 1, /* reads configfs, which waits for a deletion of the device */
	DEVICE_OPENING,
	DEVICE_SERVED, /* open has ended, with result */
	DEVICE_ENDED,  /* the thread touches the device no more */
};

struct device {
	struct device *next;
	struct tcmu_scan_entry at;
	const struct tcmu_server_functions *functions;
	void *userdata;
	int wake_fd; /* the server's: written at each change of state */
	int stop_fd;
	pthread_t thread;
	struct ring_lock ring_lock;
	/* with the ring lock */
	enum device_state state;
	int result;
	uint32_t added_id; /* of the event that waits for the end of open; 0: none */
	bool stopping;
	/* of the thread, and of the server once the ring is revoked */
	struct tcmu_uio uio;
	struct tcmu_ring ring;
	struct tcmu_scsi *scsi;
	/* of the server */
	uint64_t lost_at; /* ms; 0: it is known whether its event is lost */
	bool replied;     /* the added event has its reply, or needs none */
	bool removing;
	uint32_t removed_id;
	uint64_t deadline; /* of its release, ms */
};

/* Starts the thread of a device. added_id: of its event, or 0 if it was found. NULL: there is not
 * enough memory. */
struct device *device_start(
	const struct tcmu_scan_entry *at, uint32_t added_id,
	const struct tcmu_server_functions *functions, void *userdata, int wake_fd);

/* Asks the thread to stop after the command that it executes. */
void device_stop(struct device *device);

/* The state, with the result of open and the id of the event that waits for it. */
enum device_state device_state(struct device *device, int *result, uint32_t *added_id);

/* Takes the ring from a thread that has not ended: the kernel has it back when this returns. */
void device_detach(struct device *device);

/* Waits for the thread's end, and frees the device. */
void device_free(struct device *device);
