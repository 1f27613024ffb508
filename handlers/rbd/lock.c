/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's exclusive lock, which the daemon acquires and releases. Another holder is fenced
 * first, so that none of its writes in flight overwrites ours: this module has the client
 * blocklisted; librbd waits until its own requests carry the OSD map with the entry, so that the
 * OSDs have it too, and only then acquires the lock.
 *
 * The image's metadata records the target port group for which the lock was acquired, and the
 * client, in the format of tcmu-runner.
 *
 * Blocklist entries of earlier connections of this host are left to expire. They affect no other
 * connection, because every connection has its own address. And an OSD that hangs may still have
 * writes of an old connection: only the entry keeps them out.
 *
 * Every function runs on a separate thread and may block until the cluster answers; those for the
 * handler's table, within the limit of calls.h.
 */
#include "lock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "fence/entries.h"
#include "image.h"
#include "request.h"
#include "settings.h"
#include "status.h"

#define TAG_KEY     "tcmu_rbd_locker_tag"
#define TAG_NUMBER  "tcmu_tag="
#define TAG_CLIENT  ",rbd_client="
#define HOLDER_SIZE RECORD_ADDRESS_SIZE
#define TRIES       5

/* Finds the holder of the lock. Returns 1; 0: it has none; -EBUSY: several clients share it; or
 * another negative errno. */
static int find_holder(const struct image *image, char holder[static HOLDER_SIZE])
{
	rbd_lock_mode_t mode;
	char *holders[1];
	size_t cnt = 1;
	int r = rbd_lock_get_owners(image->rbd, &mode, holders, &cnt);

	holder[0] = '\0';
	if (r == -ENOENT || (r >= 0 && !cnt))
		return 0;
	if (r < 0)
		return r == -ERANGE ? -EBUSY : r;
	assert(cnt <= 1);
	(void) snprintf(holder, HOLDER_SIZE, "%s", holders[0]);
	rbd_lock_get_owners_cleanup(holders, cnt);
	return mode == RBD_LOCK_MODE_EXCLUSIVE ? 1 : -EBUSY;
}

static int fence_holder(struct image *image)
{
	char holder[HOLDER_SIZE];
	int ours = 0;
	int r = rbd_is_exclusive_lock_owner(image->rbd, &ours);

	if (r < 0 || ours)
		return r;
	r = find_holder(image, holder);
	if (r <= 0)
		return r;
	/* librbd's would last for an hour, and nothing extends it. */
	r = entries_add(image->cluster.rados, holder);
	if (r < 0)
		return r;
	r = rbd_lock_break(image->rbd, RBD_LOCK_MODE_EXCLUSIVE, holder);
	/* The holder has just released it, or another client has broken it first. */
	return r == -ENOENT || r == -EBUSY || r == -EAGAIN ? 0 : r;
}

static bool is_refusal(int error)
{
	return error == -EPERM || error == -EACCES || error == -ESHUTDOWN;
}

/* The cluster may have carried out what librbd reports as failed: then librbd and the cluster
 * disagree about the holder, and with this connection it stays so (-EEXIST for ever). The daemon
 * opens a new one, which fences this one if it has the lock. Returns -ESHUTDOWN. */
static int give_up_connection(struct image *image, int error)
{
	char text[128];

	assert(error < 0);
	(void) snprintf(
		text, sizeof(text),
		"it is unclear who holds the image's lock, it is reopened over a new connection: "
		"%s",
		strerror(-error));
	image_log(image, TCMU_LOG_WARNING, text);
	image_fence(image);
	return -ESHUTDOWN;
}

/* Asks the cluster: librbd does nothing if it takes itself for the holder. */
static int confirm_lock(struct image *image)
{
	int ours = 0;
	int r = rbd_is_exclusive_lock_owner(image->rbd, &ours);

	if (r == -ESHUTDOWN)
		return r;
	if (r < 0 || !ours)
		return give_up_connection(image, r < 0 ? r : -ENOLCK);
	return 0;
}

/* ------- former lock holders ------- */

