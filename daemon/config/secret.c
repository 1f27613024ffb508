/* SPDX-License-Identifier: Apache-2.0 */
/* See config/secret.h. */
#include "config/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "base/reason.h"
#include "base/trust.h"

#define SECRET_MAX 4096
#define HIDDEN_MIN 4 /* a shorter text would be found in any sentence */

/* NULL: the file may have a secret. */
static const char *secret_problem(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is not a regular file";
	if (!trust_user(st->st_uid))
		return "it belongs to another user";
	if (st->st_mode & (S_IRWXO | S_IWGRP))
		return "others may read or write it (chmod 600)";
	if (st->st_size > SECRET_MAX)
		return "it has more than 4096 bytes";
	return NULL;
}

/* Returns the length without a final newline, or -errno. secret: SECRET_MAX + 1 bytes. */
static ssize_t secret_fill(int fd, char *secret)
{
	ssize_t length = 0, r;

	do {
		r = read(fd, secret + length, (size_t) (SECRET_MAX + 1 - length));
		if (r > 0)
			length += r;
	} while (r > 0 && length <= SECRET_MAX);
	if (r < 0)
		return -errno;
	if (length > SECRET_MAX)
		return -EFBIG;
	if (length && secret[length - 1] == '\n')
		length--;
	return memchr(secret, '\0', (size_t) length) ? -EILSEQ : length;
}

int secret_read(const char *path, const char *option, char **secret, struct tcmu_reason *reason)
{
	const char *problem;
	char *text;
	ssize_t length;
	struct stat st;
	int fd;

	if (*path != '/')
		return reason_refuse(
			reason, -ENOKEY,
			"the option \"%s\" is \"%.40s\": expected the absolute path of a file with "
			"the secret",
			option, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return reason_refuse(
			reason, -ENOKEY, "the file of the option \"%s\" cannot be opened: %s: %s",
			option, strerror(errno), path);
	problem = fstat(fd, &st) < 0 ? strerror(errno) : secret_problem(&st);
	if (problem) {
		(void) close(fd);
		return reason_refuse(
			reason, -ENOKEY, "the file of the option \"%s\" is refused: %s: %s", option,
			problem, path);
	}
	text = g_malloc0(SECRET_MAX + 1);
	length = secret_fill(fd, text);
	(void) close(fd);
	if (length < 0) {
		secret_free(text);
		return reason_refuse(
			reason, -ENOKEY, "the file of the option \"%s\" cannot be read: %s: %s",
			option, strerror((int) -length), path);
	}
	assert(length <= SECRET_MAX);
	text[length] = '\0';
	*secret = text;
	return 0;
}

void secret_hide(const char *secret, char *text)
{
	size_t length = strlen(secret);

	if (length < HIDDEN_MIN)
		return;
	for (char *at = text; (at = strstr(at, secret)); at += length)
		memset(at, '*', length);
}

void secret_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	g_free(secret);
}
