/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lease.h. The confirmation is the reply of the OSD to a query for the lock: librbd answers
 * some questions from its memory. It names the one client that has the lock; a client that is
 * blocklisted gets an error instead.
 *
 * lease_lock guards the list and the members that lease.h names. It is held during calls of
 * librados that do not wait, and of lost().
 */
#include "lease.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CONFIRM_NS     UINT64_C(1000000000)
#define TICK_NS        250000000L
#define CLASS          "lock"
#define METHOD         "get_info"
#define LOCK_NAME      "rbd_lock"
#define CLIENT_TYPE    8 /* an entity's type in Ceph's messages */
#define ENVELOPE_BYTES 6 /* version, compatible version, length */

static pthread_mutex_t lease_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lease_changed = PTHREAD_COND_INITIALIZER;
static struct lease *leases;
static pthread_t lease_thread;
static bool has_thread, thread_ending;

/* ------- the query ------- */

/* The request: an envelope around the lock's name. */
static size_t encode_query(uint8_t text[static 32])
{
	uint32_t name = strlen(LOCK_NAME), length = htole32(name + (uint32_t) sizeof(name));

	text[0] = text[1] = 1;
	memcpy(text + 2, &length, sizeof(length));
	length = htole32(name);
	memcpy(text + ENVELOPE_BYTES, &length, sizeof(length));
	memcpy(text + ENVELOPE_BYTES + sizeof(length), LOCK_NAME, name);
	return ENVELOPE_BYTES + sizeof(length) + name;
}

/* The reply: an envelope, the number of holders, and of each at first, in another envelope, its
 * type and number. Returns 0; -ENOLCK: this client is not the one that has the lock; -EBADMSG. */
static int parse_reply(const char *reply, int length, uint64_t client)
{
	uint32_t cnt;
	uint64_t id;

	if (length < ENVELOPE_BYTES + (int) sizeof(cnt))
		return -EBADMSG;
	memcpy(&cnt, reply + ENVELOPE_BYTES, sizeof(cnt));
	if (le32toh(cnt) != 1)
		return -ENOLCK;
	reply += ENVELOPE_BYTES + sizeof(cnt) + ENVELOPE_BYTES;
	if (length < 2 * ENVELOPE_BYTES + (int) (sizeof(cnt) + 1 + sizeof(id)))
		return -EBADMSG;
	memcpy(&id, reply + 1, sizeof(id));
	return reply[0] == CLIENT_TYPE && le64toh(id) == client ? 0 : -ENOLCK;
}

/* lease_lock is held. A confirmation that comes too late confirms nothing. */
static void lease_confirm(struct lease *lease, uint64_t asked)
{
	if (lease->killed || lease_is_over(lease) || asked < atomic_load(&lease->confirmed))
		return;
	assert(lease->listed);
	atomic_store(&lease->confirmed, asked);
	atomic_store(&lease->until, asked + LEASE_NS);
}

static void on_reply(rados_completion_t completion, void *arg)
{
	struct lease *lease = arg;
	int r = rados_aio_get_return_value(completion);

	if (r >= 0)
		r = parse_reply(lease->reply, r, lease->client);
	pthread_mutex_lock(&lease_lock);
	assert(lease->asking);
	if (lease->listed && r == 0)
		lease_confirm(lease, lease->asked);
	else if (lease->listed && (r == -ENOLCK || r == -ESHUTDOWN || r == -ENOENT))
		lease->lost(lease);
	lease->asking = false;
	pthread_cond_broadcast(&lease_changed);
	pthread_mutex_unlock(&lease_lock);
	rados_aio_release(completion);
}

/* lease_lock is held. */
static void lease_ask(struct lease *lease, uint64_t now)
{
	uint8_t query[32];
	size_t length = encode_query(query);

	if (rados_aio_create_completion2(lease, on_reply, &lease->completion) < 0)
		return;
	lease->asking = true;
	lease->asked = now;
	if (rados_aio_exec(
		    lease->pool, lease->header, lease->completion, CLASS, METHOD,
		    (const char *) query, length, lease->reply, sizeof(lease->reply)) >= 0)
		return;
	lease->asking = false;
	rados_aio_release(lease->completion);
}

/* ------- the thread ------- */

/* lease_lock is held. Returns whether the client instance was alive. */
static bool lease_end_client(struct lease *lease)
{
	if (lease->killed)
		return false;
	lease->killed = true;
	atomic_store(&lease->until, 0);
	kill_client(lease->rados, lease->handle);
	return true;
}

/* lease_lock is held. */
static void lease_expire(struct lease *lease)
{
	if (lease_end_client(lease))
		lease->lost(lease);
}

