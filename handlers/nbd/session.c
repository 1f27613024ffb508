/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* The longest payload that servers take that do not say how much they take. */
#define DEFAULT_MAXIMUM (UINT64_C(32) << 20)
/* A silent network is noticed after this. */
#define KEEPALIVE_SECONDS 10

static int64_t session_now_ms(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------- errors ------- */

/* The text of libnbd begins with the name of its function. */
static const char *session_error_text(void)
{
	const char *text = nbd_get_error();
	const char *colon = text ? strstr(text, ": ") : NULL;

	if (!text)
		return "unknown error";
	return strncmp(text, "nbd_", 4) == 0 && colon ? colon + 2 : text;
}

static int session_refuse(const struct remote_endpoint *endpoint, struct tcmu_reason *reason)
{
	int error = nbd_get_errno();

	return tcmu_refuse(
		reason, error > 0 ? -error : -EIO, "%.150s: %s", session_error_text(),
		remote_target_name(endpoint));
}

/* ------- one connection ------- */

static int set_tls(struct nbd_handle *nbd, const struct remote_endpoint *endpoint)
{
	if (endpoint->tls && nbd_set_tls(nbd, LIBNBD_TLS_REQUIRE) < 0)
		return -1;
	if (endpoint->certificates[0] && nbd_set_tls_certificates(nbd, endpoint->certificates) < 0)
		return -1;
	if (endpoint->psk[0] && nbd_set_tls_psk_file(nbd, endpoint->psk) < 0)
		return -1;
	if (endpoint->user[0] && nbd_set_tls_username(nbd, endpoint->user) < 0)
		return -1;
	return nbd_set_tls_verify_peer(nbd, endpoint->verify);
}

/* Every READ fills its buffer or fails, so libnbd need not fill it with zeros first, which it does
 * since 1.12. */
#ifdef LIBNBD_HAVE_NBD_SET_PREAD_INITIALIZE
static int leave_buffers_alone(struct nbd_handle *nbd)
{
	return nbd_set_pread_initialize(nbd, false);
}
#else
static int leave_buffers_alone(struct nbd_handle *nbd)
{
	(void) nbd;
	return 0;
}
#endif

static int prepare_handle(struct nbd_handle *nbd, const struct remote_endpoint *endpoint)
{
	if (leave_buffers_alone(nbd) < 0 ||
	    nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
	    nbd_set_uri_allow_transports(
		    nbd, LIBNBD_ALLOW_TRANSPORT_TCP | LIBNBD_ALLOW_TRANSPORT_UNIX) < 0 ||
	    set_tls(nbd, endpoint) < 0)
		return -1;
	if (endpoint->uri[0])
		return nbd_aio_connect_uri(nbd, endpoint->uri);
	if (nbd_set_export_name(nbd, endpoint->export) < 0)
		return -1;
	return nbd_aio_connect_unix(nbd, endpoint->socket);
}

static bool handle_is_connecting(struct nbd_handle *nbd)
{
	return nbd_aio_is_connecting(nbd) > 0 || nbd_aio_is_negotiating(nbd) > 0;
}

/* Waits for the handle, and lets it do what it can. Returns 0, -ETIMEDOUT, -ECANCELED, or -EIO with
 * libnbd's error. */
static int handle_wait(struct nbd_handle *nbd, int stop_fd, int64_t until)
{
	unsigned direction = nbd_aio_get_direction(nbd);
	int64_t left = until - session_now_ms();
	struct pollfd fds[2] = {{.fd = nbd_aio_get_fd(nbd)}, {.fd = stop_fd, .events = POLLIN}};

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		fds[0].events |= POLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		fds[0].events |= POLLOUT;
	if (left <= 0)
		return -ETIMEDOUT;
	if (poll(fds, 2, (int) left) < 0)
		return errno == EINTR ? 0 : -EIO;
	if (fds[1].revents)
		return -ECANCELED;
	if ((direction & LIBNBD_AIO_DIRECTION_READ) &&
	    (fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
		return nbd_aio_notify_read(nbd) < 0 ? -EIO : 0;
	if (fds[0].revents & (POLLOUT | POLLHUP | POLLERR))
		return nbd_aio_notify_write(nbd) < 0 ? -EIO : 0;
	return 0;
}

/* Has no effect on Unix sockets. */
static void keep_alive(int fd)
{
	int on = 1, seconds = KEEPALIVE_SECONDS, probes = 3;

	(void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static int connect_handle(
	const struct remote_endpoint *endpoint, int stop_fd, int64_t until,
	struct nbd_handle **handle, struct tcmu_reason *reason)
{
	struct nbd_handle *nbd = nbd_create();
	int r = 0;

	if (!nbd)
		return session_refuse(endpoint, reason);
	if (prepare_handle(nbd, endpoint) < 0)
		r = session_refuse(endpoint, reason);
	while (r == 0 && handle_is_connecting(nbd)) {
		r = handle_wait(nbd, stop_fd, until);
		if (r == -ETIMEDOUT)
			tcmu_refuse(
				reason, r, "the server does not answer: %s",
				remote_target_name(endpoint));
		else if (r == -EIO)
			r = session_refuse(endpoint, reason);
	}
	if (r == 0 && nbd_aio_is_ready(nbd) <= 0)
		r = tcmu_refuse(
			reason, -ECONNRESET, "the server has closed the connection: %s",
			remote_target_name(endpoint));
	if (r < 0) {
		nbd_close(nbd);
		return r;
	}
	keep_alive(nbd_aio_get_fd(nbd));
	*handle = nbd;
	return 0;
}

/* ------- the export ------- */

static int64_t block_size_of(struct nbd_handle *nbd, int type, int64_t missing)
{
	int64_t size = nbd_get_block_size(nbd, type);

	return size > 0 ? size : missing;
}

static int ask_export(
	struct nbd_handle *nbd, const struct remote_endpoint *endpoint,
	struct remote_export *export, struct tcmu_reason *reason)
{
	int64_t size = nbd_get_size(nbd);
	int64_t maximum = block_size_of(nbd, LIBNBD_SIZE_MAXIMUM, (int64_t) DEFAULT_MAXIMUM);

	if (size < 0)
		return session_refuse(endpoint, reason);
	if (maximum > (int64_t) DEFAULT_MAXIMUM)
		maximum = (int64_t) DEFAULT_MAXIMUM;
	*export = (struct remote_export){
		.size = (uint64_t) size,
		.read_only = nbd_is_read_only(nbd) > 0,
		.flush = nbd_can_flush(nbd) > 0,
		.fua = nbd_can_fua(nbd) > 0,
		.trim = nbd_can_trim(nbd) > 0,
		.zero = nbd_can_zero(nbd) > 0,
		.map = nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0,
		.rotational = nbd_is_rotational(nbd) > 0,
		.tls = nbd_get_tls_negotiated(nbd) > 0,
		.minimum = (uint32_t) block_size_of(nbd, LIBNBD_SIZE_MINIMUM, 1),
		.preferred = (uint32_t) block_size_of(nbd, LIBNBD_SIZE_PREFERRED, 0),
		.maximum = (uint32_t) maximum};
	return 0;
}

/* ------- the session ------- */

int session_open(
	const struct remote_endpoint *endpoint, int stop_fd, unsigned limit_ms,
	struct remote_session *session, struct tcmu_reason *reason)
{
	int64_t until = session_now_ms() + limit_ms;
	unsigned wanted = 1;
	int r = 0;

	assert(endpoint->connections >= 1 && endpoint->connections <= REMOTE_CONNECTIONS_MAX);
	*session = (struct remote_session){.count = 0};
	while (r == 0 && session->count < wanted) {
		r = connect_handle(
			endpoint, stop_fd, until, &session->handles[session->count], reason);
		if (r < 0)
			break;
		session->count++;
		if (session->count > 1)
			continue;
		r = ask_export(session->handles[0], endpoint, &session->export, reason);
		/* A server without the flag may keep a cache for each connection. */
		if (nbd_can_multi_conn(session->handles[0]) > 0)
			wanted = endpoint->connections;
	}
	if (r < 0)
		session_drop(session);
	return r;
}

void session_drop(struct remote_session *session)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	for (unsigned i = 0; i < session->count; i++) {
		/* Bytes that the kernel has not sent yet are not sent any more. */
		(void) setsockopt(
			nbd_aio_get_fd(session->handles[i]), SOL_SOCKET, SO_LINGER, &reset,
			sizeof(reset));
		nbd_close(session->handles[i]);
	}
	session->count = 0;
}

void session_close(struct remote_session *session, unsigned limit_ms)
{
	int64_t until = session_now_ms() + limit_ms;

	for (unsigned i = 0; i < session->count; i++) {
		struct nbd_handle *nbd = session->handles[i];

		if (nbd_aio_disconnect(nbd, 0) == 0)
			while (nbd_aio_is_closed(nbd) <= 0 && nbd_aio_is_dead(nbd) <= 0 &&
			       handle_wait(nbd, -1, until) == 0)
				;
		nbd_close(nbd);
	}
	session->count = 0;
}
