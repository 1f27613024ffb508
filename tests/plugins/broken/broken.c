/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler that breaks its contract in the way that the option break names. tcmu-handler-test must
 * find each of them (tests/kit/broken-plugins). With break=none it is a good handler: a disk in
 * memory that outlives close, served by two threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tcmu/handler.h>

#ifndef BROKEN_SUBTYPE
#define BROKEN_SUBTYPE "broken"
#endif

enum broken_break {
	NONE,
	DOUBLE_COMPLETION,
	COMPLETION_AFTER_CLOSE,
	NEVER_COMPLETES,
	POSITIVE_ERROR,
	FAILS_SOMETIMES,
	CHANGES_REQUEST,
	CHANGES_PRIV,
	CHANGES_IOV,
	TOUCHES_BUFFER,
	WRITE_CHANGES_BUFFER,
	SHORT_READ,
	FIRST_PIECE_ONLY,
	LOSES_WRITES,
	LAST_BLOCK,
	LOSES_DATA_AT_CLOSE,
	COMPARE_NOT_ATOMIC,
	COMPARE_OFFSET,
	COMPARE_IGNORED,
	UNMAP_KEEPS,
	ZEROES_KEEP,
	SAME_FIRST_ONLY,
	MAP_ZERO,
	MAP_WRONG,
	CANCEL_TWICE,
	CANCEL_NEVER,
	CANCEL_WRONG_ERROR,
	LEAKS_THREAD,
	LEAKS_DESCRIPTOR,
	ACCEPTS_ALL,
	OPEN_ACCEPTS_ALL,
	REFUSES_WITHOUT_REASON,
	OPEN_WITHOUT_REASON,
	REASON_WITHOUT_REFUSAL,
	NO_BACKEND,
	RESIZE_CHANGES_INFO,
	RESIZE_LOSES_DATA,
	RESIZE_WITHOUT_REASON,
	READ_ONLY_REFUSED,
	UNKNOWN_CAPS,
	COMMAND_STATUS,
	COMMAND_RESULT,
	COMMAND_SENSE,
	COMMAND_READS_OTHER,
	NO_READ,
	BAD_PHYSICAL_BLOCK,
	BAD_LIMIT,
	VOLATILE_WITHOUT_FLUSH,
	THIN_WITHOUT_UNMAP,
	CLAIM_DIFFERS,
	CRASHES,
	ABORTS,
	EXITS,
	BLOCKS_IN_SUBMIT,
	HANGS_IN_OPEN,
	HANGS_IN_CLOSE,
	LOGS_AFTER_CLOSE,
	SYSTEM_CALL_FROM_THREAD,
	LOCK_STATE_WRONG,
	UNLOCK_FAILS,
	BREAKS,
};

