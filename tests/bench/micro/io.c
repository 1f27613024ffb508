/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures what a command costs on a device's I/O thread, without kernel and initiator. The thread
 * serves a fake ring; the main thread plays the kernel and keeps a number of commands in flight.
 *
 * bench-io [--seconds N] [--busy-poll PERCENT] [--handlers DIR] [--directory DIR]
 *          [--only HANDLER/OP/QUEUE] [--commands N] [--config SUBTYPE/CONFIG] [--sleep]
 *
 * The time is CPU time of the I/O thread, and its part in user space. It includes the work of the
 * fake kernel in the doorbell, which the first lines show separately. "doorbells" and "sleeps" are
 * counts per command. A built-in handler that does nothing shows the cost of the daemon itself. The
 * plugins null and file are measured if they are found, or the one plugin of --config.
 *
 * --commands sends N commands in batches, each one after the last batch has completed, for tools
 * that count instructions (see count). With --sleep the main thread sleeps until a command has
 * completed, for backends that need the CPUs; otherwise it polls.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "config/handlers.h"
#include "config/options.h"
#include "fake-uio.h"
#include "io/stats.h"
#include "io/thread.h"

#define BLOCK   512u
#define LENGTH  4096u
#define BLOCKS  (64u * 1024 * 1024 / BLOCK)
#define DEPTH   128u
#define WARM_MS 200

static unsigned seconds = 2;
static unsigned busy_poll;
static unsigned long command_cnt;
static bool sleeps;
static const char *only;
static const char *config_wanted;
static const char *handlers = HANDLERS;
static const char *directory = "/tmp";

/* The counts of the I/O thread at a point of time. */
struct mark {
	bool set;
	uint64_t commands;
	uint64_t wall_ns;
	uint64_t cpu_ns;
	uint64_t user_us;
	uint64_t doorbells;
	uint64_t sleeps;
};

struct bench {
	struct fake_uio *uio;
	struct io_thread *thread;
	atomic_ulong done;
	atomic_int marks_wanted;
	atomic_int marks_set;
	struct mark marks[2];
	atomic_uint signals;
	atomic_bool asleep; /* the main thread, until a command completes */
	int awake;          /* eventfd */
};

static struct stats stats; /* counted as in the daemon */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static void bench_die(const char *what, const char *why)
{
	fprintf(stderr, "bench-io: %s: %s\n", what, why);
	exit(1);
}

/* ------- on the I/O thread ------- */

static void set_mark(struct bench *bench, struct mark *mark)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	mark->commands = atomic_load(&bench->done);
	mark->wall_ns = now_ns(CLOCK_MONOTONIC);
	mark->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
	mark->user_us = (uint64_t) usage.ru_utime.tv_sec * 1000000 +
		(uint64_t) usage.ru_utime.tv_usec;
	mark->sleeps = fake_uio_epoll_waits();
}

static void on_completion(const struct fake_completion *completion, void *userdata)
{
	struct bench *bench = userdata;
	int wanted = atomic_load_explicit(&bench->marks_wanted, memory_order_relaxed);

	(void) completion;
	atomic_fetch_add(&bench->done, 1);
	if (sleeps && atomic_exchange(&bench->asleep, false) &&
	    write(bench->awake, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		bench_die("waking", strerror(errno));
	if (wanted > atomic_load_explicit(&bench->marks_set, memory_order_relaxed)) {
		set_mark(bench, &bench->marks[wanted - 1]);
		atomic_store(&bench->marks_set, wanted);
	}
}

static void on_signal(void *context, uint32_t bits)
{
	struct bench *bench = context;

	atomic_fetch_or(&bench->signals, bits);
}

static void nothing_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	tcmu_io_complete(io, 0);
}

static const struct tcmu_handler nothing = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(nothing),
	.subtype = "nothing",
	.flags = TCMU_HANDLER_SYSCALLS_ONLY,
	.submit = nothing_submit,
};

/* ------- the host of the handlers ------- */

static void host_log(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message)
{
	(void) dev;
	if (level <= TCMU_LOG_WARNING)
		fprintf(stderr, "bench-io: %s\n", message);
}

static void host_event(struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value)
{
	(void) dev;
	(void) event;
	(void) value;
}

static const struct tcmu_host host = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(host),
	.complete = submit_complete,
	.aio = submit_aio,
	.log = host_log,
	.event = host_event,
};

/* ------- the initiator, on the main thread ------- */

