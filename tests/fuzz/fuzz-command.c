/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any commands, with any data, errors, aborts and control requests, through the I/O thread of a
 * device: from the ring to the handler and back.
 *
 * The thread is this one: pthread_create() runs its function at once, and each time that it would
 * sleep, epoll_wait() takes the next record of the input. An input is the device (struct unit),
 * then records (struct record), each followed by its data-out. After the last record everything is
 * completed and the thread drained.
 *
 * Under MemorySanitizer the pages of a command without data-out count as not initialised, as they
 * hold data of earlier commands: whatever reaches the initiator has to come from this command.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <scsi/optable.h>
#include <tcmu/configfs.h>
#include <tcmu/uio.h>

#include "fake-ring.h"
#include "io/thread.h"
#include "msan.h"
#include "threads.h"

#define BLOCK      512u
#define STORE_SIZE (256u * BLOCK)
#define ROOM_MAX   8192u
#define COMMANDS   64u    /* in flight at most */
#define IDLE_MAX   10000u /* sleeps after the end of the input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *arg);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);

/* ------- the input ------- */

struct unit {
	uint8_t flags;  /* UNIT_ */
	uint8_t limits; /* blocks of a command, less one */
	uint8_t error;  /* which of errors[] ends deferred work */
	uint8_t depth;  /* slots, less two */
};

#define UNIT_ALL_CAPS    0x01
#define UNIT_NO_READ_LEN 0x02
#define UNIT_FUA         0x04
#define UNIT_VOLATILE    0x08
#define UNIT_LOOPBACK    0x10
#define UNIT_LIMITED     0x20
#define UNIT_READ_ONLY   0x40
#define UNIT_HOLD        0x80

struct record {
	uint8_t kind;
	uint8_t operation;  /* 0: the CDB as it is; else an entry of the table */
	uint8_t out_length; /* bytes of data-out that follow; the rest of the room is zeros */
	uint8_t value;
	uint8_t room[2];
	uint8_t cdb[16];
};

enum kind {
	KIND_COMMAND,
	KIND_COMMAND_2,
	KIND_COMMAND_3,
	KIND_COMMAND_4,
	KIND_COMPLETE,
	KIND_COMPLETE_FAILED,
	KIND_HOLD,
	KIND_ABORT,
	KIND_RESET_LUN,
	KIND_CONTROL,
	KIND_LIMITS,
	KIND_RESET_RING,
	KIND_DRAIN,
	KIND_XCOPY,
	KIND_IDLE,
	KINDS,
};

static const int errors[] = {0,          -EIO,    -ENOSPC,    -EROFS,     -EBUSY, -EOPNOTSUPP,
			     -ECANCELED, -EILSEQ, -EREMOTEIO, -ETIMEDOUT, -ENOMEM};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

static struct {
	const uint8_t *data;
	size_t size;
	struct unit unit;
	struct fake_ring *rings[2]; /* with and without READ_LEN; kept from input to input */
	struct fake_ring *ring;
	struct io_thread *thread;
	uint32_t signals;
	bool holds;
	bool draining;
	unsigned idle;
	uint16_t ids[COMMANDS]; /* of the commands that are not completed */
	unsigned id_cnt;
	struct tcmu_io *held[COMMANDS];
	unsigned held_cnt;
	uint8_t store[STORE_SIZE];
} fuzz;

static void fuzz_demand(bool condition)
{
	if (!condition)
		abort();
}

/* ------- the handler ------- */

static void backend_transfer(const struct tcmu_io *io, bool write, uint64_t offset)
{
	for (unsigned i = 0; i < io->iov_cnt; i++) {
		fuzz_demand(offset + io->iov[i].iov_len <= STORE_SIZE);
		if (write)
			memcpy(fuzz.store + offset, io->iov[i].iov_base, io->iov[i].iov_len);
		else
			memcpy(io->iov[i].iov_base, fuzz.store + offset, io->iov[i].iov_len);
		offset += io->iov[i].iov_len;
	}
}

static int backend_compare(const struct tcmu_io *io)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < io->iov_cnt; i++) {
		const uint8_t *want = io->iov[i].iov_base;

		for (size_t j = 0; j < io->iov[i].iov_len && at < io->length; j++, at++)
			if (want[j] != fuzz.store[io->offset + at]) {
				((struct tcmu_io *) io)->result = at;
				return -EILSEQ;
			}
	}
	return 0;
}

