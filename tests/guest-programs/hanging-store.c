/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hanging-store HOLD [CLOSED]: serves the subtype "hanging" from memory by <tcmu/server.h>. While
 * the file HOLD exists, writes hang. It makes the file CLOSED when a store is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tcmu/server.h>

static const char *hold_file, *closed_file;

static int hanging_open(void *userdata, const struct tcmu_name *name, uint64_t size, void **store)
{
	(void) userdata;
	(void) name;
	*store = calloc(1, size);
	return *store ? 0 : -ENOMEM;
}

static void hanging_close(void *store)
{
	free(store);
	if (closed_file)
		(void) close(open(closed_file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static int hanging_read(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset)
{
	const char *from = (const char *) store + offset;

	for (unsigned i = 0; i < iov_cnt; from += iov[i++].iov_len)
		memcpy(iov[i].iov_base, from, iov[i].iov_len);
	return 0;
}

/* The buffers are used after the hang, as by a library that gets an answer late. */
static int hanging_write(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset)
{
	char *to = (char *) store + offset;

	while (access(hold_file, F_OK) == 0)
		(void) poll(NULL, 0, 10);
	for (unsigned i = 0; i < iov_cnt; to += iov[i++].iov_len)
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct tcmu_server_functions functions = {
		.size = sizeof(functions),
		.open = hanging_open,
		.close = hanging_close,
		.store =
			{.size = sizeof(functions.store),
			 .read = hanging_read,
			 .write = hanging_write},
	};
	struct tcmu_server *server = NULL;
	int r;

	if (argc < 2)
		return 2;
	hold_file = argv[1];
	closed_file = argv[2];
	r = tcmu_server_new("hanging", &functions, NULL, &server);
	while (r == 0) {
		struct pollfd fd = {.fd = tcmu_server_fd(server), .events = POLLIN};

		(void) poll(&fd, 1, -1);
		r = tcmu_server_work(server);
	}
	(void) fprintf(stderr, "%s\n", strerror(-r));
	return 1;
}
