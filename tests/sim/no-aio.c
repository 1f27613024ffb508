/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The aio engine, replaced: the model handlers make no system calls.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "aio/aio.h"
#include "threads.h"

struct aio_engine {
	int fd;
};

int aio_engine_new(enum aio_kind kind, unsigned depth, const char *name, struct aio_engine **engine)
{
	(void) kind, (void) depth, (void) name;
	*engine = calloc(1, sizeof(**engine));
	if (!*engine)
		return -ENOMEM;
	(*engine)->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

void aio_engine_free(struct aio_engine *engine)
{
	if (engine)
		close(engine->fd);
	free(engine);
}

enum aio_kind aio_engine_kind(const struct aio_engine *engine)
{
	(void) engine;
	return AIO_THREADS;
}

int aio_engine_fd(const struct aio_engine *engine)
{
	return engine->fd;
}

void aio_queue(struct aio_engine *engine, struct tcmu_io *io, struct tcmu_aio *aio)
{
	(void) engine, (void) io, (void) aio;
	abort();
}

void aio_flush(struct aio_engine *engine)
{
	(void) engine;
	sim_preempt();
}

unsigned aio_reap(struct aio_engine *engine)
{
	(void) engine;
	return 0;
}

bool aio_ready(const struct aio_engine *engine)
{
	(void) engine;
	return false;
}

void aio_cancel(struct aio_engine *engine, struct tcmu_io *io)
{
	(void) engine, (void) io;
}

unsigned aio_in_flight(const struct aio_engine *engine)
{
	(void) engine;
	return 0;
}
