/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call without a fault goes to the engine as it is. One with a fault is made by a copy.
 */
#include "host/faults.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "config/handler-call.h"
#include "host/violation.h"
#include "host/wake.h"

/* A call with a fault. */
struct host_call {
	struct tcmu_aio aio; /* the copy; first member */
	struct tcmu_aio *asked;
	struct host_request *request;
	struct list_node node; /* of disk->stuck, delayed or ended */
	struct tcmu_disk_fault fault;
	uint64_t due;
	int64_t res;
};

/* The fault of the next call of this operation; kind 0: none. */
static struct tcmu_disk_fault faults_find(struct tcmu_disk *disk, enum tcmu_aio_op op)
{
	struct tcmu_disk_fault found = {.size = 0};

	pthread_mutex_lock(&disk->lock);
	assert(disk->fault_cnt <= HOST_FAULTS);
	for (unsigned i = 0; i < disk->fault_cnt; i++) {
		struct host_fault *rule = &disk->faults[i];

		if (rule->fault.op && rule->fault.op != op)
			continue;
		rule->seen++;
		if (rule->seen >= rule->fault.first &&
		    (!rule->fault.count || rule->seen - rule->fault.first < rule->fault.count))
			found = rule->fault;
	}
	pthread_mutex_unlock(&disk->lock);
	return found;
}

static void faults_end(struct host_call *call, int64_t res)
{
	call->res = res;
	list_append(&call->request->disk->ended, &call->node);
}

static void faults_on_result(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct host_call *call = container_of(aio, struct host_call, aio);

	(void) io;
	assert(host_thread_is_current(call->request->disk));
	if (call->fault.kind != TCMU_FAULT_DELAY) {
		faults_end(call, res);
		return;
	}
	call->res = res;
	call->due = clock_now_ns() + (uint64_t) call->fault.value * CLOCK_NS_PER_MS;
	list_append(&call->request->disk->delayed, &call->node);
}

/* The first bytes of the call's buffers. */
static void faults_shorten(struct host_call *call, uint64_t length)
{
	struct iovec *iov = g_memdup2(call->aio.iov, call->aio.iov_cnt * sizeof(*iov));
	unsigned cnt = 0;

	for (; cnt < call->aio.iov_cnt && length; cnt++) {
		iov[cnt].iov_len = MIN(iov[cnt].iov_len, length);
		length -= iov[cnt].iov_len;
	}
	call->aio.iov = iov;
	call->aio.iov_cnt = cnt;
}

static void faults_make(struct host_call *call)
{
	struct tcmu_disk *disk = call->request->disk;

	assert(host_thread_is_current(disk));
	call->aio.done = faults_on_result;
	aio_queue(disk->engine, &call->request->io, &call->aio);
}

static void faults_begin(struct host_call *call)
{
	bool transfers = call->aio.op == TCMU_AIO_READV || call->aio.op == TCMU_AIO_WRITEV;

	switch (call->fault.kind) {
	case TCMU_FAULT_FAIL:
		faults_end(call, call->fault.value);
		return;
	case TCMU_FAULT_STICK:
		list_append(&call->request->disk->stuck, &call->node);
		return;
	case TCMU_FAULT_SHORT:
		if (transfers)
			faults_shorten(call, (uint64_t) call->fault.value);
		break;
	case TCMU_FAULT_DELAY:
		break;
	}
	faults_make(call);
}

void host_aio(struct tcmu_io *io, struct tcmu_aio *aio)
{
	struct host_request *request = host_request_of(io);
	struct tcmu_disk *disk = request->disk;
	struct tcmu_disk_fault fault;
	struct host_call *call;

	if (!host_thread_is_current(disk) || !disk->engine) {
		host_violation(disk, request, "asks for a system call outside of its I/O thread");
		return;
	}
	if (atomic_load(&request->phase) != HOST_SUBMITTED) {
		host_violation(disk, request, "asks for a system call after its completion");
		return;
	}
	atomic_fetch_add(&disk->system_calls, 1);
	fault = faults_find(disk, aio->op);
	if (!fault.kind) {
		aio_queue(disk->engine, io, aio);
		return;
	}
	call = g_new0(struct host_call, 1);
	/* The plugin may be built with a shorter structure. */
	memcpy(&call->aio, aio, MIN(handler_call_sizes_of(disk->handler)->aio, sizeof(*aio)));
	call->asked = aio;
	call->request = request;
	call->fault = fault;
	faults_begin(call);
}

unsigned host_faults_run(struct tcmu_disk *disk)
{
	struct list all, ended;
	struct host_call *call;
	uint64_t now = list_is_empty(&disk->delayed) ? 0 : clock_now_ns();
	unsigned cnt = 0;

	list_move(&disk->delayed, &all);
	while ((call = list_entry(list_take(&all), struct host_call, node)))
		list_append(call->due <= now ? &disk->ended : &disk->delayed, &call->node);
	list_move(&disk->ended, &ended);
	for (; (call = list_entry(list_take(&ended), struct host_call, node)); cnt++) {
		call->asked->done(&call->request->io, call->asked, call->res);
		if (call->aio.iov != call->asked->iov && call->fault.kind == TCMU_FAULT_SHORT)
			g_free(call->aio.iov);
		g_free(call);
	}
	return cnt;
}

uint64_t host_faults_due(const struct tcmu_disk *disk)
{
	uint64_t due = 0;

	list_for_each (node, &disk->delayed) {
		const struct host_call *call = container_of(node, struct host_call, node);

		due = !due || call->due < due ? call->due : due;
	}
	return due;
}

void host_faults_cancel(struct tcmu_disk *disk, const struct host_request *request)
{
	struct host_call *call;
	struct list all;

	assert(host_thread_is_current(disk));
	list_move(&disk->stuck, &all);
	while ((call = list_entry(list_take(&all), struct host_call, node))) {
		if (call->request == request)
			faults_end(call, -ECANCELED);
		else
			list_append(&disk->stuck, &call->node);
	}
}

/* ------- any thread ------- */

void tcmu_disk_inject(struct tcmu_disk *disk, const struct tcmu_disk_fault *fault)
{
	struct tcmu_disk_fault ours = {.size = sizeof(ours)};

	memcpy(&ours, fault, MIN(fault->size, sizeof(ours)));
	pthread_mutex_lock(&disk->lock);
	assert(disk->fault_cnt < HOST_FAULTS);
	disk->faults[disk->fault_cnt++] = (struct host_fault){.fault = ours};
	pthread_mutex_unlock(&disk->lock);
}

void tcmu_disk_clear_faults(struct tcmu_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	disk->fault_cnt = 0;
	pthread_mutex_unlock(&disk->lock);
}

struct faults_unsticking {
	struct host_message message;
	struct tcmu_disk *disk;
};

static void faults_unstick(struct host_message *message)
{
	struct faults_unsticking *unsticking = container_of(
		message, struct faults_unsticking, message);
	struct host_call *call;
	struct list all;

	list_move(&unsticking->disk->stuck, &all);
	while ((call = list_entry(list_take(&all), struct host_call, node)))
		faults_make(call);
	g_free(unsticking);
}

void tcmu_disk_unstick(struct tcmu_disk *disk)
{
	struct faults_unsticking *unsticking = g_new0(struct faults_unsticking, 1);

	unsticking->disk = disk;
	unsticking->message.run = faults_unstick;
	host_thread_post(disk, &unsticking->message);
}