static void lease_check(struct lease *lease)
{
	uint64_t now = lease_clock_ns();

	assert(lease->listed && atomic_load(&lease->until) != LEASE_NONE);
	if (lease_is_over(lease))
		lease_expire(lease);
	else if (!lease->asking && now >= lease->asked + CONFIRM_NS)
		lease_ask(lease, now);
}

static void *lease_main(void *arg)
{
	struct timespec until;

	(void) arg;
	pthread_mutex_lock(&lease_lock);
	while (!thread_ending) {
		for (struct lease *lease = leases; lease; lease = lease->next)
			lease_check(lease);
		if (!leases) {
			pthread_cond_wait(&lease_changed, &lease_lock);
			continue;
		}
		(void) clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_NS;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		(void) pthread_cond_clockwait(&lease_changed, &lease_lock, CLOCK_MONOTONIC, &until);
	}
	pthread_mutex_unlock(&lease_lock);
	return NULL;
}

/* lease_lock is held. */
static int start_thread(void)
{
	int r = has_thread ? 0 : pthread_create(&lease_thread, NULL, lease_main, NULL);

	has_thread = r == 0;
	return -r;
}

/* Runs when the plugin is unloaded, or at exit(). A host that calls exit() with images open leaves
 * leases in the list. */
__attribute__((destructor)) static void stop_thread(void)
{
	bool had;

	pthread_mutex_lock(&lease_lock);
	had = has_thread;
	thread_ending = true;
	has_thread = false;
	pthread_cond_broadcast(&lease_changed);
	pthread_mutex_unlock(&lease_lock);
	if (had)
		pthread_join(lease_thread, NULL);
}

/* ------- for the image ------- */

void lease_init(
	struct lease *lease, rados_t rados, rados_ioctx_t pool, const struct kill_handle *handle,
	const char *image_id, void (*lost)(struct lease *lease))
{
	assert(!lease->rados && rados && pool);
	lease->rados = rados;
	lease->pool = pool;
	lease->handle = handle;
	lease->lost = lost;
	lease->client = rados_get_instance_id(rados);
	(void) snprintf(lease->header, sizeof(lease->header), "rbd_header.%s", image_id);
	atomic_store(&lease->until, LEASE_NONE);
}

/* lease_lock is held. */
static void lease_list(struct lease *lease)
{
	if (lease->listed)
		return;
	lease->next = leases;
	leases = lease;
	lease->listed = true;
}

static void lease_unlist(struct lease *lease)
{
	struct lease **link = &leases;

	if (!lease->listed)
		return;
	while (*link != lease)
		link = &(*link)->next;
	*link = lease->next;
	lease->listed = false;
}

int lease_begin(struct lease *lease)
{
	char reply[LEASE_REPLY_SIZE];
	uint64_t asked = lease_clock_ns();
	uint8_t query[32];
	int r;

	assert(lease->rados);
	r = rados_exec(
		lease->pool, lease->header, CLASS, METHOD, (const char *) query,
		encode_query(query), reply, sizeof(reply));
	if (r >= 0)
		r = parse_reply(reply, r, lease->client);
	if (r < 0)
		return r == -ENOENT ? -ENOLCK : r;
	pthread_mutex_lock(&lease_lock);
	r = start_thread();
	if (r == 0) {
		if (!lease->listed)
			atomic_store(&lease->until, asked + LEASE_NS);
		lease_list(lease);
		lease_confirm(lease, asked);
		pthread_cond_broadcast(&lease_changed);
		if (lease->killed || lease_is_over(lease))
			r = -ESHUTDOWN;
	}
	pthread_mutex_unlock(&lease_lock);
	return r;
}

void lease_end(struct lease *lease)
{
	pthread_mutex_lock(&lease_lock);
	lease_unlist(lease);
	if (!lease->killed)
		atomic_store(&lease->until, LEASE_NONE);
	pthread_mutex_unlock(&lease_lock);
}

void lease_kill(struct lease *lease)
{
	pthread_mutex_lock(&lease_lock);
	if (lease->listed)
		lease_expire(lease);
	pthread_mutex_unlock(&lease_lock);
}

void lease_cut(struct lease *lease)
{
	pthread_mutex_lock(&lease_lock);
	if (lease->rados)
		(void) lease_end_client(lease);
	pthread_mutex_unlock(&lease_lock);
}

bool lease_is_killed(struct lease *lease)
{
	bool killed;

	pthread_mutex_lock(&lease_lock);
	killed = lease->killed;
	pthread_mutex_unlock(&lease_lock);
	return killed;
}

void lease_free(struct lease *lease)
{
	if (!lease->rados)
		return;
	pthread_mutex_lock(&lease_lock);
	lease_unlist(lease);
	if (lease->asking)
		(void) rados_aio_cancel(lease->pool, lease->completion);
	while (lease->asking)
		pthread_cond_wait(&lease_changed, &lease_lock);
	pthread_mutex_unlock(&lease_lock);
}
