/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All TCMU devices of one subtype, served by this process
 *
 * A server answers the kernel's netlink events for the devices of its subtype, and serves each on a
 * separate thread by the functions of a store. Devices that are there already, and those whose
 * events were lost, are found. Devices of other subtypes are not touched: they are those of tcmud
 * or of another program.
 *
 * A deletion that began while no process served the subtype is ended by giving up all replies that
 * the kernel waits for, as tcmu_module_end_commands() does.
 *
 * A deleted device is released in time even if its store hangs. One second after the kernel's event
 * the server replaces the ring's memory by private memory, closes the device, and replies. The
 * command that hangs keeps its buffers, and its late answer is dropped.
 *
 * One thread uses a server. Its functions do not block.
 */
#pragma once

#include <stdint.h>

#include <tcmu/scan.h>
#include <tcmu/scsi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The devices of a subtype. */
struct tcmu_server;

/* The program's functions for a device. Each runs on the thread of that device, and may block. */
struct tcmu_server_functions {
	uint32_t size; /* of this structure */
	/* Opens the store of a device of disk_size bytes. 0 with *store set, or a negative errno,
	 * which the process that creates the device gets. Required. While the store of a deleted
	 * device of the same name hangs, that one is not closed yet. */
	int (*open)(void *userdata, const struct tcmu_name *name, uint64_t disk_size, void **store);
	/* Closes it. No other function runs for it, and none will. Required. */
	void (*close)(void *store);
	struct tcmu_scsi_store store;
};

/* Starts to serve the devices of a subtype. functions is copied; what it points to, and userdata,
 * are used until tcmu_server_free().
 *
 * Returns 0 and sets *server, or a negative errno:
 * -EINVAL: the subtype is empty or too long, or a required function is missing.
 * -ENOENT: the module target_core_user is not loaded.
 * -EPERM: the process may not use the netlink family.
 * -ENOMEM: there is not enough memory. */
int tcmu_server_new(
	const char *subtype, const struct tcmu_server_functions *functions, void *userdata,
	struct tcmu_server **server);

/* The descriptor to poll for POLLIN. It stays owned by the server.
 *
 * Returns the descriptor. */
int tcmu_server_fd(const struct tcmu_server *server);

/* Does what there is to do. Call it when the descriptor is readable.
 *
 * Returns 0 or a negative errno, after which nothing can be received for now: call it again after a
 * moment. */
int tcmu_server_work(struct tcmu_server *server);

/* How many devices the server has, and how many of deleted devices still hang (*hanging, which may
 * be NULL).
 *
 * Returns the number of devices. */
unsigned tcmu_server_devices(const struct tcmu_server *server, unsigned *hanging);

/* Stops to serve, and waits until all stores are closed. The kernel keeps the devices: what is in
 * their rings waits for the next process that serves them. Takes NULL. */
void tcmu_server_free(struct tcmu_server *server);

#ifdef __cplusplus
}
#endif