enum bench_op {
	BENCH_READY,
	BENCH_READ,
	BENCH_WRITE,
};

static const char *const bench_op_names[] = {"ready", "read", "write"};

static void bench_push(struct bench *bench, enum bench_op op, uint32_t random)
{
	static const uint8_t data[LENGTH];
	uint32_t lba = random % (BLOCKS / (LENGTH / BLOCK)) * (LENGTH / BLOCK);
	uint8_t cdb[10] = {op == BENCH_READY ? 0x00 : op == BENCH_READ ? 0x28 : 0x2a};

	if (op != BENCH_READY) {
		for (int i = 0; i < 4; i++)
			cdb[2 + i] = (uint8_t) (lba >> (24 - 8 * i));
		cdb[8] = LENGTH / BLOCK;
	}
	if (fake_uio_push(
		    bench->uio,
		    &(struct fake_command){
			    .cdb = cdb,
			    .cdb_length = op == BENCH_READY ? 6 : 10,
			    .length = op == BENCH_READY ? 0 : LENGTH,
			    .data_out = op == BENCH_WRITE ? data : NULL}) < 0)
		bench_die("sending a command", "the fake ring is full");
}

/* Waits until more than `done` commands have completed, or a moment. */
static void bench_wait(struct bench *bench, uint64_t done)
{
	uint64_t count;

	if (!sleeps) {
		sched_yield();
		return;
	}
	atomic_store(&bench->asleep, true);
	if (atomic_load(&bench->done) == done && read(bench->awake, &count, sizeof(count)) < 0)
		bench_die("sleeping", strerror(errno));
}

/* Keeps queue commands in flight for so many milliseconds. */
static void bench_drive(
	struct bench *bench, enum bench_op op, unsigned queue, unsigned ms, uint64_t *sent)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + ms * UINT64_C(1000000);
	uint32_t random = 1;

	while (now_ns(CLOCK_MONOTONIC) < end) {
		uint64_t done = atomic_load_explicit(&bench->done, memory_order_acquire);

		if (*sent - done == queue) {
			bench_wait(bench, done);
			continue;
		}
		while (*sent - done < queue) {
			random = random * 1664525u + 1013904223u;
			bench_push(bench, op, random >> 8);
			(*sent)++;
		}
		fake_uio_notify(bench->uio);
	}
}

static void want_mark(struct bench *bench, enum bench_op op, unsigned queue, uint64_t *sent)
{
	int wanted = atomic_fetch_add(&bench->marks_wanted, 1) + 1;
	uint64_t doorbells = fake_uio_counts(bench->uio).doorbells;

	while (atomic_load(&bench->marks_set) < wanted)
		bench_drive(bench, op, queue, 1, sent);
	bench->marks[wanted - 1].doorbells = doorbells;
}

static void print_row(const char *name, const char *op, unsigned queue, const struct mark *marks)
{
	double commands = (double) (marks[1].commands - marks[0].commands);
	double wall = (double) (marks[1].wall_ns - marks[0].wall_ns) / 1e9;

	printf("%-16s %-6s %5u %12.0f %10.0f %10.0f %10.3f %8.3f\n", name, op, queue,
	       commands / wall, (double) (marks[1].cpu_ns - marks[0].cpu_ns) / commands,
	       (double) (marks[1].user_us - marks[0].user_us) * 1000 / commands,
	       (double) (marks[1].doorbells - marks[0].doorbells) / commands,
	       (double) (marks[1].sleeps - marks[0].sleeps) / commands);
	fflush(stdout);
}

/* Sends each batch after the last one has completed: each run has the same instructions. */
static void bench_drive_batches(struct bench *bench, enum bench_op op, unsigned queue)
{
	for (uint64_t sent = 0; sent < command_cnt;) {
		for (unsigned i = 0; i < queue; i++)
			bench_push(bench, op, (uint32_t) (sent + i));
		sent += queue;
		fake_uio_notify(bench->uio);
		while (atomic_load(&bench->done) < sent)
			sched_yield();
	}
}

/* ------- one measurement ------- */

struct subject {
	const char *name;
	const struct tcmu_handler *handler;
	void *backend;
	struct tcmu_backend_info info;
	enum aio_kind aio;
};