static int backend_execute(struct tcmu_io *io)
{
	fuzz_demand(io->offset <= STORE_SIZE && io->length <= STORE_SIZE - io->offset);
	switch (io->op) {
	case TCMU_IO_READ:
	case TCMU_IO_WRITE:
		backend_transfer(io, io->op == TCMU_IO_WRITE, io->offset);
		break;
	case TCMU_IO_UNMAP:
	case TCMU_IO_WRITE_ZEROES:
		memset(fuzz.store + io->offset, 0, io->length);
		break;
	case TCMU_IO_WRITE_SAME:
		for (uint64_t at = 0; at < io->length; at += io->iov[0].iov_len)
			backend_transfer(io, true, io->offset + at);
		break;
	case TCMU_IO_COMPARE_AND_WRITE:
		return backend_compare(io);
	case TCMU_IO_MAP:
		io->result = io->length < 8 * BLOCK ? io->length : 8 * BLOCK;
		io->result_flags = io->offset / BLOCK % 2 ? TCMU_IO_MAPPED : 0;
		break;
	default:
		break;
	}
	return 0;
}

static void backend_complete(struct tcmu_io *io, int error)
{
	int r = backend_execute(io);

	submit_complete(io, error ? error : r);
}

static void backend_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	if (fuzz.holds && fuzz.held_cnt < COMMANDS)
		fuzz.held[fuzz.held_cnt++] = io;
	else
		backend_complete(io, 0);
}

/* Completes the i-th held request. */
static void backend_release(unsigned i, int error)
{
	struct tcmu_io *io = fuzz.held[i];

	fuzz.held[i] = fuzz.held[--fuzz.held_cnt];
	backend_complete(io, error);
}

static void backend_cancel(void *backend, struct tcmu_io *io)
{
	(void) backend;
	for (unsigned i = 0; i < fuzz.held_cnt; i++)
		if (fuzz.held[i] == io && io->offset / BLOCK % 2) {
			backend_release(i, -ECANCELED);
			return;
		}
}

static const struct tcmu_handler handler = {
	.abi = TCMU_HANDLER_ABI,
	.size = sizeof(handler),
	.subtype = "fuzz",
	.threading = TCMU_HANDLER_ASYNC,
	.submit = backend_submit,
	.cancel = backend_cancel,
};

static const struct tcmu_host host = {
	.abi = TCMU_HANDLER_ABI, .size = sizeof(host), .complete = submit_complete};

/* ------- the kernel ------- */

int tcmu_uio_open(struct tcmu_uio *uio, unsigned minor)
{
	*uio = (struct tcmu_uio) TCMU_UIO_INIT;
	uio->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* epoll takes no memfd */
	uio->minor = minor;
	return uio->fd < 0 ? -errno : 0;
}

int tcmu_uio_map(struct tcmu_uio *uio)
{
	uio->base = fake_ring_base(fuzz.ring);
	uio->length = fake_ring_length(fuzz.ring);
	return 0;
}

void tcmu_uio_unmap(struct tcmu_uio *uio)
{
	uio->base = NULL;
}

void tcmu_uio_close(struct tcmu_uio *uio)
{
	if (uio->fd >= 0)
		close(uio->fd);
	uio->fd = -1;
}

/* The pages are those of the next command from here on. */
static void kernel_completes(const struct fake_completion *completion, void *userdata)
{
	uint32_t left = fake_completion_returned(completion);

	(void) userdata;
	for (unsigned i = 0; i < completion->iov_cnt; i++) {
		const struct iovec *iov = &completion->iov[i];
		uint32_t n = iov->iov_len < left ? (uint32_t) iov->iov_len : left;

		__msan_check_mem_is_initialized(iov->iov_base, n);
		__msan_allocated_memory(iov->iov_base, iov->iov_len);
		left -= n;
	}
	fuzz_demand(left == 0);
	if (completion->status == SCSI_CHECK_CONDITION) {
		fuzz_demand((completion->sense[0] & 0x7c) == 0x70);
		__msan_check_mem_is_initialized(completion->sense, TCMU_SENSE_MAX);
	}
	for (unsigned i = 0; i < fuzz.id_cnt; i++)
		if (fuzz.ids[i] == completion->cmd_id) {
			fuzz.ids[i] = fuzz.ids[--fuzz.id_cnt];
			return;
		}
	abort();
}

int tcmu_uio_doorbell(struct tcmu_uio *uio)
{
	(void) uio;
	fuzz_demand(fake_ring_consume(fuzz.ring, kernel_completes, NULL) >= 0);
	return 0;
}