static struct takeover takeover_of(struct image *image)
{
	return (struct takeover){
		.rados = image->cluster.rados,
		.pool = image->cluster.pool,
		.rbd = image->rbd,
		.header = image->lease.header,
		.own = image->address,
		.fenced = &image->fenced};
}

/* librbd reads the object map when it acquires the lock. So nobody has the lock during the wait:
 * a former holder may still change the map. Returns -EBUSY if another client has it now. */
static int wait_for_former(struct image *image, struct records *former)
{
	struct takeover takeover = takeover_of(image);
	char holder[HOLDER_SIZE];
	int r = takeover_read(&takeover, former);

	if (r >= 0 && former->cnt) {
		r = find_holder(image, holder);
		if (r > 0)
			return -EBUSY;
		if (r >= 0)
			r = takeover_wait(&takeover, former);
	}
	return r;
}

/* Between the reading of the records and the lock this host may have stood still. */
static int check_again(struct image *image, const struct records *former)
{
	struct takeover takeover = takeover_of(image);
	int r = takeover_check_again(&takeover, former);
	int released;

	if (r >= 0 || r == -ESHUTDOWN)
		return r;
	released = rbd_lock_release(image->rbd);
	return released < 0 && !is_refusal(released) ? give_up_connection(image, released) : r;
}

/* Returns 1 if the lock was acquired; 0: this client has it already; or a negative errno. */
static int try_lock(struct image *image, struct records *former)
{
	int ours = 0;
	int r = rbd_is_exclusive_lock_owner(image->rbd, &ours);

	former->cnt = 0;
	if (r >= 0 && ours && !atomic_load(&image->on_demand)) {
		/* librbd has taken it by itself, without a wait. */
		r = rbd_lock_release(image->rbd);
		if (r < 0 && !is_refusal(r))
			return give_up_connection(image, r);
		ours = 0;
	}
	if (r < 0)
		return r;
	if (!ours) {
		r = fence_holder(image);
		if (r >= 0)
			r = wait_for_former(image, former);
	}
	if (r < 0)
		return r;
	/* From now on librbd neither acquires nor hands over the lock without a request. */
	r = rbd_lock_acquire(image->rbd, RBD_LOCK_MODE_EXCLUSIVE);
	if (r < 0 && r != -EBUSY && r != -EAGAIN && r != -EROFS)
		return is_refusal(r) ? r : give_up_connection(image, r);
	if (r < 0 || ours)
		return r < 0 ? r : 0;
	r = check_again(image, former);
	return r < 0 ? r : 1;
}

/* The record is there before this host answers as the lock holder, and the lock is confirmed after
 * it: a host that breaks the lock from then on finds the record. */
static int begin_tenure(struct image *image)
{
	char holder[HOLDER_SIZE];
	int r = confirm_lock(image);

	if (r >= 0)
		r = find_holder(image, holder);
	if (r <= 0)
		return r < 0 && is_refusal(r) ? r : give_up_connection(image, r < 0 ? r : -ENOLCK);
	pthread_mutex_lock(&image->lock);
	memcpy(image->address, holder, sizeof(holder));
	pthread_mutex_unlock(&image->lock);
	atomic_store(&image->new_tenure, true);
	atomic_store(&image->recorded, true);
	r = records_set(
		image->cluster.pool, image->lease.header, image->address, RECORD_HOLDER,
		lease_clock_ns());
	if (r >= 0)
		r = lease_begin(&image->lease);
	return r < 0 && !is_refusal(r) ? give_up_connection(image, r) : r;
}

static int acquire_lock(struct image *image)
{
	struct takeover takeover;
	struct records former = {.cnt = 0};
	int r = -EBUSY;

	for (int i = 0; i < TRIES && (r == -EBUSY || r == -EAGAIN || r == -EROFS); i++)
		r = try_lock(image, &former);
	if (r >= 0)
		r = begin_tenure(image);
	if (r >= 0) {
		takeover = takeover_of(image);
		takeover_mark(&takeover, &former);
	}
	records_free(&former);
	return r;
}

