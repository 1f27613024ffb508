/* SPDX-License-Identifier: Apache-2.0 */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 8

/* A new file, or -errno. O_EXCL follows no link, not even a dangling one. */
static int create_beside(struct replace *replace)
{
	uint64_t suffix;
	int fd = -1;

	for (int i = 0; i < TRIES; i++) {
		if (getrandom(&suffix, sizeof(suffix), 0) != sizeof(suffix))
			return -EIO;
		if (snprintf(
			    replace->beside, sizeof(replace->beside), "%s.%016llx", replace->path,
			    (unsigned long long) suffix) >= (int) sizeof(replace->beside))
			return -ENAMETOOLONG;
		fd = open(
			replace->beside,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0666);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

/* Whether the file may be replaced: it is regular, or not there. */
static bool is_replaceable(const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	bool r;

	if (fd < 0)
		return true;
	r = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	(void) close(fd);
	return r;
}

int replace_begin(struct replace *replace, const char *path)
{
	int fd;

	*replace = (struct replace){.path = path};
	if (!is_replaceable(path))
		return -EINVAL;
	fd = create_beside(replace);
	if (fd < 0)
		return fd;
	replace->out = fdopen(fd, "w");
	if (replace->out)
		return 0;
	(void) close(fd);
	(void) unlink(replace->beside);
	return -ENOMEM;
}

int replace_end(struct replace *replace)
{
	int r = ferror(replace->out) ? -EIO : 0;

	if (fclose(replace->out) != 0)
		r = -errno;
	if (r == 0 && rename(replace->beside, replace->path) < 0)
		r = -errno;
	if (r < 0)
		(void) unlink(replace->beside);
	replace->out = NULL;
	return r;
}
