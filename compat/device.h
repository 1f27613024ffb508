/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of a handler that was written for tcmu-runner: struct tcmu_device, which the handler
 * sees as an opaque pointer, and the backend of the daemon
 *
 * This library is linked into each such plugin. Its functions are those of the public headers in
 * include/, and the plugin's entry. It copies nothing between requests: the handler gets the
 * daemon's buffers.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tcmu/handler.h>

#include <tcmu-runner.h>
#include <tcmur_device.h>

#define COMPAT_CONFIG_SIZE (TCMU_CONFIG_MAX + 65)

struct tcmu_device {
	struct tcmur_device runner;
	const struct tcmur_handler *handler;
	const struct tcmu_host *host;
	struct tcmu_host_device *host_device;
	struct tcmu_device *next;        /* of the plugin's open devices; under the list's lock */
	uint8_t *zeros;                  /* a block */
	char config[COMPAT_CONFIG_SIZE]; /* <subtype>/<config> */
	atomic_bool opened;              /* events are for the daemon from now on */
	uint64_t num_lbas;
	uint32_t block_size;   /* bytes */
	uint32_t max_xfer_len; /* the lengths are blocks; 0: no limit */
	uint32_t opt_xcopy_rw_len;
	uint32_t max_unmap_len;
	uint32_t opt_unmap_gran;
	uint32_t unmap_gran_align;
	bool write_cache_enabled;
	bool write_protect_enabled;
	bool unmap_enabled;
	bool solid_state_media;
};

/* The functions of struct tcmu_handler. open and close take the handler's. */
int device_open(
	const struct tcmur_handler *handler, const struct tcmu_config *config,
	const struct tcmu_host *host, struct tcmu_host_device *host_device,
	struct tcmu_backend_info *info, struct tcmu_device **opened, struct tcmu_reason *reason);
void device_close(struct tcmu_device *dev);
int device_resize(
	struct tcmu_device *dev, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason);

/* Whether the daemon executes the commands that handle_cmd leaves: the handler reads and writes. */
bool device_falls_back(const struct tcmur_handler *handler);

/* Reports to the daemon. value: as for host->event(). Dropped before open has succeeded. */
void device_report(struct tcmu_device *dev, enum tcmu_backend_event event, int64_t value);
