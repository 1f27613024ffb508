/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of an export, a thread: it sends requests, takes answers, notices a server that is
 * gone or does not answer, and repeats what was in flight on the next session. Every command of NBD
 * may be carried out twice with the same result, so it is safe to repeat one whose answer was lost.
 * While it waits for answers, the I/O thread sends by itself: two threads that wake each other for
 * each request cost more than the request.
 *
 * After a reconnection the writes of the journal come first, one after the other in their order;
 * then what was in flight, and then what has come meanwhile.
 *
 * Nothing here blocks. So a server that hangs holds neither a request longer than its time limit
 * nor a close. A request that is sent uses the daemon's buffer: to take that back, the session is
 * dropped.
 */
#include "client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "send.h"

#define TICK_MS        250u /* the period in which time limits are checked */
#define PASSED_MAX_MS  500
#define CLOSE_MS       8000u /* for the flush of a close */
#define BYE_MS         200u
#define PAUSE_SLACK_NS 5000UL /* a pause may take so much longer; 50 us by default */
#define READS_MAX      16u    /* times that a connection is read before the next one */
#define AT_ONCE_MAX    (UINT64_C(64) << 10) /* bytes of a WRITE that the I/O thread sends */

/* ------- the daemon's side ------- */

static void client_wake(const struct remote *remote)
{
	uint64_t one = 1;
	ssize_t written = write(remote->wake_fd, &one, sizeof(one));

	assert(written == sizeof(one));
	(void) written;
}

/* On the I/O thread, so that the request stays while this runs. */
void remote_cancel(void *backend, struct tcmu_io *io)
{
	struct remote *remote = backend;
	struct remote_request *request = io->priv;

	atomic_store(&request->cancelled, true);
	atomic_store(&remote->cancelling, true);
	client_wake(remote);
}

void remote_abandon(void *backend)
{
	struct remote *remote = backend;

	atomic_store(&remote->abandoned, true);
	client_wake(remote);
}

static void client_count(struct remote *remote, enum remote_counter counter, uint64_t number)
{
	tcmu_counter_add(remote->counters, counter, number);
}

static void client_log(
	struct remote *remote, enum tcmu_log_level level, const char *what, const char *why)
{
	char text[400];

	(void) snprintf(text, sizeof(text), "%s%s%s", what, why[0] ? ": " : "", why);
	remote->host->log(remote->dev, level, text);
}

static void client_say_health(struct remote *remote, const char *text)
{
	if (strcmp(remote->health, text) == 0)
		return;
	(void) snprintf(remote->health, sizeof(remote->health), "%s", text);
	if (TCMU_HOST_HAS(remote->host, health))
		remote->host->health(remote->dev, text[0] ? remote->health : NULL);
}

/* ------- the end of a request ------- */

static bool changes_data(const struct remote_request *request)
{
	return request->op == TCMU_IO_WRITE || request->op == TCMU_IO_UNMAP ||
		request->op == TCMU_IO_WRITE_ZEROES;
}

static void client_fail(struct remote *remote, int error)
{
	assert(error < 0);
	if (remote->failed)
		return;
	remote->failed = true;
	remote->host->event(remote->dev, TCMU_BACKEND_FAILED, error);
}

/* A change that the server has answered. One with FUA is stable; but it may not be overtaken by
 * the repetition of an earlier one. */
static void journal_change(struct remote *remote, struct remote_request *request)
{
	bool stable = (request->flags & TCMU_IO_FUA) && remote->export.fua;

	if (!stable || !journal_is_empty(&remote->journal))
		journal_add(
			&remote->journal, request->op, request->flags, request->offset,
			request->length, request->data);
}

static void client_end(struct remote *remote, struct remote_request *request, int error)
{
	struct tcmu_io *io = request->io;

	assert(io && request->kind == REMOTE_DAEMON);
	if (request->reserved) {
		journal_unreserve(&remote->journal, request->reserved);
		if (!error)
			journal_change(remote, request);
	}
	if (request->op == TCMU_IO_FLUSH && !error)
		journal_release(&remote->journal, request->mark);
	if (error && request->op != TCMU_IO_MAP)
		io->result = request->offset + request->done;
	tcmu_io_complete(io, error);
}

/* ------- answers ------- */

