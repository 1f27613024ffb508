/* SPDX-License-Identifier: Apache-2.0 */
/* See connector.h. */
#include "connector.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPT_MS   8000u /* for the server's answers of one attempt */
#define PAUSE_MS     100u  /* after the first failure; it doubles */
#define PAUSE_MAX_MS 2000u
#define LASTS_MS     2000u /* a session that is wanted again sooner was a failure, too */
#define STOP_MS      2000u

static atomic_uint left;

struct connector {
	struct remote_endpoint endpoint;
	int stop_fd;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock */
	int wake_fd;
	bool wanted, stop, ended, left;
	bool ready;
	struct remote_session session; /* if ready */
	struct timespec lasting;       /* when the last session has lasted */
	unsigned failures;             /* of attempts, and of sessions that did not last */
	int error;                     /* of the last attempt */
	struct tcmu_reason reason;
};

static void connector_deadline(struct timespec *until, unsigned ms)
{
	(void) clock_gettime(CLOCK_MONOTONIC, until);
	until->tv_sec += ms / 1000;
	until->tv_nsec += (long) (ms % 1000) * 1000000L;
	if (until->tv_nsec >= 1000000000L) {
		until->tv_sec++;
		until->tv_nsec -= 1000000000L;
	}
}

/* connector->lock is held. False: the time has passed. */
static bool connector_sleep(struct connector *connector, const struct timespec *until)
{
	return pthread_cond_clockwait(
		       &connector->changed, &connector->lock, CLOCK_MONOTONIC, until) != ETIMEDOUT;
}

static void write_event(int fd)
{
	uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	assert(written == sizeof(one)); /* a counter that is not full */
	(void) written;
}

static void connector_free(struct connector *connector)
{
	assert(!connector->ready);
	(void) close(connector->stop_fd);
	pthread_cond_destroy(&connector->changed);
	pthread_mutex_destroy(&connector->lock);
	free(connector);
}

/* connector->lock is held. Publishes the result of an attempt. */
static void connector_publish(struct connector *connector, int result)
{
	connector->error = result;
	if (result == 0) {
		connector->ready = true;
		connector->wanted = false;
		connector_deadline(&connector->lasting, LASTS_MS);
	} else {
		connector->failures++;
	}
	write_event(connector->wake_fd);
	pthread_cond_broadcast(&connector->changed);
}

/* connector->lock is held, and released meanwhile. */
static void connector_attempt(struct connector *connector)
{
	struct remote_session session;
	struct tcmu_reason reason = {.text = ""};
	int r;

	pthread_mutex_unlock(&connector->lock);
	r = session_open(&connector->endpoint, connector->stop_fd, ATTEMPT_MS, &session, &reason);
	pthread_mutex_lock(&connector->lock);
	if (connector->stop) {
		if (r == 0)
			session_drop(&session);
		return;
	}
	if (r == 0)
		connector->session = session;
	connector->reason = reason;
	connector_publish(connector, r);
}

/* connector->lock is held. Whether an attempt may follow the last one at once. */
static bool connector_session_lasted(const struct connector *connector)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != connector->lasting.tv_sec)
		return now.tv_sec > connector->lasting.tv_sec;
	return now.tv_nsec >= connector->lasting.tv_nsec;
}

/* connector->lock is held. */
static void connector_pause(struct connector *connector)
{
	unsigned ms = PAUSE_MS;
	struct timespec until;

	for (unsigned i = 1; i < connector->failures && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	connector_deadline(&until, ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS);
	while (!connector->stop && connector_sleep(connector, &until))
		;
}

static void *connector_main(void *arg)
{
	struct connector *connector = arg;
	bool is_left;

	(void) pthread_setname_np(pthread_self(), "nbd-connector");
	pthread_mutex_lock(&connector->lock);
	while (!connector->stop) {
		if (!connector->wanted) {
			pthread_cond_wait(&connector->changed, &connector->lock);
			continue;
		}
		if (connector->failures)
			connector_pause(connector);
		if (!connector->stop)
			connector_attempt(connector);
	}
	connector->ended = true;
	is_left = connector->left;
	pthread_cond_broadcast(&connector->changed);
	pthread_mutex_unlock(&connector->lock);
	if (is_left) {
		connector_free(connector);
		atomic_fetch_sub(&left, 1);
	}
	return NULL;
}

struct connector *connector_new(const struct remote_endpoint *endpoint, int wake_fd)
{
	struct connector *connector = calloc(1, sizeof(*connector));

	if (!connector)
		return NULL;
	connector->endpoint = *endpoint;
	connector->wake_fd = wake_fd;
	connector->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&connector->lock, NULL);
	pthread_cond_init(&connector->changed, NULL);
	if (connector->stop_fd >= 0 &&
	    pthread_create(&connector->thread, NULL, connector_main, connector) == 0)
		return connector;
	connector_free(connector);
	return NULL;
}

void connector_want(struct connector *connector)
{
	pthread_mutex_lock(&connector->lock);
	assert(!connector->wanted && !connector->ready);
	connector->wanted = true;
	connector->failures = connector_session_lasted(connector) ? 0 : connector->failures + 1;
	connector->reason.text[0] = '\0';
	pthread_cond_broadcast(&connector->changed);
	pthread_mutex_unlock(&connector->lock);
}

bool connector_take(struct connector *connector, struct remote_session *session)
{
	bool ready;

	pthread_mutex_lock(&connector->lock);
	ready = connector->ready;
	connector->ready = false;
	if (ready)
		*session = connector->session;
	pthread_mutex_unlock(&connector->lock);
	return ready;
}

int connector_wait(
	struct connector *connector, unsigned limit_ms, struct remote_session *session,
	struct tcmu_reason *reason)
{
	struct timespec until;
	int r = -ETIMEDOUT;

	connector_deadline(&until, limit_ms);
	pthread_mutex_lock(&connector->lock);
	while (!connector->ready && !connector->failures && connector_sleep(connector, &until))
		;
	if (connector->ready) {
		*session = connector->session;
		connector->ready = false;
		r = 0;
	} else if (connector->failures) {
		*reason = connector->reason;
		r = connector->error;
	} else {
		tcmu_refuse(
			reason, r, "the name of the server is not resolved in time: %s",
			remote_target_name(&connector->endpoint));
	}
	pthread_mutex_unlock(&connector->lock);
	return r;
}

void connector_reason(struct connector *connector, struct tcmu_reason *reason)
{
	pthread_mutex_lock(&connector->lock);
	*reason = connector->reason;
	pthread_mutex_unlock(&connector->lock);
}

void connector_stop(struct connector *connector)
{
	pthread_t thread = connector->thread; /* one that is left frees the connector */
	struct timespec until;
	bool ended;

	connector_deadline(&until, STOP_MS);
	pthread_mutex_lock(&connector->lock);
	connector->stop = true;
	if (connector->ready)
		session_drop(&connector->session);
	connector->ready = false;
	write_event(connector->stop_fd);
	pthread_cond_broadcast(&connector->changed);
	while (!connector->ended && connector_sleep(connector, &until))
		;
	ended = connector->ended;
	connector->left = !ended;
	if (!ended)
		atomic_fetch_add(&left, 1);
	pthread_mutex_unlock(&connector->lock);
	if (!ended) {
		(void) pthread_detach(thread);
		return;
	}
	(void) pthread_join(thread, NULL);
	connector_free(connector);
}

unsigned connector_left(void)
{
	return atomic_load(&left);
}
