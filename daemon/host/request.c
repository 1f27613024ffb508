/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that has ended is filled with a pattern, and is used again only after many others: so
 * what a handler does to it too late is noticed. Its memory stays the disk's until the end.
 */
#include "host/request.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/backend-limit.h"
#include "base/clock.h"
#include "config/handler-call.h"
#include "host/faults.h"
#include "host/pieces.h"
#include "host/violation.h"
#include "host/wake.h"

#define ALIGNMENT   16u
#define KEEP        64u
#define KEEP_STRICT 8192u
#define POISON      UINT64_C(0x5A5A5A5A5A5A5A5A)
#define POISON_BYTE 0x5A

/* ------- memory ------- */

static size_t request_round_up(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct host_request *request_allocate(struct tcmu_disk *disk, unsigned iov_max)
{
	size_t io_size = handler_call_sizes_of(disk->handler)->io;
	size_t base = request_round_up(
		MAX(sizeof(struct host_request), offsetof(struct host_request, io) + io_size));
	size_t priv = request_round_up(disk->handler->io_priv_size);
	struct host_request *request = g_malloc0(base + priv + iov_max * sizeof(struct iovec));

	request->disk = disk;
	request->priv = priv ? (char *) request + base : NULL;
	request->iov = (struct iovec *) ((char *) request + base + priv);
	request->iov_max = iov_max;
	return request;
}

static void request_poison(struct host_request *request)
{
	if (request->priv)
		memset(request->priv, POISON_BYTE, request->disk->handler->io_priv_size);
	memset(request->iov, POISON_BYTE, request->iov_max * sizeof(*request->iov));
	request->io.offset = POISON;
	request->io.length = POISON;
	request->io.result = POISON;
	request->io.result_flags = (uint32_t) POISON;
	request->io.iov = NULL;
}

static bool request_bytes_are_poison(const void *memory, size_t size)
{
	const unsigned char *byte = memory;

	for (size_t i = 0; i < size; i++)
		if (byte[i] != POISON_BYTE)
			return false;
	return true;
}

/* Whether the handler has left the request alone since it completed it. */
static void request_check_poison(const struct host_request *request)
{
	struct tcmu_disk *disk = request->disk;

	if (request->io.offset != POISON || request->io.length != POISON ||
	    request->io.result != POISON || request->io.result_flags != (uint32_t) POISON ||
	    request->io.iov)
		host_violation(disk, request, "changes a request after its completion");
	if (request->priv && !request_bytes_are_poison(request->priv, disk->handler->io_priv_size))
		host_violation(disk, request, "changes io->priv after the completion");
	if (!request_bytes_are_poison(request->iov, request->iov_max * sizeof(*request->iov)))
		host_violation(disk, request, "changes io->iov after the completion");
}

/* A request that ended long ago, or a new one. */
static struct host_request *request_get(struct tcmu_disk *disk, unsigned iov_cnt)
{
	unsigned keep = disk->setup.strict ? KEEP_STRICT : KEEP;
	struct host_request *request = NULL;

	pthread_mutex_lock(&disk->lock);
	if (disk->kept_cnt > keep) {
		request = list_entry(list_take(&disk->kept), struct host_request, kept);
		assert(request);
		disk->kept_cnt--;
	}
	pthread_mutex_unlock(&disk->lock);
	if (request) {
		request_check_poison(request);
		if (request->iov_max >= iov_cnt)
			return request;
		g_free(request);
	}
	return request_allocate(disk, MAX(iov_cnt, 4u));
}

void host_request_check_kept(struct tcmu_disk *disk)
{
	assert(disk->in_flight == 0);
	list_for_each (node, &disk->kept)
		request_check_poison(container_of(node, struct host_request, kept));
}

void host_request_free_kept(struct tcmu_disk *disk)
{
	struct host_request *request;

	assert(disk->in_flight == 0);
	while ((request = list_entry(list_take(&disk->kept), struct host_request, kept))) {
		request_check_poison(request);
		g_free(request);
	}
}

/* ------- what is in flight ------- */

static void request_list(struct host_request *request)
{
	struct tcmu_disk *disk = request->disk;

	assert(request->op && request->message.run);
	pthread_mutex_lock(&disk->lock);
	request->previous = NULL;
	request->next = disk->active;
	if (disk->active)
		disk->active->previous = request;
	disk->active = request;
	disk->in_flight++;
	pthread_mutex_unlock(&disk->lock);
}

static void request_unlist(struct host_request *request)
{
	struct tcmu_disk *disk = request->disk;

	pthread_mutex_lock(&disk->lock);
	assert(disk->in_flight > 0);
	if (request->previous)
		request->previous->next = request->next;
	else
		disk->active = request->next;
	if (request->next)
		request->next->previous = request->previous;
	list_append(&disk->kept, &request->kept);
	disk->kept_cnt++;
	if (--disk->in_flight == 0)
		pthread_cond_broadcast(&disk->idle);
	pthread_mutex_unlock(&disk->lock);
}

int tcmu_disk_drain(struct tcmu_disk *disk, unsigned milliseconds)
{
	uint64_t end = clock_now_ns() + (uint64_t) milliseconds * CLOCK_NS_PER_MS;
	struct timespec deadline = {
		.tv_sec = (time_t) (end / CLOCK_NS_PER_SEC),
		.tv_nsec = (long) (end % CLOCK_NS_PER_SEC)};
	int r = 0;

	assert(!host_thread_is_current(disk));
	pthread_mutex_lock(&disk->lock);
	while (disk->in_flight && r == 0)
		r = pthread_cond_clockwait(&disk->idle, &disk->lock, CLOCK_MONOTONIC, &deadline);
	r = disk->in_flight ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&disk->lock);
	return r;
}