static void end_own_flush(struct remote *remote, const struct remote_request *request)
{
	remote->flushing = false;
	if (request->error)
		client_fail(remote, request->error);
	else
		journal_release(&remote->journal, request->mark);
}

static void send_next_replay(struct remote *remote);

static void end_replay(struct remote *remote, const struct remote_request *request)
{
	remote->replaying = false;
	client_count(remote, REMOTE_COUNT_REPLAYED, 1);
	if (request->error && remote_outcome(request->op, request->error) < 0)
		client_fail(remote, request->error);
	else
		send_next_replay(remote);
}

static void end_map(struct remote *remote, struct remote_request *request)
{
	bool mapped;
	uint64_t run = remote_extents_end(&request->extents, &mapped);

	request->io->result = run;
	request->io->result_flags = mapped ? TCMU_IO_MAPPED : 0;
	client_end(remote, request, run ? 0 : -EIO);
}

/* The step of a request of the daemon has ended with an answer. */
static void end_step(struct remote *remote, struct remote_request *request)
{
	int error = remote_outcome(request->op, request->error);

	if (error == 0 && request->op == TCMU_IO_MAP) {
		end_map(remote, request);
		return;
	}
	if (error == 0)
		request->done += request->step;
	if (error == 0 && request->done < request->length) {
		struct remote_list list = {.first = NULL};

		remote_list_add(&list, request);
		remote_list_prepend(&remote->waiting, &list);
		return;
	}
	if (error && request->op == TCMU_IO_FLUSH) {
		client_fail(remote, error);
		error = -EIO; /* whatever it is: a repetition does not restore lost data */
	}
	client_end(remote, request, error);
}

static void client_take_answers(struct remote *remote)
{
	struct remote_request *request;

	while ((request = remote->answered.first)) {
		remote_list_remove(&remote->answered, request);
		if (remote_is_lost(request->error)) {
			remote->lost = true;
			remote_list_add(&remote->sent, request); /* to be repeated */
		} else if (request->kind == REMOTE_FLUSH) {
			end_own_flush(remote, request);
		} else if (request->kind == REMOTE_REPLAY) {
			end_replay(remote, request);
		} else {
			end_step(remote, request);
		}
	}
}

/* ------- the handler's own requests ------- */

static void start_own(struct remote *remote, struct remote_request *request)
{
	int r;

	request->remote = remote;
	request->began = remote->clock_ms;
	r = remote_send(remote, request);
	if (r == 0)
		return;
	request->error = r;
	remote_list_add(&remote->answered, request);
}

static void send_own_flush(struct remote *remote)
{
	if (remote->flushing || !remote->up || remote->replaying)
		return;
	remote->flushing = true;
	remote->flush = (struct remote_request){.kind = REMOTE_FLUSH, .op = TCMU_IO_FLUSH};
	start_own(remote, &remote->flush);
}

static void send_next_replay(struct remote *remote)
{
	struct journal_entry *entry = journal_next(&remote->journal, &remote->replay_position);

	assert(!remote->replaying);
	if (!entry)
		return;
	remote->replaying = true;
	remote->replay = (struct remote_request){
		.kind = REMOTE_REPLAY,
		.op = (enum tcmu_io_op) entry->op,
		.flags = entry->flags,
		.offset = entry->offset,
		.length = entry->length,
		.data = entry->op == TCMU_IO_WRITE ? entry->data : NULL};
	start_own(remote, &remote->replay);
}

/* ------- sending ------- */

static bool has_expired(const struct remote *remote, const struct remote_request *request)
{
	return remote->timeout_ms && remote->clock_ms - request->began >= remote->timeout_ms;
}

/* A request that waits ends without its turn. */
static void end_unsent(struct remote *remote, struct remote_request *request)
{
	int error = request->sent ? -ETIMEDOUT : -EBUSY;

	if (atomic_load(&request->cancelled))
		error = -ECANCELED;
	else
		client_count(remote, REMOTE_COUNT_TIMED_OUT, 1);
	client_end(remote, request, error);
}

/* Whether it may be sent now. An own flush makes room in the journal. */
static bool reserve_change(struct remote *remote, struct remote_request *request)
{
	if (!remote->journal.capacity || !changes_data(request) || request->reserved)
		return true;
	request->reserved = journal_reserve(
		&remote->journal, request->op == TCMU_IO_WRITE ? request->length : 0);
	return request->reserved != 0;
}

