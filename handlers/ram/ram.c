/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory, for demonstrations and tests. Memory is used for the pages that were written,
 * and given back for those that are unmapped; a bit for each page says whether it is in use. Pages
 * are counted before they are used, so a full disk is "space exhausted" and no lack of memory.
 *
 * The lock of a backend serialises its requests, which never wait, and a resize, which moves the
 * memory. The number of pages in use by all disks is shared without a lock.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tcmu/handler.h>

#define RAM_UNMAP_MAX (UINT64_C(1) << 30) /* bytes of one UNMAP: how long it may take */
#define WORD_BITS     64u
#define LIMIT_NAME    "TCMUD_RAM_LIMIT"

enum ram_option {
	RAM_LIMIT,
	RAM_RESTART,
	RAM_OPTIONS,
};

enum ram_restart {
	RESTART_REFUSE,
	RESTART_EMPTY,
};

static const char *const restart_choices[] = {
	[RESTART_REFUSE] = "refuse", [RESTART_EMPTY] = "empty", NULL};

static const struct tcmu_option ram_options[RAM_OPTIONS + 1] = {
	[RAM_LIMIT] =
		{.name = "limit",
		 .type = TCMU_OPTION_SIZE,
		 .def = "0",
		 .help = "the most memory that the disk may use; 0: its size"},
	[RAM_RESTART] = {
		.name = "restart",
		.type = TCMU_OPTION_CHOICE,
		.def = "refuse",
		.choices = restart_choices,
		.help = "a disk whose data went with the last tcmud: refuse to serve it, or serve "
			"it empty"}};

enum ram_counter {
	RAM_COUNT_MEMORY,
};

static const struct tcmu_counter ram_counters[] = {
	[RAM_COUNT_MEMORY] =
		{.name = "memory_bytes",
		 .help = "Memory that holds data of the disk",
		 .flags = TCMU_COUNTER_GAUGE},
	{.name = NULL}};

/* Of the process: constant after ram_init(), and the pages in use by all disks. */
static struct {
	size_t page;    /* bytes */
	uint64_t limit; /* pages */
	_Atomic uint64_t used;
} ram;

struct ram_backend {
	pthread_mutex_t lock;
	uint8_t *data;      /* the whole disk; pages without a bit are not touched */
	uint64_t *bits;     /* one for each page: it holds data */
	uint64_t size;      /* bytes */
	uint64_t own_limit; /* bytes of the option; 0: the size */
	uint64_t used;      /* pages */
	uint64_t *counters;
};

/* ------- sizes ------- */

static uint64_t ram_pages(uint64_t bytes)
{
	return bytes / ram.page + (bytes % ram.page ? 1 : 0);
}

static size_t ram_data_length(uint64_t size)
{
	return ram_pages(size) * ram.page;
}

static size_t ram_bits_length(uint64_t size)
{
	return ram_data_length(ram_pages(size) / 8 + sizeof(uint64_t));
}

/* Pages that the disk may use. */
static uint64_t ram_limit(const struct ram_backend *self)
{
	return ram_pages(self->own_limit ? self->own_limit : self->size);
}

/* ------- the memory of the process ------- */

/* Counts pages as used. False: there would be too many. */
static bool ram_charge(struct ram_backend *self, uint64_t pages)
{
	uint64_t used = atomic_load(&ram.used);

	if (pages == 0)
		return true;
	if (self->used + pages > ram_limit(self))
		return false;
	do {
		if (used + pages > ram.limit)
			return false;
	} while (!atomic_compare_exchange_weak(&ram.used, &used, used + pages));
	self->used += pages;
	tcmu_counter_set(self->counters, RAM_COUNT_MEMORY, self->used * ram.page);
	return true;
}

static void ram_uncharge(struct ram_backend *self, uint64_t pages)
{
	assert(pages <= self->used && pages <= atomic_load(&ram.used));
	self->used -= pages;
	atomic_fetch_sub(&ram.used, pages);
	tcmu_counter_set(self->counters, RAM_COUNT_MEMORY, self->used * ram.page);
}

/* ------- the bits ------- */

