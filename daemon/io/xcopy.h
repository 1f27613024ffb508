/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTENDED COPY: reads and writes in pieces, one at a time, each by the I/O thread of the device
 * that has the data.
 *
 * An xcopy belongs to the command that asks for it and lives on that command's I/O thread. The
 * devices that take part carry out its requests (wait/xcopy-disk.h) as internal commands, in order
 * with everything else that they write. The command ends when the current request is answered: at
 * the end, at the first error, or when its device drains (BUSY: it is to be requested again). When
 * it is aborted it waits for a request to its own device only. One in the background (IMMED)
 * belongs to an internal command. When the service is abandoned the command ends at once; then the
 * xcopy is freed with the last reference of its request, because a stuck read may still fill the
 * buffer.
 */
#pragma once

#include "io/command.h"
#include "wait/xcopy-disk.h"

/* Another device that takes part in an xcopy. */
struct xcopy_other {
	struct tcmu_name name; /* its directory in configfs; empty: there is no such device */
	bool written;
};

/* Lists the other devices of a plan. others: SCSI_XCOPY_CSCDS_MAX. Returns how many. Any thread. */
unsigned xcopy_list_others(const struct scsi_xcopy *plan, struct xcopy_other *others);

/* Under the ring lock: starts an xcopy whose command is planned. The command ends now or later.
 * own: this device. */
void xcopy_begin(struct xcopy_disk *own, struct command *waiter, const struct scsi_xcopy *plan);

/* Under the ring lock: COPY OPERATION ABORT. The xcopy of the plan's LBA ends when its current
 * request is answered. */
void xcopy_abort(struct command *command);

/* Whether an xcopy belongs to the command. */
bool xcopy_is_waiter(const struct command *command);

/* Outside of the ring lock: the service ends. The xcopies end whose request waits for the limits of
 * another device; the others end when their request is answered. */
void xcopy_drain(struct core *core);

/* Whether there are requests to this device that xcopy_serve() would take now. */
bool xcopy_can_serve(const struct xcopy_disk *own, const struct core *core);

/* Under the ring lock: requests to this device become commands, as many as may. Returns how many
 * were taken. */
unsigned xcopy_serve(struct xcopy_disk *own, struct core *core);