static int check_request(const struct remote *remote, const struct remote_request *request)
{
	if (request->op == TCMU_IO_FLUSH)
		return remote->failed ? -EIO : 0;
	if (remote->failed && changes_data(request))
		return -EIO;
	if (request->offset + request->length > atomic_load(&remote->size))
		return -EIO; /* the export has become smaller */
	return 0;
}

static void send_waiting(struct remote *remote)
{
	struct remote_request *request, *next;

	for (request = remote->waiting.first; request && !remote->lost; request = next) {
		int r = check_request(remote, request);

		next = request->next;
		if (r == 0 && !reserve_change(remote, request)) {
			send_own_flush(remote);
			continue;
		}
		remote_list_remove(&remote->waiting, request);
		if (r < 0) {
			client_end(remote, request, r);
			continue;
		}
		r = remote_send(remote, request);
		if (r < 0) {
			request->error = r;
			remote_list_add(&remote->answered, request);
			client_take_answers(remote);
		}
	}
}

static void client_send(struct remote *remote)
{
	if (!remote->up || remote->lost || remote->replaying)
		return;
	if (remote->failed && remote->replay_position < remote->journal.tail)
		remote->replay_position = remote->journal.tail;
	if (remote->waiting.first) {
		remote->used = remote->ticking = true;
		send_waiting(remote);
	}
	if (remote->journal.capacity && !remote->failed &&
	    (journal_wants_flush(&remote->journal) ||
	     (atomic_load(&remote->ending) && !journal_is_empty(&remote->journal))))
		send_own_flush(remote);
}

/* ------- sessions ------- */

/* All that was sent waits again, with its whole length: what a server has carried out, it may have
 * lost. */
static void client_requeue(struct remote *remote)
{
	struct remote_list again = {.first = NULL};
	struct remote_request *request, *next;

	for (request = remote->sent.first; request; request = next) {
		next = request->next;
		if (request->kind != REMOTE_DAEMON)
			continue;
		request->done = 0;
		remote_list_add(&again, request);
		client_count(remote, REMOTE_COUNT_RETRIED, 1);
	}
	remote->sent.first = remote->sent.last = NULL;
	remote->flushing = remote->replaying = false;
	/* A request in `waiting` with a part that is done begins again, too. */
	for (request = remote->waiting.first; request; request = request->next)
		request->done = 0;
	remote_list_prepend(&remote->waiting, &again);
}

static void client_disconnect(struct remote *remote)
{
	assert(remote->up && !remote->answered.first);
	remote->dropping = true;
	session_drop(&remote->session);
	remote->dropping = false;
	remote->up = remote->lost = false;
	memset(remote->in_flight, 0, sizeof(remote->in_flight));
	tcmu_counter_set(remote->counters, REMOTE_COUNT_CONNECTIONS, 0);
	client_requeue(remote);
}

static void client_lose_session(struct remote *remote, const char *why)
{
	char text[128];

	(void) snprintf(text, sizeof(text), "%s; reconnecting", why);
	client_log(remote, TCMU_LOG_WARNING, text, "");
	client_say_health(remote, text);
	client_disconnect(remote);
	connector_want(remote->connector);
}

/* Whether the new session can serve what the daemon knows of the export. NULL: it can. */
static const char *find_difference(const struct remote *remote, const struct remote_export *now)
{
	const struct remote_export *then = &remote->export;

	if (now->read_only && !then->read_only)
		return "the export has become read-only";
	if (now->minimum > remote->block_size || now->maximum < then->maximum)
		return "the server's block sizes have changed";
	if ((then->flush && !now->flush) || (then->fua && !now->fua) ||
	    (then->trim && !now->trim) || (then->zero && !now->zero) || (then->map && !now->map) ||
	    (!then->flush && now->flush && !then->read_only))
		return "the server has other capabilities than before";
	return NULL;
}

static void client_note_size(struct remote *remote, uint64_t size)
{
	if (atomic_exchange(&remote->size, size) != size)
		remote->host->event(remote->dev, TCMU_BACKEND_RESIZED, (int64_t) size);
}