void tcmu_disk_describe(struct tcmu_disk *disk, char *text, size_t size)
{
	uint64_t now = clock_now_ns();
	size_t used = 0;

	assert(size > 0);
	text[0] = '\0';
	pthread_mutex_lock(&disk->lock);
	for (const struct host_request *request = disk->active; request && used < size;
	     request = request->next) {
		char one[128];

		(void) host_describe(request, one, sizeof(one));
		used += (size_t) snprintf(
			text + used, size - used, "%s%s, for %" PRIu64 " ms", used ? "; " : "", one,
			clock_since(now, request->began) / CLOCK_NS_PER_MS);
	}
	pthread_mutex_unlock(&disk->lock);
}

/* ------- the beginning ------- */

static int request_check_range(const struct tcmu_disk *disk, const struct tcmu_disk_request *asked)
{
	uint64_t size = atomic_load(&disk->size);
	uint32_t block = disk->setup.block_size;

	assert(block > 0 && size % block == 0);
	if (asked->op == TCMU_IO_FLUSH || asked->op == TCMU_IO_COMMAND)
		return 0;
	if (!asked->length || asked->offset % block || asked->length % block ||
	    asked->length > backend_limit(&disk->info, asked->op))
		return -EINVAL;
	return asked->offset > size || asked->length > size - asked->offset ? -EINVAL : 0;
}

/* The bytes that the buffers of the request have. */
static uint64_t request_buffer_length(
	const struct tcmu_disk *disk, const struct tcmu_disk_request *asked)
{
	switch (asked->op) {
	case TCMU_IO_READ:
	case TCMU_IO_WRITE:
	case TCMU_IO_COMMAND:
		return asked->length;
	case TCMU_IO_COMPARE_AND_WRITE:
		return 2 * asked->length;
	case TCMU_IO_WRITE_SAME:
		return disk->setup.block_size;
	default:
		return 0;
	}
}

/* The capability that a handler needs for an operation. */
static uint64_t request_cap(enum tcmu_io_op op)
{
	return op == TCMU_IO_COMMAND ? TCMU_CAP_COMMANDS : TCMU_IO_CAP(op);
}

static int request_check(const struct tcmu_disk *disk, const struct tcmu_disk_request *asked)
{
	uint64_t length = 0;

	if (asked->op < TCMU_IO_READ || asked->op > TCMU_IO_COMMAND ||
	    (asked->op == TCMU_IO_COMMAND) != (asked->command != NULL) ||
	    (asked->command && asked->command->cdb_length > sizeof(asked->command->cdb)))
		return -EINVAL;
	if (!(disk->info.caps & request_cap(asked->op)))
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < asked->iov_cnt; i++)
		length += asked->iov[i].iov_len;
	if (length != request_buffer_length(disk, asked))
		return -EINVAL;
	return request_check_range(disk, asked);
}

