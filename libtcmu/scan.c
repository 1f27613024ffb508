/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCMU devices in /sys/class/uio, the parts of their names, adapters of tcm_loop. No state; any
 * thread.
 */
#include <tcmu/scan.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-file.h"

#define NAME_PREFIX "tcm-user/"

/* Parses [0-9]+ up to end, without leading zeros, as the kernel prints it with %u. */
static int parse_decimal(const char *text, const char *end, uint32_t *value)
{
	uint64_t n = 0;

	assert(text <= end);
	if (text == end || (*text == '0' && text + 1 != end))
		return -EINVAL;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t) (*text - '0');
		if (n > UINT32_MAX)
			return -EINVAL;
	}
	*value = (uint32_t) n;
	return 0;
}

static int copy_part(char *to, size_t size, const char *from, size_t length)
{
	assert(size > 0);
	if (length >= size)
		return -ENAMETOOLONG;
	memcpy(to, from, length);
	to[length] = '\0';
	return 0;
}

int tcmu_name_parse(const char *text, struct tcmu_name *name)
{
	const char *hba, *hba_end, *backstore, *config;
	size_t length, subtype;
	int r;

	memset(name, 0, sizeof(*name));
	if (strncmp(text, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
		return -EINVAL;
	hba = text + strlen(NAME_PREFIX);
	hba_end = strchr(hba, '/');
	if (!hba_end)
		return -EINVAL;
	r = parse_decimal(hba, hba_end, &name->hba);
	if (r < 0)
		return r;

	backstore = hba_end + 1;
	length = strcspn(backstore, "/");
	r = copy_part(name->name, sizeof(name->name), backstore, length);
	if (r < 0)
		return r;
	if (length == 0 || strcmp(name->name, ".") == 0 || strcmp(name->name, "..") == 0)
		return -EINVAL; /* not a name of a directory in configfs */
	if (backstore[length] == '\0')
		return 0;

	config = backstore + length + 1;
	r = copy_part(name->config, sizeof(name->config), config, strlen(config));
	if (r < 0)
		return r;
	subtype = strcspn(config, "/");
	if (subtype < sizeof(name->subtype))
		memcpy(name->subtype, config, subtype); /* zeroed above */
	return 0;
}

int tcmu_scan_minor(unsigned minor, struct tcmu_scan_entry *entry)
{
	char path[TCMU_PATH_SIZE], text[1024];
	int r;

	r = tcmu_path(path, "/sys/class/uio/uio%u/name", minor);
	if (r < 0)
		return r;
	r = tcmu_file_read(path, text, sizeof(text));
	/* A device that is being unregistered still has its file, which then reads as -EINVAL. */
	if (r == -ENOENT || r == -EINVAL || r == -E2BIG)
		return -ENODEV;
	if (r < 0)
		return r;
	entry->minor = minor;
	return tcmu_name_parse(text, &entry->name) < 0 ? -ENODEV : 0;
}

static int compare_minors(const void *a, const void *b)
{
	const struct tcmu_scan_entry *x = a, *y = b;

	return (x->minor > y->minor) - (x->minor < y->minor);
}

/* "uio7" gives 7. */
static bool parse_uio(const char *text, unsigned *minor)
{
	uint32_t n;

	if (strncmp(text, "uio", 3) != 0 || parse_decimal(text + 3, text + strlen(text), &n) < 0)
		return false;
	*minor = n;
	return true;
}

/* Appends the device with this minor unless it is not TCMU's. */
static int append_minor(unsigned minor, struct tcmu_scan_entry **entries, size_t *count)
{
	struct tcmu_scan_entry entry, *more;
	int r;

	r = tcmu_scan_minor(minor, &entry);
	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return r;
	more = reallocarray(*entries, *count + 1, sizeof(entry));
	if (!more)
		return -ENOMEM;
	more[*count] = entry;
	*entries = more;
	(*count)++;
	return 0;
}

int tcmu_scan(struct tcmu_scan_entry **entries)
{
	char path[TCMU_PATH_SIZE];
	struct tcmu_scan_entry *found = NULL;
	struct dirent *dirent;
	size_t count = 0;
	unsigned minor;
	DIR *dir;
	int r;

	*entries = NULL;
	r = tcmu_path(path, "/sys/class/uio");
	if (r < 0)
		return r;
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno; /* the uio module is not loaded */
	while (r == 0 && (errno = 0, dirent = readdir(dir)))
		if (parse_uio(dirent->d_name, &minor))
			r = append_minor(minor, &found, &count);
	if (r == 0)
		r = -errno;
	closedir(dir);
	if (r < 0) {
		free(found);
		return r;
	}
	if (count > 0)
		qsort(found, count, sizeof(*found), compare_minors);
	assert(count <= INT_MAX && (found || count == 0));
	*entries = found;
	return (int) count;
}

int tcmu_scan_map_size(unsigned minor, size_t *size)
{
	char path[TCMU_PATH_SIZE], text[64];
	uint64_t value;
	int r;

	r = tcmu_path(path, "/sys/class/uio/uio%u/maps/map0/size", minor);
	if (r < 0)
		return r;
	r = tcmu_file_read(path, text, sizeof(text));
	if (r == -ENOENT || r == -EINVAL)
		return -ENODEV;
	if (r < 0)
		return r;
	r = tcmu_parse_unsigned(text, &value);
	if (r < 0 || value == 0)
		return -EBADMSG;
	*size = value;
	return 0;
}

void tcmu_set_root(const char *root)
{
	tcmu_root_set(root);
}