static void client_take_session(struct remote *remote)
{
	const char *difference;

	if (remote->up || !connector_take(remote->connector, &remote->session))
		return;
	difference = find_difference(remote, &remote->session.export);
	if (difference) {
		if (strcmp(remote->health, difference) != 0)
			client_log(
				remote, TCMU_LOG_ERROR, difference,
				"reopen the device, or restore the export");
		client_say_health(remote, difference);
		session_drop(&remote->session);
		connector_want(remote->connector);
		return;
	}
	remote->up = true;
	client_log(remote, TCMU_LOG_INFO, "connected to the server again", "");
	client_say_health(remote, "");
	client_count(remote, REMOTE_COUNT_RECONNECTED, 1);
	tcmu_counter_set(remote->counters, REMOTE_COUNT_CONNECTIONS, remote->session.count);
	client_note_size(remote, remote->session.export.size);
	remote->replay_position = remote->journal.head;
	if (!remote->failed)
		send_next_replay(remote);
}

static void client_say_reason(struct remote *remote)
{
	struct tcmu_reason reason;
	char text[128];

	if (remote->up)
		return;
	connector_reason(remote->connector, &reason);
	if (!reason.text[0])
		return;
	(void) snprintf(text, sizeof(text), "reconnecting: %.100s", reason.text);
	client_say_health(remote, text);
}

/* ------- limits ------- */

static void client_end_waiting(struct remote *remote, bool all)
{
	struct remote_request *request, *next;

	for (request = remote->waiting.first; request; request = next) {
		next = request->next;
		if (!all && !has_expired(remote, request) && !atomic_load(&request->cancelled))
			continue;
		remote_list_remove(&remote->waiting, request);
		end_unsent(remote, request);
	}
}

static bool sent_has_expired(const struct remote *remote)
{
	const struct remote_request *request;

	for (request = remote->sent.first; request; request = request->next)
		if (has_expired(remote, request))
			return true;
	return false;
}

static void client_check_limits(struct remote *remote)
{
	if (remote->clock_ms < remote->tick_ms)
		return;
	remote->tick_ms = remote->clock_ms + TICK_MS;
	remote->ticking = remote->used;
	remote->used = false;
	tcmu_counter_set(
		remote->counters, REMOTE_COUNT_UNFLUSHED,
		remote->journal.tail - remote->journal.head);
	if (remote->up && sent_has_expired(remote))
		client_lose_session(remote, "the server does not answer");
	client_end_waiting(remote, false);
}

static void client_abandon(struct remote *remote)
{
	if (remote->up)
		client_disconnect(remote);
	client_end_waiting(remote, true);
}