static void request_on_worker(struct work *work)
{
	struct host_request *request = container_of(work, struct host_request, work);
	struct tcmu_disk *disk = request->disk;

	disk->handler->submit(disk->backend, &request->io);
}

static void request_note_submit(struct tcmu_disk *disk, uint64_t took)
{
	if (took > atomic_load_explicit(&disk->longest_submit, memory_order_relaxed))
		atomic_store(&disk->longest_submit, took);
}

/* On the I/O thread. */
static void request_begin(struct host_message *message)
{
	struct host_request *request = container_of(message, struct host_request, message);
	struct tcmu_disk *disk = request->disk;
	uint64_t before;

	assert(atomic_load(&request->phase) == HOST_IDLE);
	atomic_store(&request->phase, HOST_SUBMITTED);
	if (disk->workers) {
		request->work.run = request_on_worker;
		workers_queue(disk->workers, &request->work);
		return;
	}
	before = clock_now_ns();
	disk->handler->submit(disk->backend, &request->io);
	request_note_submit(disk, clock_since(clock_now_ns(), before));
}

/* The handler gets copies: it may write to the sense until it completes the request. */
static void request_set_command(struct host_request *request, struct tcmu_disk_command *command)
{
	request->command = command;
	request->io.cdb = NULL;
	request->io.sense = NULL;
	request->io.cdb_length = 0;
	request->io.status = 0;
	if (!command)
		return;
	assert(command->cdb_length <= sizeof(request->cdb));
	memcpy(request->cdb, command->cdb, sizeof(request->cdb));
	memset(request->sense, 0, sizeof(request->sense));
	request->io.cdb = request->cdb;
	request->io.cdb_length = command->cdb_length;
	request->io.sense = request->sense;
}

int tcmu_disk_submit(struct tcmu_disk *disk, const struct tcmu_disk_request *asked, uint64_t *id)
{
	struct tcmu_disk_request ours = {.size = sizeof(ours)};
	struct host_request *request;
	int r;

	memcpy(&ours, asked, MIN(asked->size, sizeof(ours)));
	r = request_check(disk, &ours);
	if (r < 0)
		return r;
	request = request_get(disk, ours.iov_cnt);
	if (ours.iov_cnt)
		memcpy(request->iov, ours.iov, ours.iov_cnt * sizeof(*ours.iov));
	request->done = ours.done;
	request->userdata = ours.userdata;
	request->op = ours.op;
	request->offset = ours.offset;
	request->length = ours.length;
	request->began = clock_now_ns();
	request->id = atomic_fetch_add(&disk->requests, 1) + 1;
	request->io.op = ours.op;
	request->io.flags = ours.flags;
	request->io.offset = ours.offset;
	request->io.length = ours.length;
	request->io.iov = request->iov;
	request->io.iov_cnt = ours.iov_cnt;
	request->io.result = ours.offset;
	request->io.result_flags = 0;
	request->io.priv = request->priv;
	request->io.host = &disk->host;
	request->io.dev = (struct tcmu_host_device *) disk;
	request_set_command(request, ours.command);
	host_pieces_prepare(request);
	request->message.run = request_begin;
	if (id)
		*id = request->id;
	request_list(request);
	host_thread_post(disk, &request->message);
	return 0;
}

/* ------- the end ------- */

void host_complete(struct tcmu_io *io, int error)
{
	struct host_request *request = host_request_of(io);
	struct tcmu_disk *disk = request->disk;
	enum host_phase expected = HOST_SUBMITTED;

	if (atomic_load(&disk->closed)) {
		host_violation(disk, NULL, "completes a request after close");
		return;
	}
	atomic_fetch_add(&disk->completing, 1);
	if (!atomic_compare_exchange_strong(&request->phase, &expected, HOST_COMPLETED)) {
		host_violation(disk, request, "completes a request twice");
	} else {
		if (error > 0)
			host_violation(disk, request, "completes a request with a positive number");
		request->error = error > 0 ? -EIO : error;
		mpsc_push(&disk->completed, &request->completed);
		host_thread_wake(disk);
	}
	atomic_fetch_sub(&disk->completing, 1);
}