static const char *const broken_names[] = {
	[NONE] = "none",
	[DOUBLE_COMPLETION] = "double_completion",
	[COMPLETION_AFTER_CLOSE] = "completion_after_close",
	[NEVER_COMPLETES] = "never_completes",
	[POSITIVE_ERROR] = "positive_error",
	[FAILS_SOMETIMES] = "fails_sometimes",
	[CHANGES_REQUEST] = "changes_request",
	[CHANGES_PRIV] = "changes_priv",
	[CHANGES_IOV] = "changes_iov",
	[TOUCHES_BUFFER] = "touches_buffer",
	[WRITE_CHANGES_BUFFER] = "write_changes_buffer",
	[SHORT_READ] = "short_read",
	[FIRST_PIECE_ONLY] = "first_piece_only",
	[LOSES_WRITES] = "loses_writes",
	[LAST_BLOCK] = "last_block",
	[LOSES_DATA_AT_CLOSE] = "loses_data_at_close",
	[COMPARE_NOT_ATOMIC] = "compare_not_atomic",
	[COMPARE_OFFSET] = "compare_offset",
	[COMPARE_IGNORED] = "compare_ignored",
	[UNMAP_KEEPS] = "unmap_keeps",
	[ZEROES_KEEP] = "zeroes_keep",
	[SAME_FIRST_ONLY] = "same_first_only",
	[MAP_ZERO] = "map_zero",
	[MAP_WRONG] = "map_wrong",
	[CANCEL_TWICE] = "cancel_twice",
	[CANCEL_NEVER] = "cancel_never",
	[CANCEL_WRONG_ERROR] = "cancel_wrong_error",
	[LEAKS_THREAD] = "leaks_thread",
	[LEAKS_DESCRIPTOR] = "leaks_descriptor",
	[ACCEPTS_ALL] = "accepts_all",
	[OPEN_ACCEPTS_ALL] = "open_accepts_all",
	[REFUSES_WITHOUT_REASON] = "refuses_without_reason",
	[OPEN_WITHOUT_REASON] = "open_without_reason",
	[REASON_WITHOUT_REFUSAL] = "reason_without_refusal",
	[NO_BACKEND] = "no_backend",
	[RESIZE_CHANGES_INFO] = "resize_changes_info",
	[RESIZE_LOSES_DATA] = "resize_loses_data",
	[RESIZE_WITHOUT_REASON] = "resize_without_reason",
	[READ_ONLY_REFUSED] = "read_only_refused",
	[UNKNOWN_CAPS] = "unknown_caps",
	[COMMAND_STATUS] = "command_status",
	[COMMAND_RESULT] = "command_result",
	[COMMAND_SENSE] = "command_sense",
	[COMMAND_READS_OTHER] = "command_reads_other",
	[NO_READ] = "no_read",
	[BAD_PHYSICAL_BLOCK] = "bad_physical_block",
	[BAD_LIMIT] = "bad_limit",
	[VOLATILE_WITHOUT_FLUSH] = "volatile_without_flush",
	[THIN_WITHOUT_UNMAP] = "thin_without_unmap",
	[CLAIM_DIFFERS] = "claim_differs",
	[CRASHES] = "crashes",
	[ABORTS] = "aborts",
	[EXITS] = "exits",
	[BLOCKS_IN_SUBMIT] = "blocks_in_submit",
	[HANGS_IN_OPEN] = "hangs_in_open",
	[HANGS_IN_CLOSE] = "hangs_in_close",
	[LOGS_AFTER_CLOSE] = "logs_after_close",
	[SYSTEM_CALL_FROM_THREAD] = "system_call_from_thread",
	[LOCK_STATE_WRONG] = "lock_state_wrong",
	[UNLOCK_FAILS] = "unlock_fails",
	[BREAKS] = NULL,
};

static const struct tcmu_option broken_options[] = {
	{.name = "break",
	 .type = TCMU_OPTION_CHOICE,
	 .def = "none",
	 .choices = broken_names,
	 .help = "what is broken"},
	{.name = "wrong", .type = TCMU_OPTION_BOOL, .def = "no", .help = "to be refused"},
	{.name = NULL}};

#define THREADS 2
#define LATE_MS 20

/* A request that waits for a thread, at io->priv. */
struct broken_request {
	struct broken_request *next;
	struct tcmu_io *io;
};

struct broken_backend {
	enum broken_break what;
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
	uint32_t block;
	uint64_t size;
	unsigned writes;
	unsigned requests;
	bool locked;
	uint16_t tag;
	struct tcmu_io *last;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct broken_request *first, **end;
	bool stop;
	pthread_t threads[THREADS];
};