/* A process that was stopped has not waited for the server meanwhile. Returns the time in ns. */
static uint64_t client_advance_clock(struct remote *remote)
{
	struct timespec now;
	int64_t ms, passed;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
	passed = ms - remote->last_ms;
	remote->last_ms = ms;
	remote->clock_ms += passed < PASSED_MAX_MS ? (uint64_t) passed : PASSED_MAX_MS;
	return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

/* ------- submit, on the I/O thread ------- */

/* The client thread waits, and goes on waiting for the right things: for answers, and for the next
 * check of time limits. Long data and TLS take processor time, which that thread has beside this
 * one. */
static bool may_send_at_once(const struct remote *remote, const struct remote_request *request)
{
	return remote->up && !remote->lost && !remote->replaying && remote->ticking &&
		!remote->session.export.tls &&
		(request->op != TCMU_IO_WRITE || request->length <= AT_ONCE_MAX) &&
		!atomic_load(&remote->abandoned);
}

/* A bit for each connection on which less was sent than there is. */
static unsigned client_blocked(const struct remote *remote)
{
	unsigned blocked = 0;

	for (unsigned i = 0; i < remote->session.count; i++)
		if (nbd_aio_get_direction(remote->session.handles[i]) & LIBNBD_AIO_DIRECTION_WRITE)
			blocked |= 1u << i;
	return blocked;
}

/* Whether the client thread has something to do or to wait for that it does not know of. */
static bool client_is_needed(const struct remote *remote)
{
	return remote->lost || (client_blocked(remote) & ~remote->blocked);
}

/* False: nothing has happened. */
static bool submit_at_once(struct remote *remote, struct remote_request *request)
{
	bool may, wake = false;

	if (pthread_mutex_trylock(&remote->client) != 0)
		return false;
	may = may_send_at_once(remote, request);
	if (may) {
		(void) client_advance_clock(remote);
		request->began = remote->clock_ms;
		remote_list_add(&remote->waiting, request);
		client_send(remote);
		client_take_answers(remote);
		wake = client_is_needed(remote);
	}
	pthread_mutex_unlock(&remote->client);
	if (wake)
		client_wake(remote);
	return may;
}

/* Leaves the request to the client thread. */
static void submit_to_client(struct remote *remote, struct remote_request *request)
{
	bool asleep;

	pthread_mutex_lock(&remote->lock);
	if (remote->submitted)
		remote->submitted_last->next = request;
	else
		remote->submitted = request;
	remote->submitted_last = request;
	asleep = remote->asleep;
	remote->asleep = false;
	pthread_mutex_unlock(&remote->lock);
	if (asleep)
		client_wake(remote);
}

void remote_submit(void *backend, struct tcmu_io *io)
{
	struct remote *remote = backend;
	struct remote_request *request = io->priv;

	assert(io->iov_cnt <= 1); /* TCMU_HANDLER_FLAT */
	*request = (struct remote_request){
		.io = io,
		.remote = remote,
		.op = io->op,
		.flags = io->flags,
		.offset = io->offset,
		.length = io->op == TCMU_IO_FLUSH ? 0 : io->length,
		.data = io->iov_cnt ? io->iov[0].iov_base : NULL};
	if (!submit_at_once(remote, request))
		submit_to_client(remote, request);
}

/* ------- the thread ------- */

/* Moves what was submitted to `waiting`. will_sleep: the next submit must wake the thread, unless
 * there is something now. Returns whether there was something. */
static bool client_fetch(struct remote *remote, bool will_sleep)
{
	struct remote_request *request, *next;

	pthread_mutex_lock(&remote->lock);
	request = remote->submitted;
	remote->submitted = NULL;
	remote->asleep = will_sleep && !request;
	pthread_mutex_unlock(&remote->lock);
	if (!request)
		return false;
	for (; request; request = next) {
		next = request->next;
		request->began = remote->clock_ms;
		remote_list_add(&remote->waiting, request);
	}
	return true;
}

/* Whether an answer is there: libnbd may only be called to read what can be read. */
static bool client_is_readable(struct nbd_handle *nbd)
{
	int bytes = 0;

	return ioctl(nbd_aio_get_fd(nbd), FIONREAD, &bytes) == 0 && bytes > 0;
}

static void client_serve(struct remote *remote, unsigned connection, short revents)
{
	struct nbd_handle *nbd = remote->session.handles[connection];
	unsigned direction = nbd_aio_get_direction(nbd);
	int r = 0;

	if ((revents & (POLLIN | POLLHUP | POLLERR)) && (direction & LIBNBD_AIO_DIRECTION_READ)) {
		r = nbd_aio_notify_read(nbd);
		for (unsigned i = 1; i < READS_MAX && r == 0 && remote->in_flight[connection] &&
		     client_is_readable(nbd);
		     i++)
			r = nbd_aio_notify_read(nbd);
	} else if (revents) {
		r = nbd_aio_notify_write(nbd);
	}
	if (r < 0 || nbd_aio_is_dead(nbd) > 0 || nbd_aio_is_closed(nbd) > 0)
		remote->lost = true;
}

static int client_timeout(const struct remote *remote)
{
	if (!remote->waiting.first && !remote->sent.first && !remote->ticking &&
	    !atomic_load(&remote->ending))
		return -1;
	return remote->tick_ms > remote->clock_ms ? (int) (remote->tick_ms - remote->clock_ms) : 0;
}

static unsigned client_count_in_flight(const struct remote *remote)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < remote->session.count; i++)
		sum += remote->in_flight[i];
	return sum;
}

static struct pollfd client_poll_for(const struct remote *remote, unsigned connection)
{
	struct nbd_handle *nbd = remote->session.handles[connection];
	struct pollfd fd = {.fd = nbd_aio_get_fd(nbd)};

	if (nbd_aio_get_direction(nbd) & LIBNBD_AIO_DIRECTION_READ)
		fd.events |= POLLIN;
	if (remote->blocked & (1u << connection))
		fd.events |= POLLOUT;
	return fd;
}