static void kernel_resets_ring(void)
{
	fake_ring_reset(fuzz.ring, NULL, NULL);
	__msan_allocated_memory(
		(uint8_t *) fake_ring_base(fuzz.ring) + fake_ring_length(fuzz.ring) / 2,
		fake_ring_length(fuzz.ring) / 2);
	fuzz.id_cnt = 0;
}

static struct fake_ring *kernel_makes_ring(bool read_len)
{
	uint16_t features = TCMU_RING_OUT_OF_ORDER | TCMU_RING_TMR;
	struct fake_ring *ring;

	if (read_len)
		features |= TCMU_RING_READ_LEN;
	ring = fake_ring_new(&(struct fake_ring_options){
		.block_count = 512,
		.scatter = true,
		.features = features,
	});

	fuzz_demand(ring);
	return ring;
}

/* ------- commands ------- */

/* An operation that reads the pages. Its data-out is never left away, as the kernel checks the
 * direction where it matters. */
static bool takes_data_out(const uint8_t *cdb)
{
	switch (cdb[0]) {
	case 0x04: /* FORMAT UNIT */
	case 0x0a: /* WRITE */
	case 0x15: /* MODE SELECT */
	case 0x1d: /* SEND DIAGNOSTIC */
	case 0x2a:
	case 0x2e:
	case 0x2f: /* VERIFY */
	case 0x41: /* WRITE SAME */
	case 0x42: /* UNMAP */
	case 0x48: /* SANITIZE */
	case 0x55:
	case 0x83: /* EXTENDED COPY */
	case 0x89: /* COMPARE AND WRITE */
	case 0x8a:
	case 0x8b: /* ORWRITE */
	case 0x8e:
	case 0x8f:
	case 0x93:
	case 0x9c:
	case 0xa4: /* SET TARGET PORT GROUPS */
	case 0xaa:
	case 0xae:
	case 0xaf:
		return true;
	default:
		return false;
	}
}

static void push_command(const uint8_t *cdb, const uint8_t *out, uint32_t room)
{
	struct fake_command command = {
		.cdb = cdb,
		.cdb_length = 16,
		.data_out = takes_data_out(cdb) && room ? out : NULL,
		.length = room,
	};
	int id;

	if (fuzz.id_cnt == COMMANDS)
		return;
	id = fake_ring_push(fuzz.ring, &command);
	if (id >= 0)
		fuzz.ids[fuzz.id_cnt++] = (uint16_t) id;
	(void) fake_ring_publish(fuzz.ring);
}

static void push_record(const struct record *record, const uint8_t *out)
{
	static uint8_t padded[ROOM_MAX];
	uint32_t room = ((uint32_t) record->room[0] << 8 | record->room[1]) % (ROOM_MAX + 1);
	const struct scsi_operation *operation = scsi_operation_at(record->operation - 1u);
	uint8_t cdb[16];

	memcpy(cdb, record->cdb, sizeof(cdb));
	if (record->operation && operation) {
		cdb[0] = operation->opcode;
		if (operation->has_action)
			cdb[1] = (uint8_t) ((cdb[1] & 0xe0) | operation->action);
		for (unsigned i = 2; i < operation->cdb_length; i++)
			cdb[i] &= operation->usage[i];
	}
	memset(padded, 0, sizeof(padded));
	memcpy(padded, out, record->out_length);
	push_command(cdb, padded, room);
}

/* EXTENDED COPY from blocks of this device to others of it. */
static void push_xcopy(const struct record *record)
{
	uint8_t list[16 + 32 + 28] = {0}, cdb[16] = {0x83, [13] = sizeof(list)};
	struct scsi_lu lu = {.serial = "1"};

	list[0] = record->value;
	list[3] = 32;
	list[11] = 28;
	list[16] = 0xe4;
	list[20] = 0x01;
	list[21] = 0x03;
	list[23] = SCSI_NAA_LENGTH;
	fuzz_demand(scsi_naa(&lu, list + 24));
	list[48] = 0x02;
	list[51] = 0x18;
	list[59] = record->cdb[0] % 64;
	list[67] = record->cdb[1];
	list[75] = record->cdb[2];
	push_command(cdb, list, sizeof(list));
}

static void push_function(enum tcmu_tmr_type type, unsigned value)
{
	uint16_t ids[2] = {fuzz.id_cnt ? fuzz.ids[value % fuzz.id_cnt] : 1, (uint16_t) value};

	(void) fake_ring_push_tmr(fuzz.ring, (uint8_t) type, ids, 2);
	(void) fake_ring_publish(fuzz.ring);
}