/* The bits of pages [first, end) that lie in a word. */
static uint64_t bits_mask(uint64_t word, uint64_t first, uint64_t end)
{
	uint64_t mask = UINT64_MAX;

	assert(word >= first / WORD_BITS && word * WORD_BITS < end);
	if (word == first / WORD_BITS)
		mask <<= first % WORD_BITS;
	if (end - word * WORD_BITS < WORD_BITS)
		mask &= (UINT64_C(1) << (end % WORD_BITS)) - 1;
	return mask;
}

static uint64_t bits_count(const struct ram_backend *self, uint64_t first, uint64_t end)
{
	uint64_t cnt = 0;

	for (uint64_t word = first / WORD_BITS; word * WORD_BITS < end; word++)
		cnt += (unsigned) __builtin_popcountll(
			self->bits[word] & bits_mask(word, first, end));
	return cnt;
}

static void bits_set(struct ram_backend *self, uint64_t first, uint64_t end, bool used)
{
	for (uint64_t word = first / WORD_BITS; word * WORD_BITS < end; word++) {
		if (used)
			self->bits[word] |= bits_mask(word, first, end);
		else
			self->bits[word] &= ~bits_mask(word, first, end);
	}
}

/* How many bytes from offset, at most length, are alike: in pages that hold data, or in others. */
static uint64_t ram_run(
	const struct ram_backend *self, uint64_t offset, uint64_t length, bool *used)
{
	uint64_t page = offset / ram.page, end = ram_pages(offset + length), word;
	uint64_t invert, differing;

	assert(length > 0 && offset + length <= self->size);
	word = page / WORD_BITS;
	*used = self->bits[word] >> (page % WORD_BITS) & 1;
	invert = *used ? UINT64_MAX : 0;
	differing = (self->bits[word] ^ invert) & (UINT64_MAX << (page % WORD_BITS));
	while (!differing && (word + 1) * WORD_BITS < end)
		differing = self->bits[++word] ^ invert;
	if (differing)
		page = word * WORD_BITS + (unsigned) __builtin_ctzll(differing);
	else
		page = end;
	return page < end && page * ram.page - offset < length ? page * ram.page - offset : length;
}

/* ------- requests ------- */

/* Makes the pages of a range hold data. */
static int ram_use(struct ram_backend *self, uint64_t offset, uint64_t length)
{
	uint64_t first = offset / ram.page, end = ram_pages(offset + length);

	if (!ram_charge(self, end - first - bits_count(self, first, end)))
		return -ENOSPC;
	bits_set(self, first, end, true);
	return 0;
}

static int ram_read(struct ram_backend *self, const struct tcmu_io *io)
{
	uint64_t at = io->offset, run;

	for (unsigned i = 0; i < io->iov_cnt; i++)
		for (size_t done = 0; done < io->iov[i].iov_len; done += run) {
			uint8_t *to = (uint8_t *) io->iov[i].iov_base + done;
			bool used;

			run = ram_run(self, at, io->iov[i].iov_len - done, &used);
			if (used)
				memcpy(to, self->data + at, run);
			else
				memset(to, 0, run);
			at += run;
		}
	assert(at == io->offset + io->length);
	return 0;
}

static int ram_write(struct ram_backend *self, const struct tcmu_io *io)
{
	uint64_t at = io->offset;
	int r = ram_use(self, io->offset, io->length);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < io->iov_cnt; at += io->iov[i++].iov_len)
		memcpy(self->data + at, io->iov[i].iov_base, io->iov[i].iov_len);
	assert(at == io->offset + io->length);
	return 0;
}

/* Zeros where pages hold data; others read as zeros anyway. */
static void ram_clear(struct ram_backend *self, uint64_t offset, uint64_t end)
{
	uint64_t run;
	bool used;

	for (; offset < end; offset += run) {
		run = ram_run(self, offset, end - offset, &used);
		if (used)
			memset(self->data + offset, 0, run);
	}
}

/* Gives the memory of whole pages back. */
static void ram_release(struct ram_backend *self, uint64_t first, uint64_t end)
{
	uint64_t used = bits_count(self, first, end);
	int r;

	if (used == 0)
		return;
	r = madvise(self->data + first * ram.page, (end - first) * ram.page, MADV_DONTNEED);
	assert(r == 0);
	(void) r;
	bits_set(self, first, end, false);
	ram_uncharge(self, used);
}