int image_lock_say_end(struct image *image)
{
	int r;

	if (!atomic_load(&image->recorded))
		return 0;
	assert(image->address[0]);
	r = records_end(
		image->cluster.pool, image->lease.header, image->address,
		atomic_load(&image->unanswered));
	if (r < 0)
		return r;
	atomic_store(&image->recorded, false);
	lease_end(&image->lease);
	return 0;
}

void image_lock_check(struct image *image)
{
	struct takeover takeover;
	char own[RECORD_ADDRESS_SIZE], text[128];
	unsigned missing = 0;

	if (!atomic_load(&image->service.locked) || atomic_load(&image->fenced))
		return;
	/* Another thread may be taking the lock. */
	pthread_mutex_lock(&image->lock);
	memcpy(own, image->address, sizeof(own));
	pthread_mutex_unlock(&image->lock);
	takeover = takeover_of(image);
	takeover.own = own;
	if (atomic_exchange(&image->new_tenure, false))
		image->check = (struct takeover_check){.next = 0};
	(void) takeover_check(&takeover, &image->check, &missing);
	if (!missing)
		return;
	(void) snprintf(
		text, sizeof(text),
		"%u blocklist entries of former lock holders were removed too early; they are "
		"there again",
		missing);
	image_log(image, TCMU_LOG_WARNING, text);
}

void image_abandon(void *backend)
{
	struct image *image = backend;

	image_status_note_old(image);
	lease_kill(&image->lease);
}

/* ------- the lock ------- */

static void store_tag(struct image *image, uint16_t tag)
{
	char holder[HOLDER_SIZE], text[HOLDER_SIZE + 64];
	int r = find_holder(image, holder);

	if (r > 0) {
		(void) snprintf(text, sizeof(text), TAG_NUMBER "%hu" TAG_CLIENT "%s", tag, holder);
		r = rbd_metadata_set(image->rbd, TAG_KEY, text);
	}
	if (r >= 0)
		return;
	/* Not an error: the tag only helps initiators to choose a path. */
	(void) snprintf(
		text, sizeof(text),
		"cannot store the lock's tag, other gateways do not know the active port group: %s",
		strerror(-r));
	image_log(image, TCMU_LOG_WARNING, text);
}

static int refuse_lock(int error, struct tcmu_reason *reason)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return tcmu_refuse(
			reason, error,
			"the user may not acquire the lock or blocklist its holder: it needs "
			"profile rbd");
	case -EBUSY:
		return tcmu_refuse(
			reason, error, "several clients hold a shared lock of the image");
	case -EROFS:
	case -EAGAIN:
		return tcmu_refuse(
			reason, error, "another client acquires the image's lock again and again");
	default:
		return tcmu_refuse(
			reason, error, "cannot acquire the image's lock: %s", strerror(-error));
	}
}

/* librbd reads most settings when it opens an image. */
static int check_settings(struct image *image, struct tcmu_reason *reason)
{
	int r = image_settings_check(image->rbd, reason);

	if (r < 0 || !image->unsafe)
		return r;
	/* They have been corrected: it is opened again with them. */
	image_fence(image);
	return -ESHUTDOWN;
}

static int lock_image(struct image *image, uint16_t tag, struct tcmu_reason *reason)
{
	int r;

	if (atomic_load(&image->fenced))
		return -ESHUTDOWN;
	/* A read-only image needs no lock. */
	if (image->read_only)
		return 0;
	if (!image->service.lockable)
		return tcmu_refuse(
			reason, -EOPNOTSUPP,
			"the image has no lock: rbd feature enable <image> exclusive-lock");
	r = check_settings(image, reason);
	if (r >= 0 && !image->op_timeout)
		r = image_set_timeout(&image->cluster, IMAGE_SHARED_TIMEOUT);
	if (r < 0)
		return r;
	r = acquire_lock(image);
	if (r == -ESHUTDOWN)
		image_fence(image);
	if (r < 0)
		return r == -ESHUTDOWN ? r : refuse_lock(r, reason);
	atomic_store(&image->on_demand, true);
	store_tag(image, tag);
	image_status_note_lock(image, true);
	return 0;
}

