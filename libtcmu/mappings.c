/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mappings of a device's LUNs, found by a walk over the fabrics:
 *
 *   <fabric>/<target>/tpgt_<n>/lun/lun_<n>/<link to the device>
 *   <fabric>/<target>/tpgt_<n>/acls/<initiator>/lun_<n>/<link to the lun_<n> above>
 *
 * Links may have any name; so each is followed, and compared with the directory of the device. A
 * directory that goes away during the walk has no mapping any more. Every other error ends the
 * walk: the caller must not take an unknown mapping for none. No state; any thread that may block.
 */
#include <tcmu/mappings.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel-file.h"

#define TARGET_ROOT "/sys/kernel/config/target"

#define LOOPBACK    "loopback"
#define NAME_SIZE   256

/* An initiator of the device, or all that a portal group admits without a mapping. */
struct admission {
	char fabric[NAME_SIZE];
	char target[NAME_SIZE];
	char portal_group[NAME_SIZE];
	char initiator[NAME_SIZE]; /* empty: without a mapping */
	bool writes;
};

struct walk {
	struct stat device;    /* its directory */
	struct admission here; /* where the walk is */
	struct admission *list;
	unsigned cnt;
};

/* directory: open; name: of an entry in it. Returns 0, 1 to end the walk of the directory, or a
 * negative errno. */
typedef int walk_visit(struct walk *walk, int directory, const char *name);

/* ------- directories and files ------- */

static int walk_entries(struct walk *walk, DIR *stream, const char *prefix, walk_visit *visit)
{
	struct dirent *entry;
	int r = 0;

	errno = 0;
	while (r == 0 && (entry = readdir(stream))) {
		if (entry->d_name[0] != '.' && entry->d_type != DT_REG &&
		    strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			r = visit(walk, dirfd(stream), entry->d_name);
		errno = 0;
	}
	return r == 0 && errno ? -errno : r;
}

/* Visits the directories and links in parent/name whose names begin with prefix. Returns what the
 * last visit has returned; 0 also where there is no such directory. */
static int walk_directory(
	struct walk *walk, int parent, const char *name, const char *prefix, walk_visit *visit)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream;
	int r;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	stream = fdopendir(fd);
	if (!stream) {
		r = -errno;
		close(fd);
		return r;
	}
	r = walk_entries(walk, stream, prefix, visit);
	closedir(stream);
	return r;
}

/* Reads a file that holds 0 or 1. Returns that, or a negative errno. */
static int read_switch(int directory, const char *file)
{
	char text[8] = "";
	int fd = openat(directory, file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int) n;
	return text[0] == '0' ? 0 : text[0] == '1' ? 1 : -EBADMSG;
}

/* ------- mappings ------- */

/* False: it does not fit; no name of the kernel is so long. */
static bool walk_note(char note[NAME_SIZE], const char *name)
{
	size_t length = strlen(name);

	if (length >= NAME_SIZE)
		return false;
	memcpy(note, name, length + 1);
	return true;
}