/* Answers are there. Lets more of them come, unless there is something else to do. */
static void client_let_gather(struct pollfd *wake, uint64_t pause)
{
	struct timespec time = {.tv_nsec = (long) pause};

	(void) ppoll(wake, 1, &time, NULL);
}

/* Returns how many requests were in flight when it has waited. */
static unsigned client_wait(struct remote *remote)
{
	struct pollfd fds[1 + REMOTE_CONNECTIONS_MAX];
	unsigned count = remote->up ? remote->session.count : 0, in_flight;
	bool fetched = client_fetch(remote, true);
	int timeout = fetched ? 0 : client_timeout(remote), ready;
	uint64_t pause = gather_pause(&remote->gather, client_count_in_flight(remote)), events;

	fds[0] = (struct pollfd){.fd = remote->wake_fd, .events = POLLIN};
	remote->blocked = client_blocked(remote);
	for (unsigned i = 0; i < count; i++)
		fds[1 + i] = client_poll_for(remote, i);
	pthread_mutex_unlock(&remote->client);
	ready = poll(fds, 1 + count, timeout);
	if (ready > 0 && !fds[0].revents && pause && !remote->blocked)
		client_let_gather(&fds[0], pause);
	pthread_mutex_lock(&remote->client);
	in_flight = client_count_in_flight(remote);
	if (ready <= 0)
		return in_flight;
	if (fds[0].revents)
		(void) !read(remote->wake_fd, &events, sizeof(events));
	for (unsigned i = 0; i < count; i++)
		if (fds[1 + i].revents)
			client_serve(remote, i, fds[1 + i].revents);
	return in_flight;
}

static void client_iterate(struct remote *remote)
{
	unsigned in_flight = client_wait(remote);
	uint64_t now = client_advance_clock(remote);

	gather_note(&remote->gather, in_flight - client_count_in_flight(remote), in_flight, now);
	(void) client_fetch(remote, false);
	client_take_answers(remote);
	if (atomic_load(&remote->abandoned)) {
		client_abandon(remote);
		return;
	}
	if (remote->lost)
		client_lose_session(remote, "the connection to the server is lost");
	client_take_session(remote);
	client_say_reason(remote);
	if (atomic_exchange(&remote->cancelling, false))
		client_end_waiting(remote, false);
	client_send(remote);
	client_take_answers(remote);
	client_check_limits(remote);
}

/* Whether a close may end: all is stable, or cannot be made so. */
static bool client_may_end(const struct remote *remote)
{
	if (atomic_load(&remote->abandoned) || remote->failed)
		return true;
	return !remote->flushing && !remote->replaying && journal_is_empty(&remote->journal);
}

static void *client_main(void *arg)
{
	struct remote *remote = arg;
	uint64_t until = 0;

	(void) pthread_setname_np(pthread_self(), "nbd-client");
	(void) prctl(PR_SET_TIMERSLACK, PAUSE_SLACK_NS, 0, 0, 0);
	pthread_mutex_lock(&remote->client);
	for (;;) {
		client_iterate(remote);
		if (!atomic_load(&remote->ending))
			continue;
		until = until ? until : remote->clock_ms + CLOSE_MS;
		assert(!remote->waiting.first);
		if (client_may_end(remote) || remote->clock_ms >= until)
			break;
	}
	if (!client_may_end(remote))
		client_log(
			remote, TCMU_LOG_WARNING,
			"the server does not answer the flush of the close", "it may lose writes");
	remote->dropping = true;
	if (remote->up && (remote->lost || remote->sent.first || atomic_load(&remote->abandoned)))
		session_drop(&remote->session);
	else if (remote->up)
		session_close(&remote->session, BYE_MS);
	pthread_mutex_unlock(&remote->client);
	return NULL;
}

int remote_client_start(struct remote *remote)
{
	struct timespec now;
	int r;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	remote->last_ms = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
	remote->up = true;
	tcmu_counter_set(remote->counters, REMOTE_COUNT_CONNECTIONS, remote->session.count);
	r = pthread_create(&remote->thread, NULL, client_main, remote);
	return -r;
}

void remote_client_stop(struct remote *remote)
{
	atomic_store(&remote->ending, true);
	client_wake(remote);
	(void) pthread_join(remote->thread, NULL);
}
