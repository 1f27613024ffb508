/* SPDX-License-Identifier: Apache-2.0 */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
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

int replace_begin(struct replace *replace, const char *path)
{
	struct stat st;
	int fd;

	*replace = (struct replace){.path = path};
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
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
