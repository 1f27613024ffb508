/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves a file as a ublk block device, for tests/bench/exact: one queue of 128 requests, whose
 * thread waits for the driver's commands and for its own file requests with one io_uring. Prints
 * the device's path once it is there. SIGTERM or SIGINT removes the device and ends the program.
 * Needs Linux 6.4, whose driver knows commands with numbers of ioctl(). A failure can leave the
 * number of /dev/ublkcN taken.
 *
 * usage: ublk-file FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/ublk_cmd.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <liburing.h>

#define DEPTH        128
#define BUFFER       (512U << 10) /* the largest request */
#define SECTOR_SHIFT 9            /* in which the driver counts */
#define PAGE_SHIFT   12

/* A kernel need not know the plain numbers of Linux 6.0. */
#define CONTROL(number) _IOWR('u', (number), struct ublksrv_ctrl_cmd)
#define FETCH           _IOWR('u', UBLK_IO_FETCH_REQ, struct ublksrv_io_cmd)
#define COMMIT          _IOWR('u', UBLK_IO_COMMIT_AND_FETCH_REQ, struct ublksrv_io_cmd)

/* The descriptors that the ring has registered. */
enum {
	DRIVER,
	STORE
};

/* What a completion is of: user_data is the request's tag, and this bit if it is of the file. */
#define OF_STORE 0x10000U

struct queue {
	struct io_uring ring;
	int driver; /* /dev/ublkcN */
	int store;
	const struct ublksrv_io_desc *requests; /* by tag; written by the driver */
	size_t requests_size;
	char *buffers;
	unsigned fetched; /* requests that the driver has a command of, or this program works on */
};

static _Noreturn void fail(const char *what, int error)
{
	fprintf(stderr, "ublk-file: %s: %s\n", what, strerror(error));
	exit(1);
}

static int require(int result, const char *what)
{
	if (result < 0)
		fail(what, -result);
	return result;
}

/* ---- the queue's thread ---- */

/* Each request has one thing in flight at a time, so there is always room. */
static struct io_uring_sqe *queue_take_sqe(struct queue *queue)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);

	if (!sqe)
		fail("the ring is full", EBUSY);
	return sqe;
}

/* Has the driver complete the request of a tag (COMMIT) and give the next one. */
static void queue_fetch(struct queue *queue, uint32_t operation, uint16_t tag, int result)
{
	struct io_uring_sqe *sqe = queue_take_sqe(queue);
	const struct ublksrv_io_cmd command = {
		.tag = tag,
		.result = result,
		.addr = (uintptr_t) (queue->buffers + (size_t) tag * BUFFER),
	};

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, DRIVER, NULL, 0, 0);
	sqe->cmd_op = operation;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->user_data = tag;
	memcpy(sqe->cmd, &command, sizeof(command));
}

/* How a file forgets a range: a hole reads as zeros. Storage that is to stay is zeroed. */
static int fallocate_mode(uint8_t operation, uint32_t flags)
{
	if (operation == UBLK_IO_OP_WRITE_ZEROES && (flags & UBLK_IO_F_NOUNMAP))
		return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
}

/* Begins the request that the driver has given. */
static void queue_serve(struct queue *queue, uint16_t tag)
{
	const struct ublksrv_io_desc *request = &queue->requests[tag];
	/* The header shifts the flags down by the operation's 8 bits, and its UBLK_IO_F_* are not
	 * shifted. */
	uint32_t flags = request->op_flags & ~0xffU;
	uint8_t operation = ublksrv_get_op(request);
	uint64_t offset = request->start_sector << SECTOR_SHIFT;
	uint32_t length = request->nr_sectors << SECTOR_SHIFT;
	char *buffer = queue->buffers + (size_t) tag * BUFFER;
	struct io_uring_sqe *sqe;

	if (operation > UBLK_IO_OP_DISCARD && operation != UBLK_IO_OP_WRITE_ZEROES) {
		queue_fetch(queue, COMMIT, tag, -EOPNOTSUPP);
		return;
	}
	sqe = queue_take_sqe(queue);
	switch (operation) {
	case UBLK_IO_OP_READ:
		io_uring_prep_read(sqe, STORE, buffer, length, offset);
		break;
	case UBLK_IO_OP_WRITE:
		io_uring_prep_write(sqe, STORE, buffer, length, offset);
		sqe->rw_flags = (flags & UBLK_IO_F_FUA) ? RWF_DSYNC : 0;
		break;
	case UBLK_IO_OP_FLUSH:
		io_uring_prep_fsync(sqe, STORE, IORING_FSYNC_DATASYNC);
		break;
	default:
		io_uring_prep_fallocate(
			sqe, STORE, fallocate_mode(operation, flags), (off_t) offset, length);
	}
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->user_data = tag | OF_STORE;
}