/* The store, which outlives close. */
static struct {
	pthread_mutex_t lock;
	char *bytes;
	bool *mapped; /* by 512 bytes */
	uint64_t size;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int *volatile broken_nowhere; /* NULL */

static void broken_wait(int ms)
{
	(void) poll(NULL, 0, ms);
}

static int broken_refuse(struct tcmu_reason *reason, int error, const char *text)
{
	(void) snprintf(reason->text, sizeof(reason->text), "%s", text);
	return error;
}

/* ------- bytes ------- */

static void broken_copy(const struct tcmu_io *io, char *data, uint64_t length, bool out)
{
	for (unsigned i = 0; i < io->iov_cnt && length; i++) {
		uint64_t part = io->iov[i].iov_len < length ? io->iov[i].iov_len : length;

		if (out)
			memcpy(io->iov[i].iov_base, data, part);
		else
			memcpy(data, io->iov[i].iov_base, part);
		data += part;
		length -= part;
	}
}

static void broken_map(const struct tcmu_io *io, bool mapped)
{
	memset(store.mapped + io->offset / 512, mapped, io->length / 512);
}

static int broken_write(struct broken_backend *self, struct tcmu_io *io)
{
	self->writes++;
	if (self->what == LOSES_WRITES && self->writes % 20 == 0)
		return 0;
	if (self->what == LAST_BLOCK && io->offset + io->length == self->size)
		return 0;
	if (self->what == WRITE_CHANGES_BUFFER)
		memset(io->iov[0].iov_base, 0, 8);
	broken_copy(
		io, store.bytes + io->offset,
		self->what == FIRST_PIECE_ONLY && io->iov[0].iov_len < io->length
			? io->iov[0].iov_len
			: io->length,
		false);
	broken_map(io, true);
	return 0;
}

static int broken_compare(struct broken_backend *self, struct tcmu_io *io)
{
	char *both = calloc(2, io->length);
	const char *at = store.bytes + io->offset;
	int r = 0;

	if (!both)
		return -ENOMEM;
	broken_copy(io, both, 2 * io->length, false);
	for (uint64_t i = 0; i < io->length && r == 0 && self->what != COMPARE_IGNORED; i++) {
		if (both[i] != at[i]) {
			io->result = self->what == COMPARE_OFFSET ? 0 : i;
			r = -EILSEQ;
		}
	}
	if (self->what == COMPARE_NOT_ATOMIC) {
		pthread_mutex_unlock(&store.lock);
		broken_wait(2);
		pthread_mutex_lock(&store.lock);
	}
	if (r == 0) {
		memcpy(store.bytes + io->offset, both + io->length, io->length);
		broken_map(io, true);
	}
	free(both);
	return r;
}

static int broken_map_query(struct broken_backend *self, struct tcmu_io *io)
{
	bool mapped = store.mapped[io->offset / 512];
	uint64_t end = io->offset;

	while (end < io->offset + io->length && store.mapped[end / 512] == mapped)
		end += 512;
	io->result = self->what == MAP_ZERO ? 0 : (end - io->offset) / self->block * self->block;
	if (self->what != MAP_ZERO && !io->result)
		io->result = self->block;
	io->result_flags = mapped != (self->what == MAP_WRONG) ? TCMU_IO_MAPPED : 0;
	return 0;
}

static void broken_zero(struct tcmu_io *io)
{
	memset(store.bytes + io->offset, 0, io->length);
	broken_map(io, false);
}

/* TEST UNIT READY, and READ(10) of the first blocks. */
static int broken_command(struct broken_backend *self, struct tcmu_io *io)
{
	if (io->cdb[0] != 0x00 && io->cdb[0] != 0x28)
		return -EOPNOTSUPP;
	if (io->cdb[0] == 0x28 && (io->cdb[2] || io->cdb[5] || io->cdb[7]))
		return -EOPNOTSUPP;
	if (self->what == COMMAND_STATUS)
		io->status = 0x77;
	if (self->what == COMMAND_RESULT)
		io->result = io->length + 1;
	if (self->what == COMMAND_SENSE)
		io->status = 0x02;
	return 0; /* READ: the buffer is as it was */
}

static int broken_carry_out(struct broken_backend *self, struct tcmu_io *io)
{
	switch (io->op) {
	case TCMU_IO_READ:
		broken_copy(
			io, store.bytes + io->offset,
			self->what == SHORT_READ && io->length > 512 ? io->length - 512
								     : io->length,
			true);
		return 0;
	case TCMU_IO_WRITE:
		return broken_write(self, io);
	case TCMU_IO_UNMAP:
		if (self->what != UNMAP_KEEPS)
			broken_zero(io);
		return 0;
	case TCMU_IO_WRITE_ZEROES:
		if (self->what != ZEROES_KEEP)
			broken_zero(io);
		return 0;
	case TCMU_IO_WRITE_SAME:
		for (uint64_t at = 0; at < io->length; at += self->block) {
			broken_copy(io, store.bytes + io->offset + at, self->block, false);
			if (self->what == SAME_FIRST_ONLY)
				break;
		}
		broken_map(io, true);
		return 0;
	case TCMU_IO_COMPARE_AND_WRITE:
		return broken_compare(self, io);
	case TCMU_IO_MAP:
		return broken_map_query(self, io);
	case TCMU_IO_COMMAND:
		return broken_command(self, io);
	default:
		return 0;
	}
}

/* ------- threads ------- */

static void broken_complete(struct broken_backend *self, struct tcmu_io *io, int r)
{
	struct iovec *iov = io->iov;
	void *priv = io->priv;
	char *base = iov ? iov[0].iov_base : NULL;
	bool late = self->requests % 16 == 5;

	self->last = io;
	if (self->what == NEVER_COMPLETES && self->requests == 5)
		return;
	if (self->what == POSITIVE_ERROR && self->requests == 5)
		r = EIO;
	if (self->what == FAILS_SOMETIMES && self->requests % 50 == 49)
		r = -EIO;
	tcmu_io_complete(io, r);
	if (self->what == DOUBLE_COMPLETION && late)
		tcmu_io_complete(io, r);
	if (!late)
		return;
	if (self->what >= CHANGES_REQUEST && self->what <= TOUCHES_BUFFER)
		broken_wait(LATE_MS);
	if (self->what == CHANGES_REQUEST)
		io->result = 1;
	if (self->what == CHANGES_PRIV)
		memset(priv, 0, sizeof(struct broken_request));
	if (self->what == CHANGES_IOV && iov)
		iov[0].iov_len = 0;
	if (self->what == TOUCHES_BUFFER && base)
		*(volatile char *) base = 1;
}

static void broken_misbehave(struct broken_backend *self, struct tcmu_io *io)
{
	static struct tcmu_aio aio;

	if (self->requests != 7)
		return;
	if (self->what == CRASHES)
		*broken_nowhere = 1;
	if (self->what == ABORTS)
		abort();
	if (self->what == EXITS)
		exit(0);
	if (self->what == SYSTEM_CALL_FROM_THREAD)
		tcmu_io_aio(io, &aio);
}

static void *broken_main(void *arg)
{
	struct broken_backend *self = arg;

	for (;;) {
		struct broken_request *request;
		int r;

		pthread_mutex_lock(&self->lock);
		while (!self->first && !self->stop)
			pthread_cond_wait(&self->more, &self->lock);
		request = self->first;
		if (request)
			self->first = request->next;
		if (!self->first)
			self->end = &self->first;
		if (request)
			self->requests++;
		pthread_mutex_unlock(&self->lock);
		if (!request)
			return NULL;
		broken_misbehave(self, request->io);
		pthread_mutex_lock(&store.lock);
		r = broken_carry_out(self, request->io);
		pthread_mutex_unlock(&store.lock);
		broken_complete(self, request->io, r);
	}
}

static void broken_submit(void *backend, struct tcmu_io *io)
{
	struct broken_backend *self = backend;
	struct broken_request *request = io->priv;

	if (self->what == BLOCKS_IN_SUBMIT && self->requests > 5) {
		self->what = NONE;
		broken_wait(700);
	}
	*request = (struct broken_request){.io = io};
	pthread_mutex_lock(&self->lock);
	*self->end = request;
	self->end = &request->next;
	pthread_cond_signal(&self->more);
	pthread_mutex_unlock(&self->lock);
}

static void broken_cancel(void *backend, struct tcmu_io *io)
{
	struct broken_backend *self = backend;
	struct broken_request **link, *request;

	pthread_mutex_lock(&self->lock);
	for (link = &self->first; *link && (*link)->io != io; link = &(*link)->next)
		;
	request = *link;
	if (request) {
		*link = request->next;
		if (self->end == &request->next)
			self->end = link;
	}
	pthread_mutex_unlock(&self->lock);
	if (request && self->what == CANCEL_TWICE)
		tcmu_io_complete(io, 0);
	if (request && self->what != CANCEL_NEVER)
		tcmu_io_complete(io, self->what == CANCEL_WRONG_ERROR ? -EPERM : -ECANCELED);
}

/* ------- open and close ------- */

static int broken_check(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	enum broken_break what = (enum broken_break) config->values[0].number;

	if (what == REASON_WITHOUT_REFUSAL)
		return broken_refuse(reason, 0, "no reason");
	if (!config->values[1].number || what == ACCEPTS_ALL)
		return 0;
	return broken_refuse(
		reason, -EINVAL, what == REFUSES_WITHOUT_REASON ? "" : "wrong=1 is refused");
}

static int broken_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	(void) reason;
	(void) snprintf(
		claim, size, "%s",
		config->values[0].number == CLAIM_DIFFERS ? "another" : BROKEN_SUBTYPE);
	return 0;
}

