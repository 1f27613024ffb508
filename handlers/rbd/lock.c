/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image's exclusive lock, taken at the daemon's word: who else has it is shut out of the
 * cluster first, so that nothing that he has under way lands on top of what we write. That is
 * librbd's doing: it has the client blocklisted, waits until its own requests carry the map that
 * says so, which the storage then has too, and only then takes the lock.
 *
 * Beside the lock the image's metadata says for which target port group it was taken and by which
 * client, in the words that other gateways use.
 *
 * Entries of the blocklist that are about earlier connections of ours are left to expire. They shut
 * out nobody else, for every connection has an address of its own; and while a storage daemon that
 * hangs may still have writes of an old one to look at, only the entry keeps them out.
 *
 * Threads of jobs; every function may wait for the cluster.
 */
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_KEY    "tcmu_rbd_locker_tag"
#define TAG_NUMBER "tcmu_tag="
#define TAG_CLIENT ",rbd_client="
#define OWNER_SIZE 128
#define TRIES      5

/* Who has the lock: 1, or 0: nobody. -EBUSY: several share it. */
static int find_owner(const struct image *image, char owner[static OWNER_SIZE])
{
	rbd_lock_mode_t mode;
	char *owners[1];
	size_t cnt = 1;
	int r = rbd_lock_get_owners(image->rbd, &mode, owners, &cnt);

	owner[0] = '\0';
	if (r == -ENOENT || (r >= 0 && !cnt))
		return 0;
	if (r < 0)
		return r == -ERANGE ? -EBUSY : r;
	(void) snprintf(owner, OWNER_SIZE, "%s", owners[0]);
	rbd_lock_get_owners_cleanup(owners, cnt);
	return mode == RBD_LOCK_MODE_EXCLUSIVE ? 1 : -EBUSY;
}

static int shut_out_another(struct image *image)
{
	char owner[OWNER_SIZE];
	int ours = 0;
	int r = rbd_is_exclusive_lock_owner(image->rbd, &ours);

	if (r < 0 || ours)
		return r;
	r = find_owner(image, owner);
	if (r <= 0)
		return r;
	r = rbd_lock_break(image->rbd, RBD_LOCK_MODE_EXCLUSIVE, owner);
	/* It has just given it up, or somebody else was faster. */
	return r == -ENOENT || r == -EBUSY || r == -EAGAIN ? 0 : r;
}

/* Also where librbd has taken the lock by itself: from now on it neither takes it nor hands it over
 * without being asked. */
static int acquire(struct image *image)
{
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		r = shut_out_another(image);
		if (r < 0)
			break;
		r = rbd_lock_acquire(image->rbd, RBD_LOCK_MODE_EXCLUSIVE);
		if (r != -EBUSY && r != -EAGAIN && r != -EROFS)
			break;
	}
	return r;
}

static void keep_tag(struct image *image, uint16_t tag)
{
	char owner[OWNER_SIZE], text[OWNER_SIZE + 64];
	int r = find_owner(image, owner);

	if (r > 0) {
		(void) snprintf(text, sizeof(text), TAG_NUMBER "%hu" TAG_CLIENT "%s", tag, owner);
		r = rbd_metadata_set(image->rbd, TAG_KEY, text);
	}
	if (r >= 0)
		return;
	/* The lock is what counts; this only makes initiators choose well. */
	(void) snprintf(
		text, sizeof(text), "other gateways cannot tell which port group is active: %s",
		strerror(-r));
	image->host->log(image->dev, TCMU_LOG_WARNING, text);
}

static int refuse_lock(int error, struct tcmu_reason *reason)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return image_refuse(
			reason, error,
			"the user may not take the lock, or not blocklist its owner: profile rbd "
			"is what it "
			"needs");
	case -EBUSY:
		return image_refuse(
			reason, error, "several clients hold a shared lock of the image");
	case -EROFS:
	case -EAGAIN:
		return image_refuse(
			reason, error, "another client holds the image's lock and keeps taking it");
	default:
		return image_refuse(
			reason, error, "the image's lock cannot be had: %s", strerror(-error));
	}
}

int image_lock(void *backend, uint16_t tag, struct tcmu_reason *reason)
{
	struct image *image = backend;
	int r;

	if (atomic_load(&image->fenced))
		return -ESHUTDOWN;
	/* What nobody writes to can have any number of owners. */
	if (image->read_only)
		return 0;
	if (!image->service.lockable)
		return image_refuse(
			reason, -EOPNOTSUPP,
			"the image has no lock: rbd feature enable <image> exclusive-lock");
	r = acquire(image);
	if (r == -ESHUTDOWN)
		image_fence(image);
	if (r < 0)
		return r == -ESHUTDOWN ? r : refuse_lock(r, reason);
	atomic_store(&image->on_demand, true);
	keep_tag(image, tag);
	image_service_note_lock(image, true);
	return 0;
}

int image_unlock(void *backend)
{
	struct image *image = backend;
	int r;

	if (image->read_only || !image->service.lockable || atomic_load(&image->fenced))
		return 0;
	image_service_note_lock(image, false);
	r = rbd_lock_release(image->rbd);
	return r == -ENOENT || r == -EROFS ? 0 : r;
}

/* The group that the owner's tag names; 0: it names none, or it is another owner's, left behind. */
static uint16_t tag_of(const char *text, const char *owner)
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
	return strcmp(end + strlen(TAG_CLIENT), owner) == 0 ? (uint16_t) number : 0;
}

static int find_state(const struct image *image, bool *ours, uint16_t *tag)
{
	char owner[OWNER_SIZE], text[OWNER_SIZE + 64];
	size_t size = sizeof(text);
	int is_owner = 0, r;

	r = find_owner(image, owner);
	if (r <= 0)
		return r;
	r = rbd_is_exclusive_lock_owner(image->rbd, &is_owner);
	if (r < 0)
		return r;
	*ours = is_owner;
	r = rbd_metadata_get(image->rbd, TAG_KEY, text, &size);
	if (r < 0)
		return r == -ENOENT || r == -ERANGE ? 0 : r;
	*tag = tag_of(text, owner);
	return 0;
}

/* One that has nothing to write does not learn otherwise that it was shut out, and would go on to
 * tell initiators that it is active. */
int image_lock_state(void *backend, bool *ours, uint16_t *tag)
{
	struct image *image = backend;
	int r;

	*ours = false;
	*tag = 0;
	if (atomic_load(&image->fenced))
		return -ESHUTDOWN;
	r = find_state(image, ours, tag);
	if (r == -ESHUTDOWN)
		image_fence(image);
	return r;
}