static void queue_handle(struct queue *queue, const struct io_uring_cqe *cqe)
{
	uint16_t tag = (uint16_t) cqe->user_data;

	if (cqe->user_data & OF_STORE)
		/* The driver sends the rest of a short transfer as another request. */
		queue_fetch(queue, COMMIT, tag, cqe->res);
	else if (cqe->res == UBLK_IO_RES_OK)
		queue_serve(queue, tag);
	else if (cqe->res == UBLK_IO_RES_ABORT)
		queue->fetched--; /* the device ends */
	else
		fail("the driver has refused a command", -cqe->res);
}

/* Serves until the driver has given all commands back. One system call submits all that the
 * completions of the last one have led to. */
static void *queue_run(void *argument)
{
	struct queue *queue = argument;
	const int files[] = {[DRIVER] = queue->driver, [STORE] = queue->store};
	struct io_uring_params parameters = {
		/* All work of the ring is done by this thread, in the call in which it waits. */
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_COOP_TASKRUN,
	};

	require(io_uring_queue_init_params(DEPTH, &queue->ring, &parameters), "io_uring_setup");
	require(io_uring_register_files(&queue->ring, files, 2), "registering the files");
	require(io_uring_register_ring_fd(&queue->ring), "registering the ring");
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		queue_fetch(queue, FETCH, tag, 0);
	queue->fetched = DEPTH;
	while (queue->fetched) {
		int result = io_uring_submit_and_wait(&queue->ring, 1);
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		if (result < 0 && result != -EINTR)
			fail("io_uring_enter", -result);
		io_uring_for_each_cqe(&queue->ring, head, cqe)
		{
			queue_handle(queue, cqe);
			count++;
		}
		io_uring_cq_advance(&queue->ring, count);
	}
	io_uring_queue_exit(&queue->ring);
	return NULL;
}

/* Opens the driver's device of the queue, and maps what it shares. */
static void queue_open(struct queue *queue, uint32_t id)
{
	size_t page = (size_t) sysconf(_SC_PAGESIZE), buffers = (size_t) DEPTH * BUFFER;
	char path[32];
	void *memory;

	snprintf(path, sizeof(path), "/dev/ublkc%u", id);
	queue->driver = open(path, O_RDWR | O_CLOEXEC);
	if (queue->driver < 0)
		fail(path, errno);
	queue->requests_size = (DEPTH * sizeof(*queue->requests) + page - 1) / page * page;
	memory = mmap(
		NULL, queue->requests_size, PROT_READ, MAP_SHARED | MAP_POPULATE, queue->driver,
		UBLKSRV_CMD_BUF_OFFSET);
	if (memory == MAP_FAILED)
		fail("mapping the requests", errno);
	queue->requests = memory;
	memory = mmap(NULL, buffers, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("memory for the buffers", errno);
	queue->buffers = memory;
}

static void queue_close(struct queue *queue)
{
	munmap((void *) (uintptr_t) queue->requests, queue->requests_size);
	munmap(queue->buffers, (size_t) DEPTH * BUFFER);
	close(queue->driver);
}

/* ---- the device ---- */

/* Sends a command to /dev/ublk-control and waits for its result. */
static int control(
	struct io_uring *ring, uint32_t operation, const struct ublksrv_ctrl_cmd *command)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int result;

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, DRIVER, NULL, 0, 0);
	sqe->cmd_op = operation;
	sqe->flags = IOSQE_FIXED_FILE;
	memcpy(sqe->cmd, command, sizeof(*command));
	result = io_uring_submit(ring);
	if (result < 0)
		return result;
	do
		result = io_uring_wait_cqe(ring, &cqe);
	while (result == -EINTR);
	if (result < 0)
		return result;
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

static void control_open(struct io_uring *ring)
{
	/* The commands are larger than a simple entry. */
	struct io_uring_params parameters = {.flags = IORING_SETUP_SQE128};
	int driver = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);

	if (driver < 0)
		fail("/dev/ublk-control", errno);
	require(io_uring_queue_init_params(4, ring, &parameters), "io_uring_setup");
	require(io_uring_register_files(ring, &driver, 1), "registering /dev/ublk-control");
	close(driver);
}