static void broken_describe(
	enum broken_break what, const struct tcmu_config *config, struct tcmu_backend_info *info)
{
	(void) snprintf(info->claim, sizeof(info->claim), BROKEN_SUBTYPE);
	info->unmap_zeroes = true;
	info->caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_MAP);
	if (config->read_only)
		return;
	for (int op = TCMU_IO_READ; op <= TCMU_IO_WRITE_SAME; op++)
		info->caps |= TCMU_IO_CAP(op);
	info->fua = true;
	info->thin = true;
	if (what >= COMMAND_STATUS && what <= COMMAND_READS_OTHER)
		info->caps |= TCMU_CAP_COMMANDS;
	if (what == UNKNOWN_CAPS)
		info->caps |= TCMU_IO_CAP(40);
	if (what == NO_READ)
		info->caps &= ~TCMU_IO_CAP(TCMU_IO_READ);
	if (what == BAD_PHYSICAL_BLOCK)
		info->physical_block = 1536;
	if (what == BAD_LIMIT)
		info->maximum_transfer = 1000;
	info->volatile_cache = what == VOLATILE_WITHOUT_FLUSH;
	if (what == VOLATILE_WITHOUT_FLUSH)
		info->caps &= ~TCMU_IO_CAP(TCMU_IO_FLUSH);
	if (what == THIN_WITHOUT_UNMAP)
		info->caps &= ~TCMU_IO_CAP(TCMU_IO_UNMAP);
}