/* Adds an initiator to the list. Returns 0 or -ENOMEM. */
static int walk_admit(struct walk *walk, bool writes)
{
	struct admission *more = realloc(walk->list, (walk->cnt + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	assert(walk->here.fabric[0] && walk->here.portal_group[0]);
	walk->list = more;
	more[walk->cnt] = walk->here;
	more[walk->cnt++].writes = writes;
	return 0;
}

/* Whether an entry is a link to the device: 1 or 0. */
static int visit_device_link(struct walk *walk, int directory, const char *name)
{
	struct stat status;

	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISLNK(status.st_mode))
		return 0;
	if (fstatat(directory, name, &status, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return status.st_dev == walk->device.st_dev && status.st_ino == walk->device.st_ino;
}

/* Whether lun_<n> of a portal group is the device: 1 or 0. */
static int visit_lun(struct walk *walk, int directory, const char *name)
{
	return walk_directory(walk, directory, name, "", visit_device_link);
}

/* Whether an entry of a mapped LUN links to a LUN that is the device: 1 or 0. */
static int visit_lun_link(struct walk *walk, int directory, const char *name)
{
	struct stat status;

	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISLNK(status.st_mode) ? visit_lun(walk, directory, name) : 0;
}

static int visit_mapped_lun(struct walk *walk, int directory, const char *name)
{
	int r = walk_directory(walk, directory, name, "", visit_lun_link);
	int lun;

	if (r <= 0)
		return r;
	lun = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lun < 0)
		return -errno;
	r = read_switch(lun, "write_protect");
	close(lun);
	return r < 0 ? r : walk_admit(walk, !r);
}

static int visit_initiator(struct walk *walk, int directory, const char *name)
{
	if (!walk_note(walk->here.initiator, name))
		return -ENAMETOOLONG;
	return walk_directory(walk, directory, name, "lun_", visit_mapped_lun);
}

/* Initiators without a mapping. A fabric without these attributes has no demo mode to turn off: it
 * admits all initiators, which may write. */
static int check_demo_mode(struct walk *walk, int portal_group)
{
	int admits = read_switch(portal_group, "attrib/generate_node_acls");
	int protects;

	if (admits == 0 || (admits < 0 && admits != -ENOENT))
		return admits;
	protects = read_switch(portal_group, "attrib/demo_mode_write_protect");
	if (protects < 0 && protects != -ENOENT)
		return protects;
	walk->here.initiator[0] = '\0';
	return walk_admit(walk, protects != 1);
}

static int check_portal_group(struct walk *walk, int portal_group)
{
	int r = walk_directory(walk, portal_group, "lun", "lun_", visit_lun);

	if (r <= 0)
		return r;
	r = check_demo_mode(walk, portal_group);
	return r < 0 ? r : walk_directory(walk, portal_group, "acls", "", visit_initiator);
}

static int visit_portal_group(struct walk *walk, int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	r = walk_note(walk->here.portal_group, name) ? check_portal_group(walk, fd) : -ENAMETOOLONG;
	assert(r <= 0);
	close(fd);
	return r;
}

static int visit_target(struct walk *walk, int directory, const char *name)
{
	if (!walk_note(walk->here.target, name))
		return -ENAMETOOLONG;
	return walk_directory(walk, directory, name, "tpgt_", visit_portal_group);
}

static int visit_fabric(struct walk *walk, int directory, const char *name)
{
	if (strcmp(name, "core") == 0)
		return 0;
	if (!walk_note(walk->here.fabric, name))
		return -ENAMETOOLONG;
	return walk_directory(walk, directory, name, "", visit_target);
}

/* Lists the initiators of the device; the caller frees the list, also after an error. Returns 0 or
 * a negative errno. */
static int walk_fabrics(struct walk *walk, const struct tcmu_name *name)
{
	char path[TCMU_PATH_SIZE];
	int r = tcmu_path(path, TARGET_ROOT "/core/user_%u/%s", name->hba, name->name);

	if (r < 0)
		return r;
	if (stat(path, &walk->device) < 0)
		return -errno;
	r = tcmu_path(path, TARGET_ROOT);
	r = r < 0 ? r : walk_directory(walk, AT_FDCWD, path, "", visit_fabric);
	assert(r <= 0);
	return r;
}

/* ------- the reservation ------- */

/* pr/res_holder is a sentence. Where the target core keeps no reservations, nobody can have one. */
static int read_reservation(const struct tcmu_name *name, bool *reserved)
{
	static const char *const none[] = {
		"No SPC-3 Reservation holder", "No SPC-2 Reservation holder",
		"SPC_RESERVATIONS_DISABLED", "Passthrough"};
	static const char *const held[] = {"SPC-3 Reservation:", "SPC-2 Reservation:"};
	char path[TCMU_PATH_SIZE], text[1024];
	int r = tcmu_path(
		path, TARGET_ROOT "/core/user_%u/%s/pr/res_holder", name->hba, name->name);

	if (r >= 0)
		r = tcmu_file_read(path, text, sizeof(text));
	if (r < 0)
		return r;
	*reserved = false;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (strncmp(text, none[i], strlen(none[i])) == 0)
			return 0;
	*reserved = true;
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		if (strncmp(text, held[i], strlen(held[i])) == 0)
			return 0;
	return -EBADMSG;
}

/* ------- the answers ------- */

int tcmu_mappings_read(const struct tcmu_name *name, struct tcmu_mappings *mappings)
{
	struct walk walk = {0};
	int r = walk_fabrics(&walk, name);

	*mappings = (struct tcmu_mappings){.initiators = walk.cnt};
	for (unsigned i = 0; i < walk.cnt; i++)
		mappings->write_protected |= !walk.list[i].writes;
	free(walk.list);
	return r < 0 ? r : read_reservation(name, &mappings->reserved);
}

static bool is_same_initiator(const struct admission *a, const struct admission *b)
{
	if (strcmp(a->fabric, b->fabric) != 0 || strcmp(a->initiator, b->initiator) != 0)
		return false;
	return a->initiator[0] || strcmp(a->fabric, LOOPBACK) == 0 ||
		(strcmp(a->target, b->target) == 0 &&
		 strcmp(a->portal_group, b->portal_group) == 0);
}

/* Whether an initiator is in the list, and whether it may write there. */
static bool walk_has(const struct walk *walk, const struct admission *initiator, bool *writes)
{
	bool found = false;

	*writes = false;
	for (unsigned i = 0; i < walk->cnt; i++) {
		if (!is_same_initiator(&walk->list[i], initiator))
			continue;
		found = true;
		*writes |= walk->list[i].writes;
	}
	assert(found || !*writes);
	return found;
}

int tcmu_mappings_compare(
	const struct tcmu_name *name, const struct tcmu_name *other, bool *may_read,
	bool *may_write)
{
	struct walk own = {0}, others = {0};
	int r = walk_fabrics(&own, name);

	r = r < 0 ? r : walk_fabrics(&others, other);
	*may_read = *may_write = r >= 0 && own.cnt;
	for (unsigned i = 0; r >= 0 && i < own.cnt; i++) {
		bool writes;

		*may_read &= walk_has(&others, &own.list[i], &writes);
		*may_write &= writes;
	}
	free(own.list);
	free(others.list);
	return r;
}