/* Returns the device's number. */
static uint32_t device_add(struct io_uring *ring)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = 1,
		.queue_depth = DEPTH,
		.max_io_buf_bytes = BUFFER,
		.dev_id = UINT32_MAX, /* any */
		.ublksrv_pid = getpid(),
	};
	struct ublksrv_ctrl_cmd command = {
		.dev_id = UINT32_MAX,
		.queue_id = UINT16_MAX,
		.len = sizeof(info),
		.addr = (uintptr_t) &info,
	};

	require(control(ring, CONTROL(UBLK_CMD_ADD_DEV), &command), "UBLK_CMD_ADD_DEV");
	if (info.nr_hw_queues != 1 || info.queue_depth != DEPTH || info.max_io_buf_bytes < BUFFER)
		fail("the driver has given a smaller queue", ENOTSUP);
	return info.dev_id;
}

static int device_set_parameters(struct io_uring *ring, uint32_t id, uint64_t size)
{
	struct ublk_params parameters = {
		.len = sizeof(parameters),
		.types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD,
		.basic =
			{
				.attrs = UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA,
				.logical_bs_shift = SECTOR_SHIFT,
				.physical_bs_shift = PAGE_SHIFT,
				.io_opt_shift = PAGE_SHIFT,
				.io_min_shift = PAGE_SHIFT,
				.max_sectors = BUFFER >> SECTOR_SHIFT,
				.dev_sectors = size >> SECTOR_SHIFT,
			},
		.discard =
			{
				.discard_granularity = 1U << PAGE_SHIFT,
				.max_discard_sectors = UINT32_MAX >> SECTOR_SHIFT,
				.max_write_zeroes_sectors = UINT32_MAX >> SECTOR_SHIFT,
				.max_discard_segments = 1,
			},
	};
	const struct ublksrv_ctrl_cmd command = {
		.dev_id = id,
		.queue_id = UINT16_MAX,
		.len = sizeof(parameters),
		.addr = (uintptr_t) &parameters,
	};

	return control(ring, CONTROL(UBLK_CMD_SET_PARAMS), &command);
}

static int device_command(struct io_uring *ring, uint32_t number, uint32_t id, uint64_t data)
{
	const struct ublksrv_ctrl_cmd command = {
		.dev_id = id, .queue_id = UINT16_MAX, .data = {data}};

	return control(ring, CONTROL(number), &command);
}

/* Opens the file so that io_uring serves it in the thread that asks. Without O_DIRECT it would hand
 * each write to a worker thread, and without O_NONBLOCK each request for a file that promises
 * nothing about waiting, as those of a tmpfs. A request that has to wait still goes to
 * a worker. */
static int store_open(const char *path, uint64_t *size)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK;
	struct stat status;
	int store = open(path, flags | O_DIRECT);

	if (store < 0 && errno == EINVAL)
		store = open(path, flags);
	if (store < 0 || fstat(store, &status) < 0)
		fail(path, errno);
	if (!S_ISREG(status.st_mode) || status.st_size < 1 << PAGE_SHIFT)
		fail(path, EINVAL);
	*size = (uint64_t) status.st_size;
	return store;
}

int main(int argc, char **argv)
{
	struct io_uring ring;
	struct queue queue = {0};
	pthread_t thread;
	sigset_t signals;
	uint64_t size = 0;
	uint32_t id;
	int number, result;

	if (argc != 2) {
		fputs("usage: ublk-file FILE\n", stderr);
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	queue.store = store_open(argv[1], &size);
	control_open(&ring);
	id = device_add(&ring);
	queue_open(&queue, id);
	result = device_set_parameters(&ring, id, size);
	require(result, "UBLK_CMD_SET_PARAMS");
	result = pthread_create(&thread, NULL, queue_run, &queue);
	if (result)
		fail("pthread_create", result);
	/* Waits until the driver has a command for each request. */
	result = device_command(&ring, UBLK_CMD_START_DEV, id, (uint64_t) getpid());
	require(result, "UBLK_CMD_START_DEV");
	printf("/dev/ublkb%u\n", id);
	fflush(stdout);

	while (sigwait(&signals, &number) != 0)
		;
	/* Requests in flight are still served. Then the driver gives the commands back. */
	require(device_command(&ring, UBLK_CMD_STOP_DEV, id, 0), "UBLK_CMD_STOP_DEV");
	pthread_join(thread, NULL);
	queue_close(&queue);
	/* Waits until nobody has /dev/ublkcN open. */
	require(device_command(&ring, UBLK_CMD_DEL_DEV, id, 0), "UBLK_CMD_DEL_DEV");
	close(queue.store);
	io_uring_queue_exit(&ring);
	return 0;
}