/* At least so long; what is there stays. */
static int broken_extend(uint64_t size)
{
	char *bytes;
	bool *mapped;

	if (size <= store.size)
		return 0;
	bytes = calloc(1, size);
	mapped = calloc(size / 512, sizeof(*mapped));
	if (!bytes || !mapped) {
		free(bytes);
		free(mapped);
		return -ENOMEM;
	}
	if (store.size) {
		memcpy(bytes, store.bytes, store.size);
		memcpy(mapped, store.mapped, store.size / 512);
	}
	free(store.bytes);
	free(store.mapped);
	store.bytes = bytes;
	store.mapped = mapped;
	store.size = size;
	return 0;
}

static void *broken_sleep(void *arg)
{
	broken_wait(60000);
	return arg;
}

static int broken_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	enum broken_break what = (enum broken_break) config->values[0].number;
	struct broken_backend *self;

	if (config->values[1].number && what != OPEN_ACCEPTS_ALL)
		return broken_refuse(
			reason, -EINVAL, what == OPEN_WITHOUT_REASON ? "" : "wrong=1 is refused");
	if (what == READ_ONLY_REFUSED && config->read_only)
		return broken_refuse(reason, -EROFS, "not read-only");
	if (what == HANGS_IN_OPEN)
		broken_wait(60000);
	self = calloc(1, sizeof(*self));
	if (!self || broken_extend(config->size) < 0) {
		free(self);
		return broken_refuse(reason, -ENOMEM, "out of memory");
	}
	self->what = what;
	self->host = host;
	self->dev = dev;
	self->size = config->size;
	self->block = config->block_size;
	self->end = &self->first;
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->more, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		(void) pthread_create(&self->threads[i], NULL, broken_main, self);
	broken_describe(what, config, info);
	*backend = what == NO_BACKEND ? NULL : self;
	return 0;
}

struct broken_late {
	struct tcmu_io *io; /* to be completed; NULL: a line is logged */
	const struct tcmu_host *host;
	struct tcmu_host_device *dev;
};