unsigned host_request_run_completed(struct tcmu_disk *disk)
{
	struct mpsc_node *node = mpsc_take_all(&disk->completed);
	unsigned cnt = 0;

	for (; node; cnt++) {
		struct host_request *request = container_of(node, struct host_request, completed);
		uint64_t result = request->io.result;
		uint32_t flags = request->io.result_flags;

		node = node->next;
		assert(atomic_load(&request->phase) == HOST_COMPLETED);
		host_pieces_finish(request);
		if (request->command) {
			request->command->status = request->io.status;
			memcpy(request->command->sense, request->sense, sizeof(request->sense));
		}
		request_poison(request);
		atomic_store(&request->phase, HOST_IDLE);
		if (request->done)
			request->done(request->userdata, request->error, result, flags);
		request_unlist(request);
	}
	return cnt;
}

/* ------- cancellation ------- */

struct request_cancelling {
	struct host_message message;
	struct tcmu_disk *disk;
	uint64_t id;
};

static struct host_request *request_find(struct tcmu_disk *disk, uint64_t id)
{
	struct host_request *request;

	pthread_mutex_lock(&disk->lock);
	for (request = disk->active; request && request->id != id; request = request->next)
		;
	pthread_mutex_unlock(&disk->lock);
	return request;
}

/* On the I/O thread, which alone ends requests. */
static void request_cancel(struct host_message *message)
{
	struct request_cancelling *cancelling = container_of(
		message, struct request_cancelling, message);
	struct tcmu_disk *disk = cancelling->disk;
	struct host_request *request = request_find(disk, cancelling->id);

	g_free(cancelling);
	if (!request || atomic_load(&request->phase) != HOST_SUBMITTED)
		return;
	if (disk->workers && workers_cancel(disk->workers, &request->work) == 0) {
		host_complete(&request->io, -ECANCELED);
		return;
	}
	if (disk->engine) {
		aio_cancel(disk->engine, &request->io);
		host_faults_cancel(disk, request);
	}
	if (disk->handler->cancel)
		disk->handler->cancel(disk->backend, &request->io);
}

void tcmu_disk_cancel(struct tcmu_disk *disk, uint64_t id)
{
	struct request_cancelling *cancelling = g_new0(struct request_cancelling, 1);

	assert(id > 0);
	cancelling->disk = disk;
	cancelling->id = id;
	cancelling->message.run = request_cancel;
	host_thread_post(disk, &cancelling->message);
}

/* ------- one at a time ------- */

struct request_waiter {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
	int error;
	uint64_t result;
	uint32_t flags;
};

static void request_wake_waiter(void *userdata, int error, uint64_t result, uint32_t flags)
{
	struct request_waiter *waiter = userdata;

	pthread_mutex_lock(&waiter->lock);
	waiter->error = error;
	waiter->result = result;
	waiter->flags = flags;
	waiter->done = true;
	pthread_cond_signal(&waiter->ended);
	pthread_mutex_unlock(&waiter->lock);
}

int tcmu_disk_run(
	struct tcmu_disk *disk, const struct tcmu_disk_request *request, uint64_t *result,
	uint32_t *flags)
{
	struct request_waiter waiter = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
	struct tcmu_disk_request waited = {.size = sizeof(waited)};
	int r;

	assert(!host_thread_is_current(disk) && !request->done);
	memcpy(&waited, request, MIN(request->size, sizeof(waited)));
	waited.size = sizeof(waited);
	waited.done = request_wake_waiter;
	waited.userdata = &waiter;
	r = tcmu_disk_submit(disk, &waited, NULL);
	if (r < 0)
		return r;
	pthread_mutex_lock(&waiter.lock);
	while (!waiter.done)
		pthread_cond_wait(&waiter.ended, &waiter.lock);
	pthread_mutex_unlock(&waiter.lock);
	if (result)
		*result = waiter.result;
	if (flags)
		*flags = waiter.flags;
	return waiter.error;
}

int tcmu_disk_io(
	struct tcmu_disk *disk, enum tcmu_io_op op, uint32_t flags, uint64_t offset, void *buffer,
	uint64_t length)
{
	struct tcmu_disk_request request = {
		.size = sizeof(request),
		.op = op,
		.flags = flags,
		.offset = offset,
		.length = length};
	struct iovec iov = {.iov_base = buffer};

	iov.iov_len = request_buffer_length(disk, &request);
	request.iov = &iov;
	request.iov_cnt = iov.iov_len ? 1 : 0;
	return tcmu_disk_run(disk, &request, NULL, NULL);
}
