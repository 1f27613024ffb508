/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image that a config string names, and its claim.
 */
#include "target.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NO_FSID "00000000-0000-0000-0000-000000000000"

/* Takes the name before the next slash. */
static bool take_name(const char **text, char *name)
{
	size_t length = strcspn(*text, "/");

	if (length == 0 || length >= IMAGE_NAME_SIZE)
		return false;
	memcpy(name, *text, length);
	name[length] = '\0';
	*text += length;
	if (**text == '/')
		++*text;
	return true;
}

static int refuse_form(const char *cause, const char *text, struct tcmu_reason *reason)
{
	return tcmu_refuse(
		reason, -EINVAL, "%s: pool[/namespace]/image[@snapshot] is expected: %s", cause,
		text);
}

int image_parse(const char *text, struct image_target *target, struct tcmu_reason *reason)
{
	const char *rest = text;
	unsigned slashes = 0;
	char *at;

	memset(target, 0, sizeof(*target));
	for (const char *c = text; *c; c++)
		slashes += *c == '/';
	if (slashes < 1 || slashes > 2)
		return refuse_form("one or two slashes are expected", text, reason);
	if (!take_name(&rest, target->pool) ||
	    (slashes == 2 && !take_name(&rest, target->name_space)) ||
	    !take_name(&rest, target->name))
		return refuse_form("a name is missing", text, reason);
	if (strchr(target->pool, '@') || strchr(target->name_space, '@'))
		return refuse_form("only an image has snapshots", text, reason);
	at = strchr(target->name, '@');
	if (!at)
		return 0;
	*at++ = '\0';
	if (!target->name[0] || !at[0] || strchr(at, '@'))
		return refuse_form("the snapshot is invalid", text, reason);
	memcpy(target->snapshot, at, strlen(at) + 1);
	return 0;
}

/* FNV-1a with a given offset basis. */
static uint64_t fnv_hash(uint64_t value, const char *text)
{
	for (; *text; text++)
		value = (value ^ (unsigned char) *text) * UINT64_C(0x100000001b3);
	return value;
}

void image_claim(const struct image_target *target, const char *fsid, char *claim, size_t size)
{
	char name[3 * IMAGE_NAME_SIZE];
	int length;

	assert(size > 0);
	claim[0] = '\0';
	if (target->snapshot[0] || !fsid[0] || strcmp(fsid, NO_FSID) == 0)
		return;
	(void) snprintf(
		name, sizeof(name), "%s/%s/%s", target->pool, target->name_space, target->name);
	length = snprintf(claim, size, "rbd %s %s", fsid, name);
	if (length >= 0 && (size_t) length < size)
		return;
	/* Too long: a hash also is unique. */
	(void) snprintf(
		claim, size, "rbd %s #%016" PRIx64 "%016" PRIx64, fsid,
		fnv_hash(UINT64_C(0xcbf29ce484222325), name),
		fnv_hash(UINT64_C(0x9e3779b97f4a7c15), name));
}
