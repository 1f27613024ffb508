/* SPDX-License-Identifier: Apache-2.0 */
/* See io/core.h. */
#include "io/core.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "base/backend-limit.h"
#include "base/memory.h"

__thread struct core *core_current;

int core_init(struct core *core, const struct io_thread_setup *setup)
{
	assert(setup->handler && setup->signal && setup->depth);
	assert(setup->start == IO_THREAD_FRESH || notes_left(setup->notes));
	*core = (struct core){.setup = *setup};
	core_set_info(core, &setup->info);
	if (core->setup.lu.max_xcopies > setup->depth / 2)
		core->setup.lu.max_xcopies = setup->depth / 2;
	core->uio = (struct tcmu_uio) TCMU_UIO_INIT;
	pthread_mutex_init(&core->ring_lock, NULL);
	list_init(&core->ready);
	list_init(&core->ended);
	core->data = memory_map(SCSI_DATA_MAX);
	return core->data ? 0 : -ENOMEM;
}

uint64_t core_most_at_once(const struct core *core, enum tcmu_io_op op)
{
	uint64_t most = backend_limit(&core->info, op), block = core->setup.lu.block_size;

	if (most == UINT64_MAX)
		return most;
	return most < block ? block : most - most % block;
}

void core_set_info(struct core *core, const struct tcmu_backend_info *info)
{
	core->info = *info;
	core->most_at_once = MIN(
		core_most_at_once(core, TCMU_IO_READ), core_most_at_once(core, TCMU_IO_UNMAP));
}

void core_destroy(struct core *core)
{
	assert(core_current != core && !core->ring_locked);
	assert(list_is_empty(&core->ready) && list_is_empty(&core->ended));
	memory_unmap(core->data, SCSI_DATA_MAX);
	pthread_mutex_destroy(&core->ring_lock);
}

void core_lock_ring(struct core *core)
{
	assert(core_current == core && !core->ring_locked);
	pthread_mutex_lock(&core->ring_lock);
	core->ring_locked = true;
}

void core_unlock_ring(struct core *core)
{
	assert(core->ring_locked);
	core->ring_locked = false;
	pthread_mutex_unlock(&core->ring_lock);
}

void core_signal(struct core *core, uint32_t bits)
{
	assert(core_current == core && bits);
	core->setup.signal(core->setup.userdata, bits);
}

void core_set_service(struct core *core, enum core_service service)
{
	assert(core_current == core);
	if (core->service >= service)
		return;
	core->service = service;
	core->cancel_wanted |= service >= CORE_ABANDONED;
}

void core_break_ring(struct core *core, int error, const char *text)
{
	assert(core->ring_locked && error < 0);
	core_set_service(core, CORE_DRAINING);
	if (core->error)
		return;
	core->error = error;
	(void) snprintf(core->error_text, sizeof(core->error_text), "%s", text);
	if (core->ring_state != CORE_RING_REVOKED)
		core->ring_state = CORE_RING_BROKEN;
	core_signal(core, IO_SIGNAL_RING_BROKEN);
}

void core_set_unregistered(struct core *core)
{
	if (core->service == CORE_UNREGISTERED)
		return;
	core_set_service(core, CORE_UNREGISTERED);
	core_signal(core, IO_SIGNAL_UNREGISTERED);
}

/* ------- the ring, on the I/O thread ------- */

/* After a crash: the last daemon has published one of two tails. Where the ring has neither, or is
 * corrupt, the notes mean nothing any more. */
static int core_resume_ring(struct core *core)
{
	struct notes *notes = core->setup.notes;
	uint32_t published, next;
	int r;

	notes_positions(notes, &published, &next);
	r = tcmu_ring_resume(&core->ring, core->uio.base, core->uio.length, published);
	if (r == -ESTALE && next != published) {
		r = tcmu_ring_resume(&core->ring, core->uio.base, core->uio.length, next);
		/* Perhaps it died before the doorbell. */
		if (r == 0 && tcmu_uio_doorbell(&core->uio) == 0)
			notes_published(notes, next);
	}
	if (r == 0)
		return 0;
	notes_drop_all(notes);
	return tcmu_ring_attach(&core->ring, core->uio.base, core->uio.length);
}

static int core_attach_ring(struct core *core)
{
	if (core->setup.start == IO_THREAD_RECOVERED)
		return core_resume_ring(core);
	return tcmu_ring_attach(&core->ring, core->uio.base, core->uio.length);
}

/* False: it failed, or the ring was revoked before it was mapped. */
static bool core_map_ring(struct core *core)
{
	const char *text = NULL;
	int r = 0;

	assert(core->ring_locked);
	if (core->ring_state == CORE_RING_REVOKED)
		return false;
	assert(core->ring_state == CORE_RING_NONE);
	if ((r = tcmu_uio_open(&core->uio, core->setup.minor)) < 0)
		text = "its uio device cannot be opened";
	else if ((r = tcmu_uio_map(&core->uio)) < 0)
		text = "its ring cannot be mapped";
	else if ((r = core_attach_ring(core)) < 0)
		text = "its ring has a format that this daemon does not know";
	else if ((r = wait_watch(&core->wait, core->uio.fd, WAIT_SOURCE_UIO)) < 0)
		text = "its uio device cannot be watched";
	else if (core->setup.start == IO_THREAD_RECOVERED)
		core->ring_state = CORE_RING_RECOVERED;
	else
		core->ring_state = CORE_RING_ATTACHED;
	/* Nobody knows how long the commands that are there have waited. Those that come are new.
	 */
	core->late = core->ring_late = core->ring_state == CORE_RING_ATTACHED &&
		tcmu_ring_pending(&core->ring);
	core->ring_refused = core->ring_late && core->setup.handler->lock;
	if (text)
		core_break_ring(core, r, text);
	return !text;
}

void core_attach(struct core *core)
{
	bool attached;

	core_lock_ring(core);
	attached = core_map_ring(core) && core->ring_state == CORE_RING_ATTACHED;
	core_unlock_ring(core);
	if (attached)
		core_signal(core, IO_SIGNAL_ATTACHED);
}

void core_attach_again(struct core *core)
{
	int r = tcmu_ring_attach(&core->ring, core->uio.base, core->uio.length);

	assert(core->ring_locked && core->ring_state == CORE_RING_IDLE);
	if (r < 0) {
		core_break_ring(core, r, "its ring has a format that this daemon does not know");
		return;
	}
	core->ring_state = CORE_RING_ATTACHED;
	core_signal(core, IO_SIGNAL_ATTACHED);
}

/* Unmap first, then close: some kernels free the ring at the close. */
void core_detach(struct core *core)
{
	core_lock_ring(core);
	assert(core->service != CORE_SERVING);
	/* The pages of a ring that was reset may hold data that is not the new commands'. */
	core->clean = core->ring_state == CORE_RING_ATTACHED && core->service != CORE_UNREGISTERED;
	tcmu_uio_unmap(&core->uio);
	tcmu_uio_close(&core->uio);
	core_unlock_ring(core);
}

/* ------- the ring, from other threads ------- */

int core_revoke_ring(struct core *core, const struct iovec *keep, size_t cnt)
{
	int r = 0;

	assert(core_current != core);
	if (core->ring_state != CORE_RING_REVOKED && core->uio.base)
		r = core->setup.handler->flags & TCMU_HANDLER_SYSCALLS_ONLY
			? tcmu_uio_replace_inaccessible(&core->uio)
			: tcmu_uio_replace_private(&core->uio, keep, cnt);
	if (r < 0)
		return r;
	core->ring_state = CORE_RING_REVOKED;
	tcmu_uio_close(&core->uio);
	return 0;
}