/* ------- the device ------- */

/* Where tests/sim/no-aio.c would change to another thread. */
void sim_preempt(void)
{
}

static void device_signal(void *userdata, uint32_t bits)
{
	(void) userdata;
	fuzz.signals |= bits;
}

static void device_set_lu_info(unsigned value)
{
	struct scsi_lu_info info = {
		.serial = "1",
		.has_saved = value & 1,
		.ports = {
			.reset_cancels = !(fuzz.unit.flags & UNIT_LOOPBACK),
			.group_cnt = 1 + (value >> 1) % 2,
			.groups = {
				{.id = 7,
				 .supported = 0x0f,
				 .access = SCSI_ACCESS_IMPLICIT | SCSI_ACCESS_EXPLICIT},
				{.id = 8, .supported = 0x0f, .access = SCSI_ACCESS_IMPLICIT}}}};

	io_thread_set_lu_info(fuzz.thread, &info);
}

/* Plays the main thread, which answers at once. */
static void device_takes_signals(void)
{
	uint32_t signals = fuzz.signals;

	fuzz.signals = 0;
	if (signals & IO_SIGNAL_NEEDS_LU_INFO)
		device_set_lu_info(fuzz.unit.error);
	if (signals & IO_SIGNAL_DEFERRED)
		io_thread_deferred_done(fuzz.thread, errors[fuzz.unit.error % ERRORS]);
	if (signals & IO_SIGNAL_RING_IDLE) {
		kernel_resets_ring();
		io_thread_reattach(fuzz.thread);
	}
}

static void device_control(const struct record *record)
{
	unsigned value = record->value >> 3;

	switch (record->value % 8) {
	case 0:
		io_thread_set_size(
			fuzz.thread, STORE_SIZE - value * BLOCK, &fuzz.thread->core.info);
		break;
	case 1:
		device_set_lu_info(value);
		break;
	case 2:
		io_thread_set_permission(
			fuzz.thread, (enum io_permission)(value % 3), value % 3 == 2 ? 0x0b : 0);
		break;
	case 3:
		io_thread_set_write_cache(fuzz.thread, value & 1);
		break;
	case 4:
		io_thread_set_command_timeout(fuzz.thread, value);
		break;
	case 5:
		io_thread_deferred_done(fuzz.thread, errors[value % ERRORS]);
		break;
	case 6:
		if (value == 31)
			io_thread_fail(fuzz.thread);
		break;
	default:
		break;
	}
}

/* ------- the records ------- */

static void run_record(const struct record *record, const uint8_t *out)
{
	switch ((enum kind)(record->kind % KINDS)) {
	case KIND_COMPLETE:
	case KIND_COMPLETE_FAILED:
		if (fuzz.held_cnt)
			backend_release(
				record->value % fuzz.held_cnt,
				record->kind % KINDS == KIND_COMPLETE
					? 0
					: errors[record->operation % ERRORS]);
		break;
	case KIND_HOLD:
		fuzz.holds = record->value & 1;
		break;
	case KIND_ABORT:
		push_function(TCMU_TMR_TYPE_ABORT_TASK, record->value);
		break;
	case KIND_RESET_LUN:
		push_function(TCMU_TMR_TYPE_LUN_RESET, record->value);
		break;
	case KIND_CONTROL:
		device_control(record);
		break;
	case KIND_LIMITS:
		io_thread_set_limits(
			fuzz.thread,
			&(struct rate_limits){
				.iops = record->value & 1 ? 100 : 0,
				.bps = record->value & 2 ? 1000 : 0});
		break;
	case KIND_RESET_RING:
		kernel_resets_ring();
		break;
	case KIND_DRAIN:
		if (record->value > 0xf0)
			io_thread_drain(fuzz.thread, record->value & 1);
		break;
	case KIND_XCOPY:
		push_xcopy(record);
		break;
	case KIND_IDLE:
		break;
	default:
		push_record(record, out);
		break;
	}
}

static bool next_record(void)
{
	struct record record;
	size_t length;

	if (fuzz.size < sizeof(record))
		return false;
	memcpy(&record, fuzz.data, sizeof(record));
	length = fuzz.size - sizeof(record);
	if (record.out_length > length)
		record.out_length = (uint8_t) length;
	run_record(&record, fuzz.data + sizeof(record));
	length = sizeof(record) + record.out_length;
	fuzz.data += length;
	fuzz.size -= length;
	return true;
}

