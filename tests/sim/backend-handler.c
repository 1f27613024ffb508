/* SPDX-License-Identifier: Apache-2.0 */
/* See backend.h: the handlers, their opens and locks. */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend-private.h"
#include "kernel.h"
#include "sim.h"
#include "threads.h"

#define LOCK_NEED_NS \
	SIM_NS_PER_S /* until the daemon takes the lock for a command that has ended \
		      */

/* ------- opens ------- */

/* Waits while the handler hangs. */
static void backend_take_time(unsigned store, const bool *hangs)
{
	sim_sleep(sim_choose(3000) * SIM_NS_PER_US);
	while (*hangs)
		(void) sim_block(backends_faults(store), 0);
}

static int backend_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	(void) reason;
	(void) snprintf(claim, size, "store %s", config->target);
	return 0;
}

static int backend_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **opened,
	struct tcmu_reason *reason)
{
	unsigned index = (unsigned) atoi(config->target);
	struct store *store = store_at(index);
	struct backend *backend;
	bool hung;

	hung = store->faults.open_hangs;
	backend_take_time(index, &store->faults.open_hangs);
	if (store->faults.open_fails || (store->rival && sim_chance(3))) {
		(void) snprintf(reason->text, sizeof(reason->text), "the model says so");
		return -EIO;
	}
	if (store->open && (sim->backends->once || (!hung && !store->open->late)))
		sim_fail("store %u is opened while another backend has it open", index);
	backend = calloc(1, sizeof(*backend));
	*backend = (struct backend){.store = index, .host = host, .dev = dev, .late = hung};
	store->lock_lost = sim_now();
	if (!store->open)
		store->open = backend;
	if (store->faults.mode == STORE_FENCED)
		store->faults.mode = STORE_GOOD;
	*info = (struct tcmu_backend_info){
		.caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE) |
			TCMU_IO_CAP(TCMU_IO_FLUSH) | store->caps,
		.thin = store->caps & TCMU_IO_CAP(TCMU_IO_UNMAP),
		.unmap_zeroes = store->unmap_zeroes,
		.fua = store->fua,
		.volatile_cache = store->is_volatile,
		.maximum_transfer = store->limit * BLOCK_SIZE,
	};
	(void) snprintf(info->claim, sizeof(info->claim), "store %s", config->target);
	*opened = backend;
	sim_trace("store %u is opened", index);
	return 0;
}

static void backend_close(void *opened)
{
	struct backend *backend = opened;
	struct store *store = store_at(backend->store);

	if (backend->closed)
		sim_fail("a backend is closed twice");
	if (backend->resizing)
		sim_fail("a backend is closed while it is resized");
	if (backend->in_flight)
		sim_fail(
			"a backend is closed while %u of its requests are in flight",
			backend->in_flight);
	backends_note_activity(backend->store);
	backend_take_time(backend->store, &store->faults.close_hangs);
	if (backend->in_flight)
		sim_fail("requests come while the backend is being closed");
	store_flush(store, sim_now());
	backend->closed = true;
	if (store->holder == backend)
		store->holder = NULL;
	if (store->open == backend)
		store->open = NULL;
	sim_trace("store %u is closed", backend->store);
}

static int backend_resize(
	void *opened, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct backend *backend = opened;
	const struct store *store = store_at(backend->store);

	(void) info, (void) reason;
	backend->resizing = true;
	backend_take_time(backend->store, &store->faults.resize_hangs);
	backend->resizing = false;
	if (store->faults.resize_fails || config->size > sizeof(store->now))
		return -ENOSPC;
	return 0;
}

void backends_report_size(unsigned index)
{
	const struct store *store = store_at(index);
	unsigned blocks = store->faults.blocks ? store->faults.blocks : STORE_BLOCKS;

	if (store->open)
		store->open->host->event(
			store->open->dev, TCMU_BACKEND_RESIZED, (int64_t) blocks * BLOCK_SIZE);
}

void backends_report(unsigned index, bool fenced)
{
	struct backend *backend = store_at(index)->open;

	if (!backend)
		return;
	backend->fenced = fenced;
	backend->host->event(
		backend->dev, fenced ? TCMU_BACKEND_FENCED : TCMU_BACKEND_FAILED,
		fenced ? -ESHUTDOWN : -EIO);
}

/* ------- locks ------- */

/* Where initiators do not say which host serves it, a command does that needs the lock. */
static void backend_check_lock_needed(const struct backend *backend)
{
	const struct store *store = store_at(backend->store);
	uint64_t needed = kernel_lock_needed(backend->store);

	if (needed + LOCK_NEED_NS < store->lock_lost)
		sim_fail(
			"store %u: the lock is taken, and no command needs it since it was lost",
			backend->store);
}