/* The last page of the disk may be whole although the disk ends within it. */
static void ram_unmap(struct ram_backend *self, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, first = ram_pages(offset), last = end / ram.page;

	if (end == self->size)
		last = ram_pages(end);
	if (first >= last) {
		ram_clear(self, offset, end);
		return;
	}
	ram_clear(self, offset, first * ram.page);
	ram_release(self, first, last);
	if (last * ram.page < end)
		ram_clear(self, last * ram.page, end);
}

static int ram_write_zeroes(struct ram_backend *self, const struct tcmu_io *io)
{
	int r;

	if (io->flags & TCMU_IO_MAY_UNMAP) {
		ram_unmap(self, io->offset, io->length);
		return 0;
	}
	r = ram_use(self, io->offset, io->length);
	if (r == 0)
		ram_clear(self, io->offset, io->offset + io->length);
	return r;
}

static int ram_map(const struct ram_backend *self, struct tcmu_io *io)
{
	bool used;

	io->result = ram_run(self, io->offset, io->length, &used);
	io->result_flags = used ? TCMU_IO_MAPPED : 0;
	return 0;
}

static int ram_execute(struct ram_backend *self, struct tcmu_io *io)
{
	switch (io->op) {
	case TCMU_IO_READ:
		return ram_read(self, io);
	case TCMU_IO_WRITE:
		return ram_write(self, io);
	case TCMU_IO_UNMAP:
		ram_unmap(self, io->offset, io->length);
		return 0;
	case TCMU_IO_WRITE_ZEROES:
		return ram_write_zeroes(self, io);
	case TCMU_IO_MAP:
		return ram_map(self, io);
	default:
		return -EOPNOTSUPP;
	}
}

static void ram_submit(void *backend, struct tcmu_io *io)
{
	struct ram_backend *self = backend;
	int r;

	pthread_mutex_lock(&self->lock);
	assert(io->offset <= self->size && io->length <= self->size - io->offset);
	r = ram_execute(self, io);
	pthread_mutex_unlock(&self->lock);
	tcmu_io_complete(io, r);
}

/* ------- open, close, resize ------- */

static int ram_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	uint64_t limit = config->values[RAM_LIMIT].number;

	if (limit && limit < ram.page)
		return tcmu_refuse(
			reason, -EINVAL, "limit=%" PRIu64 " is less than a page of %zu bytes",
			limit, ram.page);
	return 0;
}

static void *ram_reserve(size_t length)
{
	void *memory = mmap(
		NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int ram_refuse_size(struct tcmu_reason *reason, uint64_t size)
{
	return tcmu_refuse(
		reason, -ENOMEM,
		"there is no address space for a disk of %" PRIu64 " bytes in memory", size);
}

/* A huge page would be used for the first byte of it, and counted as a small one. */
static void ram_advise(struct ram_backend *self)
{
	(void) madvise(self->data, ram_data_length(self->size), MADV_NOHUGEPAGE);
	(void) madvise(self->data, ram_data_length(self->size), MADV_DONTDUMP);
}

static void ram_close(void *backend)
{
	struct ram_backend *self = backend;

	ram_uncharge(self, self->used);
	if (self->data)
		(void) munmap(self->data, ram_data_length(self->size));
	if (self->bits)
		(void) munmap(self->bits, ram_bits_length(self->size));
	(void) pthread_mutex_destroy(&self->lock);
	free(self);
}

static void ram_describe(const struct tcmu_config *config, struct tcmu_backend_info *info)
{
	info->caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_MAP);
	info->thin = true;
	info->unmap_zeroes = true;
	info->fua = true; /* nothing is more stable than the memory */
	info->unmap_granularity = (uint32_t) ram.page;
	info->maximum_unmap = RAM_UNMAP_MAX;
	if (!config->read_only)
		info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_UNMAP) |
			TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES);
}

static int ram_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **ret,
	struct tcmu_reason *reason)
{
	struct ram_backend *self;
	int r = ram_check_config(config, reason);

