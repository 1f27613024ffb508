/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves the I/O thread of a device with facts and deeds that need configfs or a disk: LU info
 * (serial, ports, groups), and the requests of deferred commands. Each is a job. Also the
 * properties of the logical unit that follow from the device's options and backend.
 *
 * LU info is reported within a second, with the last known facts if configfs is busy with the
 * creation or deletion of another device.
 *
 * Main thread. Every function is part of an entry (state.h).
 */
#pragma once

#include <scsi/scsi.h>

struct device;

/* Once, for a new device. */
void lu_info_init(struct device *device);

/* Properties of the logical unit, from the attributes, the options and the backend's info. */
void lu_info_fill_lu(const struct device *device, struct scsi_lu *lu);

/* Commands wait for LU info: it is read, and reported to the I/O thread. */
void lu_info_need(struct device *device);

/* A command is deferred: its request is fetched, carried out and answered. The I/O thread runs. */
void lu_info_run_deferred(struct device *device);