static void make_setup(
	const struct subject *subject, struct bench *bench, struct io_thread_setup *setup)
{
	*setup = (struct io_thread_setup){
		.stats = &stats,
		.name = "bench",
		.minor = fake_uio_minor(bench->uio),
		.aio = subject->aio,
		.depth = DEPTH,
		.busy_poll = busy_poll,
		.handler = subject->handler,
		.backend = subject->backend,
		.host = &host,
		.info = subject->info,
		.lu = {.blocks = BLOCKS,
		       .block_size = BLOCK,
		       .max_transfer = 128,
		       .write_cache = true},
		.signal = on_signal,
		.userdata = bench,
	};
}

static void wait_signal(struct bench *bench, uint32_t bit)
{
	while (!(atomic_load(&bench->signals) & bit)) {
		if (atomic_load(&bench->signals) & IO_SIGNAL_RING_BROKEN)
			bench_die("the I/O thread", "broken");
		sched_yield();
	}
}

static void bench_drive_for_a_time(struct bench *bench, enum bench_op op, unsigned queue)
{
	uint64_t sent = 0;

	bench_drive(bench, op, queue, WARM_MS, &sent);
	want_mark(bench, op, queue, &sent);
	bench_drive(bench, op, queue, seconds * 1000, &sent);
	want_mark(bench, op, queue, &sent);
	while (atomic_load(&bench->done) < sent)
		sched_yield();
}

static bool is_wanted(const struct subject *subject, enum bench_op op, unsigned queue)
{
	char name[64];

	(void) snprintf(name, sizeof(name), "%s/%s/%u", subject->name, bench_op_names[op], queue);
	return !only || strcmp(only, name) == 0;
}

static void measure_case(const struct subject *subject, enum bench_op op, unsigned queue)
{
	struct bench bench = {0};
	struct io_thread_setup setup;
	int r;

	if (!is_wanted(subject, op, queue))
		return;
	bench.awake = eventfd(0, EFD_CLOEXEC);
	if (bench.awake < 0)
		bench_die("an eventfd", strerror(errno));
	bench.uio = fake_uio_new(&(struct fake_uio_options){
		.ring = {.ring_size = 256 * 1024, .block_count = 2 * DEPTH},
		.done = on_completion,
		.userdata = &bench});
	if (!bench.uio)
		bench_die("the fake ring", "no memory");
	make_setup(subject, &bench, &setup);
	r = io_thread_new(&setup, &bench.thread);
	if (r < 0)
		bench_die("the I/O thread", strerror(-r));
	wait_signal(&bench, IO_SIGNAL_ATTACHED);
	if (command_cnt)
		bench_drive_batches(&bench, op, queue);
	else
		bench_drive_for_a_time(&bench, op, queue);
	io_thread_drain(bench.thread, false);
	wait_signal(&bench, IO_SIGNAL_ENDED);
	io_thread_free(bench.thread);
	if (!command_cnt)
		print_row(subject->name, bench_op_names[op], queue, bench.marks);
	fake_uio_free(bench.uio);
	close(bench.awake);
}

static void measure_all(const struct subject *subject, bool emulated)
{
	static const unsigned queues[] = {1, 32, 128};

	for (unsigned i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
		if (emulated)
			measure_case(subject, BENCH_READY, queues[i]);
		measure_case(subject, BENCH_READ, queues[i]);
		measure_case(subject, BENCH_WRITE, queues[i]);
	}
}

/* ------- the fake kernel alone ------- */

/* The minimum that an I/O thread does, in the main thread: fetch, answer, doorbell. */
static void measure_ring(unsigned queue)
{
	struct fake_ring *fake = fake_ring_new(
		&(struct fake_ring_options){.block_count = 2 * DEPTH});
	static const uint8_t cdb[10] = {0x28, 0, 0, 0, 0, 0, 0, 0, LENGTH / BLOCK};
	const unsigned rounds = 200000 / queue;
	uint64_t taken = 0, fetched = 0, start;
	struct tcmu_entry entry;
	struct tcmu_ring ring;
	struct iovec iov[4];

	if (!fake || tcmu_ring_attach(&ring, fake_ring_base(fake), fake_ring_length(fake)) < 0)
		bench_die("the fake ring", "no memory");
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned j = 0; j < queue; j++)
			(void) fake_ring_push(
				fake,
				&(struct fake_command){
					.cdb = cdb, .cdb_length = 10, .length = LENGTH});
		fake_ring_publish(fake);
		start = now_ns(CLOCK_MONOTONIC);
		while (tcmu_ring_next(&ring, &entry, iov, 4) > 0)
			(void) tcmu_ring_complete(
				&ring, &(struct tcmu_completion){.cmd_id = entry.cmd_id});
		tcmu_ring_publish(&ring);
		fetched += now_ns(CLOCK_MONOTONIC) - start;
		start = now_ns(CLOCK_MONOTONIC);
		(void) fake_ring_consume(fake, NULL, NULL);
		taken += now_ns(CLOCK_MONOTONIC) - start;
	}
	printf("alone, %u at once: the fake kernel's doorbell %.0f ns a command, fetching and "
	       "answering "
	       "%.0f ns\n",
	       queue, (double) taken / rounds / queue, (double) fetched / rounds / queue);
	fake_ring_free(fake);
}

