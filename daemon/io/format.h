/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FORMAT UNIT and SANITIZE: operations that overwrite the whole medium and take as long as that
 * takes.
 *
 * An operation has its own slot, which is unknown to the kernel. So it goes on when the
 * command that asked for it has been answered (IMMED) or aborted, and when the kernel's ring is
 * reset. It is exclusive: a command that writes waits before it, or is refused by the SCSI code
 * while it is in flight.
 *
 * It ends early when the service does, because deleting a device must not wait for it. The main
 * thread is notified of an operation that is in flight or has failed, so that the device's next I/O
 * thread knows it.
 *
 * Everything runs on the I/O thread.
 */
#pragma once

#include "io/command.h"

/* Why the medium cannot be used, or not yet; to be remembered beyond the I/O thread. Bits of one
 * word. */
#define FORMAT_STATE_FORMAT   (1u << 0) /* a format operation is in flight, or has failed */
#define FORMAT_STATE_SANITIZE (1u << 1) /* the same of a sanitize operation */
#define FORMAT_STATE_EXIT     (1u << 2) /* with it: its failure may be left behind (AUSE) */

struct format {
	struct core *core;
	struct command *operation; /* it overwrites the medium; or NULL */
	struct command *waiter;    /* the command that waits for its end, or NULL */
	atomic_uint state;         /* FORMAT_STATE_, as was signalled last; read by any thread */
};

/* Any thread, before the I/O thread starts. */
void format_init(struct format *format, struct core *core);

/* Under the ring lock: the plan of the waiter (SCSI_PLAN_LONG) becomes an operation. The waiter
 * ends now, or with it. No other operation is in flight: the SCSI code refuses it. */
void format_prepare(struct format *format, struct command *waiter);

/* Signals IO_SIGNAL_FORMAT if the state has changed. */
void format_report(struct format *format);