/* Everything that is held is completed; then the thread drains, and must end. */
static void end_input(void)
{
	fuzz_demand(++fuzz.idle < IDLE_MAX);
	fuzz.holds = false;
	if (fuzz.held_cnt)
		backend_release(0, 0);
	else if (!fuzz.draining) {
		fuzz.draining = true;
		io_thread_drain(fuzz.thread, false);
	}
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	(void) fd, (void) events, (void) max, (void) timeout;
	fuzz.thread = container_of(core_current, struct io_thread, core);
	device_takes_signals();
	if (!next_record())
		end_input();
	return 0;
}

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *arg)
{
	(void) attributes;
	*thread = pthread_self();
	function(arg);
	return 0;
}

/* The thread would block the signals of a crash. */
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
	(void) how, (void) set;
	if (before)
		sigemptyset(before);
	return 0;
}

/* ------- an input ------- */

static void fill_setup(struct io_thread_setup *setup)
{
	uint8_t flags = fuzz.unit.flags;
	uint64_t caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_FLUSH);

	if (!(flags & UNIT_READ_ONLY))
		caps |= TCMU_IO_CAP(TCMU_IO_WRITE);
	if (flags & UNIT_ALL_CAPS)
		caps |= TCMU_IO_CAP(TCMU_IO_UNMAP) | TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES) |
			TCMU_IO_CAP(TCMU_IO_MAP) | TCMU_IO_CAP(TCMU_IO_WRITE_SAME);
	*setup = (struct io_thread_setup){
		.name = "fuzz",
		.depth = 2u + fuzz.unit.depth % 31,
		.limits.bps = flags & UNIT_LIMITED ? 100000 : 0,
		.handler = &handler,
		.host = &host,
		.info =
			{.caps = caps,
			 .fua = flags & UNIT_FUA,
			 .volatile_cache = flags & UNIT_VOLATILE},
		.signal = device_signal,
	};
	setup->lu = (struct scsi_lu){
		.vendor = "LIO-ORG",
		.product = "TCMU device",
		.revision = "0002",
		.config = "fuzz/device",
		.blocks = STORE_SIZE / BLOCK,
		.block_size = BLOCK,
		.read_only = flags & UNIT_READ_ONLY,
		.thin = true,
		.unmap = flags & UNIT_ALL_CAPS,
		.unmap_zeroes = true,
		.max_transfer = 1u + fuzz.unit.limits,
		.max_unmap = STORE_SIZE / BLOCK,
		.max_write_same = STORE_SIZE / BLOCK,
		.max_compare_and_write = 8,
		.has_map = flags & UNIT_ALL_CAPS,
		.dataless = true,
		.has_clock = true,
		.max_xcopies = 4,
		.has_port_groups = true,
		.write_cache = true,
		.write_cache_changeable = true,
		.ports.reset_cancels = !(flags & UNIT_LOOPBACK),
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct io_thread_setup setup;
	struct io_thread *thread = NULL;
	struct fake_ring **ring;

	if (size < sizeof(fuzz.unit))
		return 0;
	memcpy(&fuzz.unit, data, sizeof(fuzz.unit));
	fuzz.data = data + sizeof(fuzz.unit);
	fuzz.size = size - sizeof(fuzz.unit);
	fuzz.signals = 0;
	fuzz.holds = fuzz.unit.flags & UNIT_HOLD;
	fuzz.draining = false;
	fuzz.idle = fuzz.held_cnt = fuzz.id_cnt = 0;
	memset(fuzz.store, 0x5a, sizeof(fuzz.store));
	ring = &fuzz.rings[!(fuzz.unit.flags & UNIT_NO_READ_LEN)];
	if (!*ring)
		*ring = kernel_makes_ring(!(fuzz.unit.flags & UNIT_NO_READ_LEN));
	fuzz.ring = *ring;
	fill_setup(&setup);
	fuzz_demand(io_thread_new(&setup, &thread) == 0);
	fuzz_demand(fuzz.signals & IO_SIGNAL_ENDED && !(fuzz.signals & IO_SIGNAL_RING_BROKEN));
	fuzz_demand(io_thread_in_flight(thread) == 0 && fuzz.held_cnt == 0);
	io_thread_free(thread);
	if (fake_ring_outstanding(fuzz.ring))
		kernel_resets_ring();
	return 0;
}