static void *broken_late_main(void *arg)
{
	struct broken_late *late = arg;

	broken_wait(LATE_MS);
	if (late->io)
		tcmu_io_complete(late->io, 0);
	else
		late->host->log(late->dev, TCMU_LOG_INFO, "closed");
	free(late);
	return NULL;
}

/* On a thread, after close has returned. */
static void broken_be_late(struct broken_backend *self)
{
	struct broken_late *late = malloc(sizeof(*late));
	pthread_t thread;

	if (!late)
		return;
	*late = (struct broken_late){
		.io = self->what == COMPLETION_AFTER_CLOSE ? self->last : NULL,
		.host = self->host,
		.dev = self->dev};
	if (pthread_create(&thread, NULL, broken_late_main, late) == 0)
		pthread_detach(thread);
}

static void broken_close(void *backend)
{
	struct broken_backend *self = backend;
	struct tcmu_io *last;
	pthread_t thread;

	if (!self)
		return;
	last = self->last;
	pthread_mutex_lock(&self->lock);
	self->stop = true;
	pthread_cond_broadcast(&self->more);
	pthread_mutex_unlock(&self->lock);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(self->threads[i], NULL);
	if (self->what == HANGS_IN_CLOSE)
		broken_wait(60000);
	if (self->what == LOGS_AFTER_CLOSE || (self->what == COMPLETION_AFTER_CLOSE && last))
		broken_be_late(self);
	if (self->what == LEAKS_THREAD && pthread_create(&thread, NULL, broken_sleep, NULL) == 0)
		pthread_detach(thread);
	if (self->what == LEAKS_DESCRIPTOR && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
		abort();
	if (self->what == LOSES_DATA_AT_CLOSE)
		memset(store.bytes, 0, store.size);
	pthread_mutex_destroy(&self->lock);
	pthread_cond_destroy(&self->more);
	free(self);
}

static int broken_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct broken_backend *self = backend;
	int r;

	if (self->what == RESIZE_CHANGES_INFO) {
		info->physical_block = 4096;
		return broken_refuse(reason, -EINVAL, "not today");
	}
	if (self->what == RESIZE_WITHOUT_REASON)
		return -EINVAL;
	pthread_mutex_lock(&store.lock);
	r = broken_extend(config->size);
	if (self->what == RESIZE_LOSES_DATA)
		memset(store.bytes, 0, store.size);
	pthread_mutex_unlock(&store.lock);
	self->size = config->size;
	return r < 0 ? broken_refuse(reason, r, "out of memory") : 0;
}

/* ------- the lock ------- */

static int broken_lock(void *backend, uint16_t tag, struct tcmu_reason *reason)
{
	struct broken_backend *self = backend;

	(void) reason;
	self->locked = true;
	self->tag = tag;
	return 0;
}

static int broken_unlock(void *backend)
{
	struct broken_backend *self = backend;

	if (self->what == UNLOCK_FAILS && !self->locked)
		return -EINVAL;
	self->locked = false;
	return 0;
}

static int broken_lock_state(void *backend, bool *ours, uint16_t *tag)
{
	const struct broken_backend *self = backend;

	*ours = self->locked || self->what == LOCK_STATE_WRONG;
	*tag = self->tag;
	return 0;
}

#ifndef BROKEN_MEMBERS
#define BROKEN_MEMBERS \
	.name = "broken", .config_desc = "any text", .lock = broken_lock, .unlock = broken_unlock, \
	.lock_state = broken_lock_state
#endif

TCMU_HANDLER(.subtype = BROKEN_SUBTYPE, .threading = TCMU_HANDLER_ASYNC,
	     .io_priv_size = sizeof(struct broken_request), .options = broken_options,
	     .check_config = broken_check, .open = broken_open, .close = broken_close,
	     .submit = broken_submit, .cancel = broken_cancel, .resize = broken_resize,
	     .claim = broken_claim, BROKEN_MEMBERS);
#ifdef BROKEN_NO_LOCK
void broken_unused(void);
void broken_unused(void)
{
	(void) broken_lock;
	(void) broken_unlock;
	(void) broken_lock_state;
}
#endif
