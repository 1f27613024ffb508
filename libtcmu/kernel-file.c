/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing the kernel's small files. The root is global to the process; only tests set
 * it, before they start a thread.
 */
#include "kernel-file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root_path[512];

static __thread int scarce; /* -EMFILE or -ENFILE */

void tcmu_root_set(const char *root)
{
	size_t length = strlen(root);

	while (length > 0 && root[length - 1] == '/')
		length--;
	/* A root that is cut does not exist, which is better than the real one. */
	if (length >= sizeof(root_path))
		length = sizeof(root_path) - 1;
	memcpy(root_path, root, length);
	assert(length < sizeof(root_path));
	root_path[length] = '\0';
}

const char *tcmu_root(void)
{
	return root_path;
}

int tcmu_path(char path[static TCMU_PATH_SIZE], const char *format, ...)
{
	size_t root = (size_t) snprintf(path, TCMU_PATH_SIZE, "%s", root_path);
	va_list args;
	int n;

	assert(root < TCMU_PATH_SIZE);
	va_start(args, format);
	n = vsnprintf(path + root, TCMU_PATH_SIZE - root, format, args);
	va_end(args);
	if (n < 0 || (size_t) n >= TCMU_PATH_SIZE - root)
		return -ENAMETOOLONG;
	return 0;
}

static int read_all(int fd, char *text, size_t size)
{
	size_t used = 0;

	assert(fd >= 0 && size > 0);
	while (used < size) {
		ssize_t n = read(fd, text + used, size - used);

		if (n == 0)
			return (int) used;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			used += (size_t) n;
	}
	return -E2BIG;
}

int tcmu_file_scarce(void)
{
	int r = scarce;

	scarce = 0;
	assert(r <= 0);
	return r;
}

int tcmu_file_read(const char *path, char *text, size_t size)
{
	int fd, n;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		n = -errno;
		if (n == -EMFILE || n == -ENFILE)
			scarce = n;
		return n;
	}
	n = read_all(fd, text, size);
	close(fd);
	if (n < 0)
		return n;
	assert((size_t) n < size);
	if (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return n;
}

int tcmu_file_write(const char *path, const char *text)
{
	size_t length = strlen(text);
	ssize_t n;
	int fd, r = 0;

	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, length);
	if (n < 0)
		r = -errno;
	else if ((size_t) n != length)
		r = -EIO;
	close(fd);
	return r;
}

int tcmu_parse_unsigned(const char *text, uint64_t *value)
{
	int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
	const char *digits = base == 16 ? text + 2 : text;
	size_t length = strspn(digits, base == 16 ? "0123456789abcdefABCDEF" : "0123456789");
	unsigned long long n;

	if (length == 0 || digits[length] != '\0')
		return -EBADMSG;
	errno = 0;
	n = strtoull(digits, NULL, base);
	if (errno != 0)
		return -EBADMSG;
	*value = n;
	return 0;
}