/* librbd says that it has no lock to release. The cluster's word counts. */
static int confirm_unlocked(struct image *image)
{
	char holder[HOLDER_SIZE];
	int r = find_holder(image, holder);

	if (r == -ESHUTDOWN)
		return r;
	if (r < 0 && r != -EBUSY)
		return give_up_connection(image, r);
	return r > 0 && strcmp(holder, image->address) == 0 ? give_up_connection(image, -EINVAL)
							    : 0;
}

static int unlock_image(struct image *image)
{
	int r;

	if (image->read_only || !image->service.lockable || atomic_load(&image->fenced))
		return 0;
	/* A write that timed out may still be in a buffer of a socket. */
	if (atomic_load(&image->recorded) && atomic_load(&image->unanswered)) {
		lease_kill(&image->lease);
		image_fence(image);
		return -ESHUTDOWN;
	}
	image_status_note_lock(image, false);
	r = image_lock_say_end(image);
	if (r < 0)
		return r == -ESHUTDOWN ? r : give_up_connection(image, r);
	r = rbd_lock_release(image->rbd);
	if (r >= 0 || r == -ENOENT || r == -EROFS)
		return 0;
	if (r == -EINVAL)
		return confirm_unlocked(image);
	return r == -ESHUTDOWN ? r : give_up_connection(image, r);
}

/* The group in the holder's tag; 0: the tag is invalid, or an earlier holder's. */
static uint16_t parse_tag(const char *text, const char *holder)
{
	unsigned long number;
	char *end;

	if (strncmp(text, TAG_NUMBER, strlen(TAG_NUMBER)) != 0)
		return 0;
	text += strlen(TAG_NUMBER);
	if (*text < '0' || *text > '9')
		return 0;
	number = strtoul(text, &end, 10);
	if (number > UINT16_MAX || strncmp(end, TAG_CLIENT, strlen(TAG_CLIENT)) != 0)
		return 0;
	return strcmp(end + strlen(TAG_CLIENT), holder) == 0 ? (uint16_t) number : 0;
}

static int query_lock(const struct image *image, bool *ours, uint16_t *tag)
{
	char holder[HOLDER_SIZE], text[HOLDER_SIZE + 64];
	size_t size = sizeof(text);
	int is_holder = 0, r;

	r = find_holder(image, holder);
	if (r <= 0)
		return r;
	r = rbd_is_exclusive_lock_owner(image->rbd, &is_holder);
	if (r < 0)
		return r;
	*ours = is_holder;
	r = rbd_metadata_get(image->rbd, TAG_KEY, text, &size);
	if (r < 0)
		return r == -ENOENT || r == -ERANGE ? 0 : r;
	*tag = parse_tag(text, holder);
	return 0;
}

/* Detects fencing as well: a host that writes nothing would not notice it, and would continue to
 * report that it is active. */
static int get_lock_state(struct image *image, bool *ours, uint16_t *tag)
{
	int r;

	*ours = false;
	*tag = 0;
	if (atomic_load(&image->fenced))
		return -ESHUTDOWN;
	r = query_lock(image, ours, tag);
	if (r == -ESHUTDOWN)
		image_fence(image);
	return r;
}

/* ------- within a limit ------- */

static void work_lock(struct image_call *call)
{
	call->result = lock_image(call->image, call->tag, &call->reason);
}

int image_lock(void *backend, uint16_t tag, struct tcmu_reason *reason)
{
	struct image_call call = {.work = work_lock, .name = "lock", .tag = tag, .reason = *reason};
	int r = image_call_run(backend, &call);

	*reason = call.reason;
	return r;
}

static void work_unlock(struct image_call *call)
{
	call->result = unlock_image(call->image);
}

int image_unlock(void *backend)
{
	struct image_call call = {.work = work_unlock, .name = "unlock"};

	return image_call_run(backend, &call);
}

static void work_lock_state(struct image_call *call)
{
	call->result = get_lock_state(call->image, &call->ours, &call->tag);
}

int image_lock_state(void *backend, bool *ours, uint16_t *tag)
{
	struct image_call call = {.work = work_lock_state, .name = "query of the lock"};
	int r = image_call_run(backend, &call);

	*ours = call.ours;
	*tag = call.tag;
	return r;
}