	if (r < 0)
		return r;
	if (config->must_exist && config->values[RAM_RESTART].number == RESTART_REFUSE)
		return tcmu_refuse(
			reason, -ENODATA,
			"the data was in the memory of an earlier tcmud, or was closed: delete the "
			"disk; or use restart=empty");
	if (config->size > SIZE_MAX / 2)
		return ram_refuse_size(reason, config->size);
	self = calloc(1, sizeof(*self));
	if (!self)
		return tcmu_refuse(reason, -ENOMEM, "out of memory");
	(void) pthread_mutex_init(&self->lock, NULL);
	self->size = config->size;
	self->own_limit = config->values[RAM_LIMIT].number;
	self->data = ram_reserve(ram_data_length(self->size));
	self->bits = ram_reserve(ram_bits_length(self->size));
	if (!self->data || !self->bits) {
		ram_close(self);
		return ram_refuse_size(reason, config->size);
	}
	ram_advise(self);
	if (TCMU_HOST_HAS(host, counters))
		self->counters = host->counters(dev);
	ram_describe(config, info);
	*ret = self;
	return 0;
}

/* Moves both to where there is room. A smaller size gives the end of the disk back first. */
static int ram_set_size(struct ram_backend *self, uint64_t size)
{
	uint64_t old = self->size;
	void *data, *bits;

	if (size < old)
		ram_unmap(self, size, old - size);
	bits = mremap(self->bits, ram_bits_length(old), ram_bits_length(size), MREMAP_MAYMOVE);
	if (bits == MAP_FAILED)
		return -ENOMEM;
	self->bits = bits;
	data = mremap(self->data, ram_data_length(old), ram_data_length(size), MREMAP_MAYMOVE);
	if (data == MAP_FAILED) { /* the bits are more than close unmaps: as they were */
		bits = mremap(
			self->bits, ram_bits_length(size), ram_bits_length(old), MREMAP_MAYMOVE);
		assert(bits != MAP_FAILED);
		self->bits = bits;
		return -ENOMEM;
	}
	self->data = data;
	self->size = size;
	ram_advise(self);
	return 0;
}

static int ram_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct ram_backend *self = backend;
	int r = -ENOMEM;

	pthread_mutex_lock(&self->lock);
	if (config->size <= SIZE_MAX / 2)
		r = ram_set_size(self, config->size);
	pthread_mutex_unlock(&self->lock);
	if (r < 0)
		return ram_refuse_size(reason, config->size);
	ram_describe(config, info);
	return 0;
}

/* ------- the process ------- */

/* Bytes with an optional suffix; 0: it is no size. */
static uint64_t ram_parse_size(const char *text)
{
	static const char suffixes[] = "KMGT";
	char *end;
	unsigned long long number;
	const char *suffix;
	unsigned shift = 0;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (end[0] && (suffix = strchr(suffixes, end[0]))) {
		shift = 10 * (unsigned) (suffix - suffixes + 1);
		end++;
	}
	if (errno || end[0] || number > UINT64_MAX >> shift)
		return 0;
	return (uint64_t) number << shift;
}

static int ram_init(struct tcmu_reason *reason)
{
	const char *text = getenv(LIMIT_NAME);
	long page = sysconf(_SC_PAGESIZE), pages = sysconf(_SC_PHYS_PAGES);

	assert(page > 0);
	ram.page = (size_t) page;
	ram.limit = pages > 1 ? (uint64_t) pages / 2 : 1;
	if (text && text[0]) {
		ram.limit = ram_parse_size(text) / ram.page;
		if (ram.limit == 0)
			return tcmu_refuse(
				reason, -EINVAL,
				"the environment has " LIMIT_NAME "=%.60s, which is no size of a "
				"page or more",
				text);
	}
	return 0;
}

TCMU_HANDLER(.subtype = "ram", .name = "disk in memory",
	     .config_desc = "any name, or none, then options: name[;option=value]...; the data is "
			    "lost when tcmud ends",
	     .threading = TCMU_HANDLER_ASYNC, .options = ram_options,
	     .check_config = ram_check_config, .open = ram_open, .close = ram_close,
	     .submit = ram_submit, .resize = ram_resize, .counters = ram_counters,
	     .init = ram_init);
