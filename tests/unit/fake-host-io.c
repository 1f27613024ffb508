/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests, and the plugin's system calls: between what the plugin asks for and the engine there is
 * a call of ours, which faults can befall and whose end is told to the plugin when the turn's calls
 * have all ended.
 */
#include "fake-host-private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

/* A system call of the plugin's. */
struct fake_call {
	struct tcmu_aio aio; /* what the engine gets; first */
	struct tcmu_aio *asked;
	struct tcmu_io *io;
	struct fake_host *host;
	struct fake_call *next;
	struct iovec *iov;     /* a shorter one than asked for, or NULL */
	struct fake_rule rule; /* op 0: none */
	int64_t res;
	bool called;
};

static struct fake_io *fake_of(struct tcmu_io *io)
{
	return (struct fake_io *) ((char *) io - offsetof(struct fake_io, io));
}

static size_t page_ceil(size_t length)
{
	return (length + PAGE - 1) / PAGE * PAGE;
}

static void list_add(struct fake_call **list, struct fake_call *call)
{
	while (*list)
		list = &(*list)->next;
	call->next = NULL;
	*list = call;
}

static struct fake_call *list_take(struct fake_call **list)
{
	struct fake_call *call = *list;

	if (call)
		*list = call->next;
	return call;
}

/* ------- buffers ------- */

static void protect(struct fake_io *io, int protection)
{
	if (io->data && (io->host->handler->flags & TCMU_HANDLER_SYSCALLS_ONLY))
		assert_int_equal(mprotect(io->data, io->data_length, protection), 0);
}

static void protect_all(struct fake_host *host, int protection)
{
	for (struct fake_io *io = host->inside->active; io; io = io->next)
		protect(io, protection);
}

static size_t buffer_length(const struct fake_io *io)
{
	switch (io->io.op) {
	case TCMU_IO_COMPARE_AND_WRITE:
		return 2 * io->io.length;
	case TCMU_IO_WRITE_SAME:
		return FAKE_SAME_BLOCK;
	default:
		return io->io.length;
	}
}

struct fake_io *fake_io_new(
	struct fake_host *host, enum tcmu_io_op op, uint64_t offset, uint64_t length)
{
	struct fake_io *io = calloc(1, sizeof(*io));
	size_t priv = host->handler->io_priv_size;

	assert_non_null(io);
	io->host = host;
	io->io = (struct tcmu_io){.op = op, .offset = offset, .length = length};
	if (priv) {
		io->io.priv = aligned_alloc(16, (priv + 15) / 16 * 16);
		assert_non_null(io->io.priv);
		memset(io->io.priv, 0xA5, priv);
	}
	if (op == TCMU_IO_READ || op == TCMU_IO_WRITE || op == TCMU_IO_COMPARE_AND_WRITE ||
	    op == TCMU_IO_WRITE_SAME)
		fake_io_split(io, buffer_length(io), 0);
	return io;
}

