/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a config string to a server and an export. The target is a URI, which libnbd parses, or the
 * absolute path of a Unix socket.
 */
#include "target.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"

static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};

#define SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

/* The URI after "scheme://"; NULL: it is no URI of NBD. */
static const char *skip_scheme(const char *text)
{
	for (unsigned i = 0; i < SCHEMES; i++)
		if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
			return text + strlen(schemes[i]);
	return NULL;
}

static void copy_option(
	const struct tcmu_config *config, enum remote_option option, char text[REMOTE_TEXT_SIZE])
{
	const char *value = config->values[option].string;

	assert(option < REMOTE_OPTIONS);
	(void) snprintf(text, REMOTE_TEXT_SIZE, "%s", value ? value : "");
}

static int check_numbers(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	uint64_t connections = config->values[REMOTE_CONNECTIONS].number;
	uint64_t unflushed = config->values[REMOTE_UNFLUSHED].number;

	if (connections < 1 || connections > REMOTE_CONNECTIONS_MAX)
		return tcmu_refuse(
			reason, -EINVAL, "connections=%" PRIu64 " is not within 1 to %u",
			connections, REMOTE_CONNECTIONS_MAX);
	if (unflushed && (unflushed < REMOTE_UNFLUSHED_MIN || unflushed > REMOTE_UNFLUSHED_MAX))
		return tcmu_refuse(reason, -EINVAL, "unflushed is neither 0 nor within 4M to 1G");
	if (config->values[REMOTE_TIMEOUT].number > UINT32_MAX / 1000)
		return tcmu_refuse(
			reason, -EINVAL, "timeout=%" PRIu64 " is too long",
			config->values[REMOTE_TIMEOUT].number);
	return 0;
}

/* A user with the key can read the disk. */
static int check_psk(const char *path, struct tcmu_reason *reason)
{
	struct stat st = {.st_mode = 0};
	int fd, error;

	if (!path[0])
		return 0;
	fd = open(path, O_PATH | O_CLOEXEC);
	error = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;
	if (fd >= 0)
		(void) close(fd);
	if (error)
		return tcmu_refuse(
			reason, -error, "cannot read the file of psk=: %s: %s", strerror(error),
			path);
	if (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
		return tcmu_refuse(
			reason, -EPERM,
			"others may read or write the file of psk=; take their permission away "
			"(chmod 0600): %s",
			path);
	return 0;
}

int remote_parse(
	const struct tcmu_config *config, struct remote_endpoint *endpoint,
	struct tcmu_reason *reason)
{
	bool uri = skip_scheme(config->target) != NULL;
	int r = check_numbers(config, reason);

	*endpoint = (struct remote_endpoint){
		.tls = config->values[REMOTE_TLS].number != 0,
		.verify = config->values[REMOTE_VERIFY].number != 0,
		.connections = (unsigned) config->values[REMOTE_CONNECTIONS].number};
	if (r < 0)
		return r;
	if (!uri && config->target[0] != '/')
		return tcmu_refuse(
			reason, -EINVAL,
			"the target is neither a URI of nbd, nbds, nbd+unix or nbds+unix nor the "
			"absolute path of a socket (in a URI, %%3A stands for a colon): %.100s",
			config->target);
	if (uri && config->values[REMOTE_EXPORT].given)
		return tcmu_refuse(
			reason, -EINVAL, "the URI names the export, so export= has no place here");
	(void) snprintf(
		uri ? endpoint->uri : endpoint->socket, REMOTE_TEXT_SIZE, "%s", config->target);
	copy_option(config, REMOTE_EXPORT, endpoint->export);
	copy_option(config, REMOTE_CERTIFICATES, endpoint->certificates);
	copy_option(config, REMOTE_PSK, endpoint->psk);
	copy_option(config, REMOTE_USER, endpoint->user);
	return check_psk(endpoint->psk, reason);
}

/* ------- names ------- */

/* The authority of a URI after its user. */
static const char *skip_user(const char *authority)
{
	const char *end = authority + strcspn(authority, "/?#");
	const char *at = memchr(authority, '@', (size_t) (end - authority));

	return at ? at + 1 : authority;
}

const char *remote_target_name(const struct remote_endpoint *endpoint)
{
	const char *authority = skip_scheme(endpoint->uri);

	return authority ? skip_user(authority) : endpoint->socket;
}

/* The value of a hexadecimal digit; -1: it is none. */
static int digit_value(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = digit ? strchr(digits, tolower((unsigned char) digit)) : NULL;

	return found ? (int) (found - digits) : -1;
}

/* The decoded text up to the end or `stop`. */
static void decode_text(const char *text, const char *stop, char decoded[REMOTE_TEXT_SIZE])
{
	size_t length = strcspn(text, stop), used = 0;

	for (size_t i = 0; i < length && used < REMOTE_TEXT_SIZE - 1; i++) {
		bool escape = text[i] == '%' && i + 2 < length && digit_value(text[i + 1]) >= 0 &&
			digit_value(text[i + 2]) >= 0;

		decoded[used++] = escape
			? (char) (digit_value(text[i + 1]) * 16 + digit_value(text[i + 2]))
			: text[i];
		i += escape ? 2 : 0;
	}
	decoded[used] = '\0';
}

/* The value of "socket=" in the query of a URI; "": it has none. */
static void find_socket(const char *uri, char path[REMOTE_TEXT_SIZE])
{
	const char *query = strchr(uri, '?');

	path[0] = '\0';
	while (query) {
		query++;
		if (strncmp(query, "socket=", 7) == 0) {
			decode_text(query + 7, "&;#", path);
			return;
		}
		query = strpbrk(query, "&;");
	}
}

/* The path without links, by the kernel. Without a server the socket need not exist; then it is the
 * text. */
static void claim_socket(const char *path, const char *export, char *claim, size_t size)
{
	char link[64], real[PATH_MAX];
	int fd = open(path, O_PATH | O_CLOEXEC);
	ssize_t length = -1;

	(void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (fd >= 0) {
		length = readlink(link, real, sizeof(real) - 1);
		(void) close(fd);
	}
	real[length > 0 ? length : 0] = '\0';
	(void) snprintf(claim, size, "nbd %s %s", length > 0 ? real : path, export);
}

void remote_claim(const struct remote_endpoint *endpoint, char *claim, size_t size)
{
	const char *authority = remote_target_name(endpoint), *path, *port;
	char server[REMOTE_TEXT_SIZE], export[REMOTE_TEXT_SIZE], local[REMOTE_TEXT_SIZE];

	assert(size > 0);
	if (!endpoint->uri[0]) {
		claim_socket(endpoint->socket, endpoint->export, claim, size);
		return;
	}
	path = authority + strcspn(authority, "/?#");
	decode_text(*path == '/' ? path + 1 : path, "?#", export);
	find_socket(authority, local);
	if (local[0]) {
		claim_socket(local, export, claim, size);
		return;
	}
	decode_text(authority, "/?#", server);
	for (char *c = server; *c; c++)
		*c = (char) tolower((unsigned char) *c);
	port = strrchr(server, ':');
	if (port && strchr(port, ']'))
		port = NULL;
	(void) snprintf(claim, size, "nbd %s%s %s", server, port ? "" : ":10809", export);
}