/* ------- plugins ------- */

static void measure_plugin(
	const struct handlers *registry, const char *config, enum aio_kind aio, const char *name)
{
	struct subject subject = {.name = name, .aio = aio};
	char subtype[64];
	struct options *options;
	struct tcmu_reason reason = {{0}};
	struct tcmu_config with_size;
	int r;

	if (!options_subtype(config, subtype, sizeof(subtype)))
		bench_die(config, "no subtype");
	subject.handler = handlers_find(registry, subtype);
	if (!subject.handler) {
		printf("%-16s is not in %s\n", subtype, handlers);
		return;
	}
	r = options_parse(config, subject.handler, &options, &reason);
	if (r < 0)
		bench_die(config, reason.text);
	with_size = *options_config(options);
	with_size.size = (uint64_t) BLOCKS * BLOCK;
	with_size.block_size = BLOCK;
	r = subject.handler->open(
		&with_size, &host, NULL, &subject.info, &subject.backend, &reason);
	if (r < 0)
		bench_die(config, reason.text);
	measure_all(&subject, false);
	subject.handler->close(subject.backend);
	options_free(options);
}

static void measure_file(const struct handlers *registry)
{
	char path[256], config[320];
	static uint8_t data[1024 * 1024];
	int fd;

	(void) snprintf(path, sizeof(path), "%s/bench-io.XXXXXX", directory);
	fd = mkstemp(path);
	if (fd < 0)
		bench_die(path, strerror(errno));
	for (unsigned i = 0; i < (uint64_t) BLOCKS * BLOCK / sizeof(data); i++)
		if (write(fd, data, sizeof(data)) != (ssize_t) sizeof(data))
			bench_die(path, strerror(errno));
	close(fd);
	(void) snprintf(config, sizeof(config), "file/%s", path);
	measure_plugin(registry, config, AIO_URING, "file, io_uring");
	measure_plugin(registry, config, AIO_THREADS, "file, threads");
	(void) unlink(path);
}

static void parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{"seconds", required_argument, NULL, 's'},
		{"busy-poll", required_argument, NULL, 'b'},
		{"commands", required_argument, NULL, 'c'},
		{"config", required_argument, NULL, 'C'},
		{"only", required_argument, NULL, 'o'},
		{"handlers", required_argument, NULL, 'h'},
		{"directory", required_argument, NULL, 'd'},
		{"sleep", no_argument, NULL, 'S'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			seconds = (unsigned) strtoul(optarg, NULL, 10);
			break;
		case 'b':
			busy_poll = (unsigned) strtoul(optarg, NULL, 10);
			break;
		case 'c':
			command_cnt = strtoul(optarg, NULL, 10);
			break;
		case 'C':
			config_wanted = optarg;
			break;
		case 'o':
			only = optarg;
			break;
		case 'h':
			handlers = optarg;
			break;
		case 'd':
			directory = optarg;
			break;
		case 'S':
			sleeps = true;
			break;
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct subject nobody = {
		.name = "nothing",
		.handler = &nothing,
		.info.caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE)};
	struct handlers *registry;

	parse_options(argc, argv);
	registry = handlers_new();
	(void) handlers_load(registry, handlers);
	if (!only && !config_wanted) {
		measure_ring(1);
		measure_ring(128);
	}
	printf("%-16s %-6s %5s %12s %10s %10s %10s %8s\n", "handler", "op", "queue", "commands/s",
	       "cpu ns/cmd", "user ns", "doorbells", "sleeps");
	if (config_wanted) {
		measure_plugin(registry, config_wanted, AIO_AUTO, "plugin");
	} else {
		measure_all(&nobody, true);
		measure_plugin(registry, "null/", AIO_AUTO, "null");
		measure_file(registry);
	}
	handlers_free(registry);
	return 0;
}