static void backend_hang_lock(const struct backend *backend)
{
	struct store_faults *faults = backends_faults(backend->store);

	while (faults->lock_hangs)
		(void) sim_block(faults, 0);
}

/* Seldom it takes long, and the rival may act meanwhile. */
static int backend_lock(void *opened, uint16_t tag, struct tcmu_reason *reason)
{
	struct backend *backend = opened;
	struct store *store = store_at(backend->store);

	backend_check_lock_needed(backend);
	sim_sleep((sim_chance(8) ? sim_choose(3000000) : sim_choose(3000)) * SIM_NS_PER_US);
	backend_hang_lock(backend);
	if (backend->fenced) {
		backend_report_fence(backend);
		return -ESHUTDOWN;
	}
	if (store->rival && sim_chance(6)) {
		(void) snprintf(reason->text, sizeof(reason->text), "the rival does not yield");
		return -EBUSY;
	}
	sim_trace("store %u: this host takes the lock", backend->store);
	store->rival = false;
	store->holder = backend;
	store->lock_tag = tag;
	backend->lost = false;
	sim_preempt();
	return 0;
}

static int backend_unlock(void *opened)
{
	struct backend *backend = opened;
	struct store *store = store_at(backend->store);

	while (backend_changes_in_flight(backend))
		sim_sleep(5 * SIM_NS_PER_MS);
	backend_hang_lock(backend);
	sim_trace("store %u: this host releases the lock", backend->store);
	if (store->holder == backend)
		store->holder = NULL;
	return 0;
}

static int backend_lock_state(void *opened, bool *ours, uint16_t *tag)
{
	struct backend *backend = opened;
	const struct store *store = store_at(backend->store);

	sim_sleep(sim_choose(3000) * SIM_NS_PER_US);
	backend_hang_lock(backend);
	if (backend->fenced) {
		backend_report_fence(backend);
		return -ESHUTDOWN;
	}
	*ours = store->holder == backend;
	*tag = store->holder ? store->lock_tag : store->rival ? 2 : 0;
	return 0;
}

/* ------- the table ------- */

static const struct tcmu_handler backend_handlers[] = {
	{
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(struct tcmu_handler),
		.subtype = "sima",
		.config_desc = "",
		.threading = TCMU_HANDLER_ASYNC,
		.flags = TCMU_HANDLER_SYSCALLS_ONLY | TCMU_HANDLER_REOPENS,
		.claim = backend_claim,
		.open = backend_open,
		.close = backend_close,
		.submit = backend_submit_async,
		.cancel = backend_cancel,
		.resize = backend_resize,
	},
	{
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(struct tcmu_handler),
		.subtype = "simp",
		.config_desc = "",
		.threading = TCMU_HANDLER_PARALLEL,
		.flags = TCMU_HANDLER_SYSCALLS_ONLY,
		.workers = 6,
		.claim = backend_claim,
		.open = backend_open,
		.close = backend_close,
		.submit = backend_submit_parallel,
		.resize = backend_resize,
	},
	{
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(struct tcmu_handler),
		.subtype = "simu",
		.config_desc = "",
		.threading = TCMU_HANDLER_ASYNC,
		.flags = TCMU_HANDLER_REOPENS,
		.claim = backend_claim,
		.open = backend_open,
		.close = backend_close,
		.submit = backend_submit_async,
		.cancel = backend_cancel,
		.resize = backend_resize,
	},
	{
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(struct tcmu_handler),
		.subtype = "siml",
		.config_desc = "",
		.threading = TCMU_HANDLER_ASYNC,
		.flags = TCMU_HANDLER_REOPENS,
		.claim = backend_claim,
		.open = backend_open,
		.close = backend_close,
		.submit = backend_submit_async,
		.cancel = backend_cancel,
		.resize = backend_resize,
		.lock = backend_lock,
		.unlock = backend_unlock,
		.lock_state = backend_lock_state,
	},
};
#define HANDLERS (sizeof(backend_handlers) / sizeof(backend_handlers[0]))

const char *backends_subtype(unsigned index)
{
	return index < HANDLERS ? backend_handlers[index].subtype : NULL;
}

void backends_add(struct handlers *handlers)
{
	struct tcmu_reason reason;

	for (unsigned i = 0; i < HANDLERS; i++)
		if (handlers_add(handlers, &backend_handlers[i], "the simulation", &reason) < 0)
			sim_fail("the handler is refused: %s", reason.text);
}