void fake_io_split(struct fake_io *io, size_t piece, size_t gap)
{
	size_t length = buffer_length(io);
	size_t cnt = (length + piece - 1) / piece;
	uint8_t *next;

	if (io->data)
		munmap(io->data, io->data_length);
	free(io->iov);
	io->data_length = page_ceil(length + cnt * gap);
	io->data = mmap(
		NULL, io->data_length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_true(io->data != MAP_FAILED);
	memset(io->data, 0xEE, io->data_length);
	io->iov = calloc(cnt, sizeof(*io->iov));
	assert_non_null(io->iov);
	next = io->data;
	for (size_t i = 0; i < cnt; i++) {
		size_t part = length < piece ? length : piece;

		next += gap;
		io->iov[i] = (struct iovec){.iov_base = next, .iov_len = part};
		next += part;
		length -= part;
	}
	io->io.iov = io->iov;
	io->io.iov_cnt = (unsigned) cnt;
}

static void copy(struct fake_io *io, uint8_t *data, size_t length, bool out)
{
	for (unsigned i = 0; length; i++) {
		size_t part = io->iov[i].iov_len < length ? io->iov[i].iov_len : length;

		if (out)
			memcpy(data, io->iov[i].iov_base, part);
		else
			memcpy(io->iov[i].iov_base, data, part);
		data += part;
		length -= part;
	}
}

void fake_io_fill(struct fake_io *io, const void *data, size_t length)
{
	copy(io, (uint8_t *) data, length, false);
}

void fake_io_fetch(struct fake_io *io, void *data, size_t length)
{
	copy(io, data, length, true);
}

/* ------- requests ------- */

static void submit_on_worker(struct work *work)
{
	struct fake_io *io = (struct fake_io *) ((char *) work - offsetof(struct fake_io, work));

	io->host->handler->submit(io->host->inside->backend, &io->io);
}

/* Its own copy of the pieces, which the plugin may change. */
static void copy_iov(struct fake_io *io)
{
	size_t size = io->io.iov_cnt * sizeof(*io->iov);

	if (!size)
		return;
	io->own_iov = malloc(size);
	assert_non_null(io->own_iov);
	memcpy(io->own_iov, io->iov, size);
	io->io.iov = io->own_iov;
}

void fake_io_submit(struct fake_io *io)
{
	struct fake_inside *inside = io->host->inside;

	assert_non_null(inside->backend);
	assert_false(io->submitted);
	copy_iov(io);
	io->io.host = &inside->host;
	io->io.dev = (struct tcmu_host_device *) io->host;
	io->submitted = true;
	protect(io, PROT_NONE);
	pthread_mutex_lock(&inside->lock);
	io->next = inside->active;
	inside->active = io;
	inside->in_flight++;
	pthread_mutex_unlock(&inside->lock);
	io->work.run = submit_on_worker;
	if (inside->workers)
		workers_queue(inside->workers, &io->work);
	else
		io->host->handler->submit(inside->backend, &io->io);
}

void fake_complete(struct tcmu_io *io, int error)
{
	struct fake_io *fake = fake_of(io);
	struct fake_inside *inside = fake->host->inside;
	struct fake_io **link = &inside->active;

	pthread_mutex_lock(&inside->lock);
	if (fake->done)
		fail_msg("a request was completed twice");
	if (error > 0)
		fail_msg("a request was completed with %d", error);
	while (*link != fake)
		link = &(*link)->next;
	*link = fake->next;
	inside->in_flight--;
	protect(fake, PROT_READ | PROT_WRITE);
	/* From now on it is not the plugin's any more. */
	if (io->priv)
		memset(io->priv, 0x5A, fake->host->handler->io_priv_size);
	free(fake->own_iov);
	io->iov = NULL;
	fake->error = error;
	fake->done = true;
	pthread_cond_broadcast(&inside->completed);
	pthread_mutex_unlock(&inside->lock);
}

int fake_io_wait(struct fake_io *io)
{
	struct fake_inside *inside = io->host->inside;

	fake_turn(io->host);
	pthread_mutex_lock(&inside->lock);
	if (inside->engine && inside->stuck && !io->done)
		fail_msg("a request waits for what is stuck");
	while (!io->done)
		pthread_cond_wait(&inside->completed, &inside->lock);
	pthread_mutex_unlock(&inside->lock);
	return io->error;
}

void fake_io_cancel(struct fake_io *io)
{
	struct fake_inside *inside = io->host->inside;
	struct fake_call *stuck = inside->stuck;
	struct fake_call *call;

	inside->stuck = NULL;
	while ((call = list_take(&stuck))) {
		bool stops = call->io == &io->io && !call->called;

		if (stops)
			call->res = -ECANCELED;
		list_add(stops ? &inside->ended : &inside->stuck, call);
	}
	fake_io_cancel_late(io);
}

void fake_io_cancel_late(struct fake_io *io)
{
	if (!io->done && io->host->handler->cancel)
		io->host->handler->cancel(io->host->inside->backend, &io->io);
}

void fake_io_free(struct fake_io *io)
{
	assert_true(!io->submitted || io->done);
	if (io->data)
		munmap(io->data, io->data_length);
	free(io->iov);
	free(io->io.priv);
	free(io);
}

/* ------- system calls ------- */

void fake_aio(struct tcmu_io *io, struct tcmu_aio *aio)
{
	struct fake_host *host = fake_of(io)->host;
	struct fake_call *call = calloc(1, sizeof(*call));

	assert_non_null(call);
	assert_true(aio->op > 0 && aio->op < FAKE_AIO_OPS);
	assert_false(fake_of(io)->done);
	call->aio = *aio;
	call->asked = aio;
	call->io = io;
	call->host = host;
	host->calls[aio->op]++;
	host->last[aio->op] = *aio;
	list_add(&host->inside->asked, call);
}

/* What befalls this call. */
static struct fake_rule find_rule(struct fake_inside *inside, enum tcmu_aio_op op)
{
	struct fake_rule found = {.always = false};

	for (unsigned i = 0; i < inside->rule_cnt; i++) {
		struct fake_rule *rule = &inside->rules[i];

		if (rule->op == op && (rule->always || (rule->nth && --rule->nth == 0)))
			found = *rule;
	}
	return found;
}

static void ended(struct fake_call *call, int64_t res)
{
	call->res = res;
	list_add(&call->host->inside->ended, call);
}

static void called(struct tcmu_io *io, struct tcmu_aio *aio, int64_t res)
{
	struct fake_call *call = (struct fake_call *) aio;

	(void) io;
	call->called = true;
	if (call->rule.op && call->rule.fault == FAKE_RESULT)
		res = call->rule.value;
	if (call->rule.op && call->rule.fault == FAKE_DELAY) {
		call->res = res;
		list_add(&call->host->inside->stuck, call);
	} else {
		ended(call, res);
	}
}

static void shorten(struct fake_call *call, size_t length)
{
	unsigned cnt = 0;

	call->iov = malloc(call->aio.iov_cnt * sizeof(*call->iov));
	assert_non_null(call->iov);
	for (; cnt < call->aio.iov_cnt && length; cnt++) {
		call->iov[cnt] = call->aio.iov[cnt];
		if (call->iov[cnt].iov_len > length)
			call->iov[cnt].iov_len = length;
		length -= call->iov[cnt].iov_len;
	}
	call->aio.iov = call->iov;
	call->aio.iov_cnt = cnt;
}

static void make_call(struct fake_call *call)
{
	call->aio.done = called;
	aio_queue(call->host->inside->engine, call->io, &call->aio);
}

static void begin_call(struct fake_call *call)
{
	call->rule = find_rule(call->host->inside, call->aio.op);
	if (call->rule.op && call->rule.fault == FAKE_FAIL) {
		ended(call, call->rule.value);
	} else if (call->rule.op && call->rule.fault == FAKE_STICK) {
		list_add(&call->host->inside->stuck, call);
	} else {
		if (call->rule.op && call->rule.fault == FAKE_SHORT)
			shorten(call, (size_t) call->rule.value);
		make_call(call);
	}
}

static void run_engine(struct aio_engine *engine)
{
	while (aio_in_flight(engine)) {
		struct pollfd ready = {.fd = aio_engine_fd(engine), .events = POLLIN};

		aio_flush(engine);
		if (aio_reap(engine) == 0 && aio_in_flight(engine))
			(void) poll(&ready, 1, -1);
	}
}

/* Tells the plugin what has ended. */
static void tell(struct fake_inside *inside)
{
	struct fake_call *call;

	while ((call = list_take(&inside->ended))) {
		call->host->last_result[call->aio.op] = call->res;
		call->asked->done(call->io, call->asked, call->res);
		free(call->iov);
		free(call);
	}
}

void fake_turn(struct fake_host *host)
{
	struct fake_inside *inside = host->inside;

	while (inside->engine &&
	       (inside->asked || inside->ended || aio_in_flight(inside->engine))) {
		struct fake_call *asked = inside->asked;
		struct fake_call *call;

		inside->asked = NULL;
		while ((call = list_take(&asked)))
			begin_call(call);
		protect_all(host, PROT_READ | PROT_WRITE);
		run_engine(inside->engine);
		protect_all(host, PROT_NONE);
		tell(inside);
	}
}

/* ------- whole requests ------- */

static int run(struct fake_io *io)
{
	fake_io_submit(io);
	return fake_io_wait(io);
}

int fake_read(struct fake_host *host, uint64_t offset, void *data, size_t length)
{
	struct fake_io *io = fake_io_new(host, TCMU_IO_READ, offset, length);
	int r = run(io);

	fake_io_fetch(io, data, length);
	fake_io_free(io);
	return r;
}

int fake_write(
	struct fake_host *host, uint64_t offset, const void *data, size_t length, uint32_t flags)
{
	struct fake_io *io = fake_io_new(host, TCMU_IO_WRITE, offset, length);
	int r;

	io->io.flags = flags;
	fake_io_fill(io, data, length);
	r = run(io);
	fake_io_free(io);
	return r;
}

int fake_do(
	struct fake_host *host, enum tcmu_io_op op, uint64_t offset, uint64_t length,
	uint32_t flags)
{
	struct fake_io *io = fake_io_new(host, op, offset, length);
	int r;

	io->io.flags = flags;
	r = run(io);
	fake_io_free(io);
	return r;
}

/* ------- faults ------- */

static struct fake_rule *new_rule(
	struct fake_host *host, enum tcmu_aio_op op, enum fake_fault fault, int64_t value)
{
	struct fake_inside *inside = host->inside;
	struct fake_rule *rule = &inside->rules[inside->rule_cnt++];

	assert_true(inside->rule_cnt <= FAKE_FAULTS);
	*rule = (struct fake_rule){.op = op, .fault = fault, .value = value};
	return rule;
}

void fake_fault(
	struct fake_host *host, enum tcmu_aio_op op, unsigned nth, enum fake_fault fault,
	int64_t value)
{
	new_rule(host, op, fault, value)->nth = nth;
}

void fake_fault_always(
	struct fake_host *host, enum tcmu_aio_op op, enum fake_fault fault, int64_t value)
{
	new_rule(host, op, fault, value)->always = true;
}

void fake_no_faults(struct fake_host *host)
{
	host->inside->rule_cnt = 0;
}

void fake_unstick(struct fake_host *host)
{
	struct fake_inside *inside = host->inside;
	struct fake_call *stuck = inside->stuck;
	struct fake_call *call;

	inside->stuck = NULL;
	while ((call = list_take(&stuck))) {
		if (call->called) {
			list_add(&inside->ended, call);
		} else {
			/* It is asked for again, and nothing befalls it this time. */
			call->rule.op = 0;
			make_call(call);
		}
	}
}

void fake_end_stuck(struct fake_host *host, int64_t res)
{
	struct fake_call *call;

	while ((call = list_take(&host->inside->stuck))) {
		call->res = res;
		list_add(&host->inside->ended, call);
	}
}

unsigned fake_stuck(const struct fake_host *host)
{
	unsigned cnt = 0;

	for (struct fake_call *call = host->inside->stuck; call; call = call->next)
		cnt++;
	return cnt;
}
