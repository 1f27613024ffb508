/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uio device, with other descriptors in its place that answer as the kernel's does: a memfd is
 * mapped, an eventfd refuses a write of four bytes with EINVAL, /proc/self/mem at 0 ends in EIO, a
 * pipe takes and gives them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <tcmu/ring.h>
#include <tcmu/uio.h>

#include "fake-ring.h"
#include "fake-root.h"

#define PAGE 4096

/* Calls of libtcmu's that fail: the dynamic linker finds these two before libc's. */
static int madvise_error, mremap_error;

#pragma GCC visibility push(default)

int madvise(void *address, size_t length, int advice)
{
	errno = madvise_error;
	return madvise_error ? -1 : (int) syscall(SYS_madvise, address, length, advice);
}

void *mremap(void *from, size_t length, size_t new_length, int flags, ...)
{
	va_list args;
	void *to;

	va_start(args, flags);
	to = va_arg(args, void *);
	va_end(args);
	errno = mremap_error;
	return mremap_error ? MAP_FAILED
			    : (void *) syscall(SYS_mremap, from, length, new_length, flags, to);
}

#pragma GCC visibility pop

struct fixture {
	struct fake_root root;
	struct fake_ring *fake;
	struct tcmu_uio uio;
	uint8_t *data; /* the data area in the uio's mapping */
};

static int uio_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_root_make(&f->root);
	f->uio = (struct tcmu_uio) TCMU_UIO_INIT;
	*state = f;
	return 0;
}

static int uio_teardown(void **state)
{
	struct fixture *f = *state;

	tcmu_uio_unmap(&f->uio);
	tcmu_uio_close(&f->uio);
	fake_ring_free(f->fake);
	fake_root_remove(&f->root);
	free(f);
	return 0;
}

/* /dev/uio0 becomes another name for this descriptor. */
static void stand_in(struct fixture *f, int fd)
{
	char target[64];

	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	fake_root_link(&f->root, "/dev/uio0", target);
}

/* A ring behind /dev/uio0, opened and mapped. */
static int setup_mapped(void **state)
{
	struct fixture *f;
	char size[32];

	uio_setup(state);
	f = *state;
	f->fake = fake_ring_new(&(struct fake_ring_options){.block_count = 64});
	assert_non_null(f->fake);
	stand_in(f, fake_ring_fd(f->fake));
	snprintf(size, sizeof(size), "0x%016zx\n", fake_ring_length(f->fake));
	fake_root_write(&f->root, "/sys/class/uio/uio0/maps/map0/size", size);
	assert_int_equal(tcmu_uio_open(&f->uio, 0), 0);
	assert_int_equal(tcmu_uio_map(&f->uio), 0);
	assert_int_equal(f->uio.length, fake_ring_length(f->fake));
	f->data = (uint8_t *) f->uio.base + 65536;
	return 0;
}

/* The line of /proc/self/maps for this address; with smaps' VmFlags behind it where wanted. */
static void describe_mapping(const void *address, char *text, size_t size)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512];
	uintptr_t start, end;
	bool found = false;

	assert_non_null(file);
	text[0] = '\0';
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			found = (uintptr_t) address >= start && (uintptr_t) address < end;
		if (found && (strchr(line, '-') || strstr(line, "VmFlags")))
			snprintf(text + strlen(text), size - strlen(text), "%s", line);
	}
	fclose(file);
}

static void assert_mapped_as(const void *address, const char *expected)
{
	char text[1024];

	describe_mapping(address, text, sizeof(text));
	if (!strstr(text, expected))
		fail_msg("no '%s' in the mapping: %s", expected, text);
}

static void assert_ring_not_mapped(const struct fixture *f)
{
	for (size_t at = 0; at < fake_ring_length(f->fake); at += PAGE) {
		char text[1024];

		if (at > 4 * PAGE && at + 4 * PAGE < fake_ring_length(f->fake))
			continue;
		describe_mapping((uint8_t *) f->uio.base + at, text, sizeof(text));
		assert_null(strstr(text, "memfd"));
		assert_non_null(strstr(text, "-"));
	}
}

/* read(2) of one byte into address. */
static ssize_t read_into(void *address)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, address, 1);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

static void a_device_without_its_node_is_gone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tcmu_uio_open(&f->uio, 0), -ENODEV);
	assert_int_equal(f->uio.fd, -1);
}

static void a_node_without_its_device_is_gone(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* To open a socket's name is ENXIO, as of a device node that nothing is behind. */
	fake_root_directory(&f->root, "/dev");
	strcpy(address.sun_path, fake_root_path(&f->root, "/dev/uio0"));
	assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
	assert_int_equal(tcmu_uio_open(&f->uio, 0), -ENODEV);
	close(fd);
}

static void another_error_of_open_is_reported(void **state)
{
	struct fixture *f = *state;

	fake_root_directory(&f->root, "/dev/uio0");
	assert_int_equal(tcmu_uio_open(&f->uio, 0), -EISDIR);
	assert_int_equal(f->uio.fd, -1);
}

static void the_descriptor_does_not_block_and_is_not_inherited(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fcntl(f->uio.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(f->uio.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

static void the_mapping_is_shared_and_not_inherited(void **state)
{
	struct fixture *f = *state;

	f->data[5] = 0x5a;
	assert_int_equal(((uint8_t *) fake_ring_base(f->fake))[65536 + 5], 0x5a);
	assert_mapped_as(f->uio.base, "rw-s");
	assert_mapped_as(f->uio.base, " dc"); /* not copied by fork */
}

static void a_mapped_ring_works(void **state)
{
	static const uint8_t cdb[6] = {0x12, 0, 0, 0, 36, 0};
	struct fixture *f = *state;
	struct tcmu_ring ring;
	struct tcmu_entry entry;
	struct iovec iov[4];

	assert_int_equal(tcmu_ring_attach(&ring, f->uio.base, f->uio.length), 0);
	assert_int_equal(
		fake_ring_push(
			f->fake, &(struct fake_command){.cdb = cdb, .cdb_length = 6, .length = 36}),
		1);
	fake_ring_publish(f->fake);
	assert_int_equal(tcmu_ring_next(&ring, &entry, iov, 4), 1);
	assert_ptr_equal(iov[0].iov_base, f->data);
	assert_int_equal(tcmu_ring_complete(&ring, &(struct tcmu_completion){.cmd_id = 1}), 0);
	tcmu_ring_publish(&ring);
	assert_int_equal(fake_ring_consume(f->fake, NULL, NULL), 1);
}

static void a_device_without_its_map_is_gone(void **state)
{
	struct fixture *f = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	stand_in(f, fds[0]);
	assert_int_equal(tcmu_uio_open(&f->uio, 0), 0);
	assert_int_equal(tcmu_uio_map(&f->uio), -ENODEV);
	fake_root_write(&f->root, "/sys/class/uio/uio0/maps/map0/size", "0x1000\n");
	assert_int_equal(tcmu_uio_map(&f->uio), -ENODEV); /* a pipe can not be mapped */
	assert_null(f->uio.base);
	fake_root_write(&f->root, "/sys/class/uio/uio0/maps/map0/size", "0x0\n");
	assert_int_equal(tcmu_uio_map(&f->uio), -EBADMSG);
	close(fds[0]);
	close(fds[1]);
}

static void the_doorbell_detects_a_device_that_is_gone(void **state)
{
	struct fixture *f = *state;
	uint32_t value;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	f->uio.fd = fds[1];
	assert_int_equal(tcmu_uio_doorbell(&f->uio), 0);
	assert_int_equal(read(fds[0], &value, sizeof(value)), sizeof(value));
	while (write(fds[1], &value, sizeof(value)) == sizeof(value))
		;
	assert_int_equal(tcmu_uio_doorbell(&f->uio), -EAGAIN);
	tcmu_uio_close(&f->uio);
	close(fds[0]);

	f->uio.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* EINVAL: info is NULL */
	assert_int_equal(tcmu_uio_doorbell(&f->uio), -ENODEV);
	tcmu_uio_close(&f->uio);
	f->uio.fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC); /* EIO: irq is 0 */
	assert_int_equal(tcmu_uio_doorbell(&f->uio), -ENODEV);
	tcmu_uio_close(&f->uio);
	assert_int_equal(tcmu_uio_doorbell(&f->uio), -EBADF);
}

static void reading_the_count_detects_a_device_that_is_gone(void **state)
{
	struct fixture *f = *state;
	uint32_t value = 1;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	f->uio.fd = fds[0];
	assert_int_equal(tcmu_uio_ack(&f->uio), -EAGAIN);
	assert_int_equal(write(fds[1], &value, sizeof(value)), sizeof(value));
	assert_int_equal(tcmu_uio_ack(&f->uio), 0);
	assert_int_equal(tcmu_uio_ack(&f->uio), -EAGAIN);
	close(fds[1]);
	assert_int_equal(
		tcmu_uio_ack(&f->uio), -EIO); /* no uio device: nothing where a count should be */
	tcmu_uio_close(&f->uio);
	f->uio.fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	assert_int_equal(tcmu_uio_ack(&f->uio), -ENODEV);
}

static void events_of_both_kernels_show_whether_the_device_is_gone(void **state)
{
	static const struct {
		uint32_t revents;
		bool gone;
	} table[] = {
		{0, false},
		{POLLIN, false},
		{POLLIN | POLLRDNORM, false},
		{POLLIN | POLLERR | POLLHUP,
		 true}, /* 6.1: -EIO as a mask, 0x19 of what was asked for */
		{(uint32_t) -EIO, true},
		{POLLERR, true}, /* 7.2 */
		{POLLHUP, true},
		{POLLIN | POLLERR, true},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(tcmu_uio_revents_gone(table[i].revents), table[i].gone);
}

static void behind_an_inaccessible_replacement_a_late_read_ends_in_efault(void **state)
{
	struct fixture *f = *state;
	void *base = f->uio.base;

	f->data[0] = 0x11;
	assert_int_equal(read_into(f->data + PAGE), 1);
	assert_int_equal(tcmu_uio_replace_inaccessible(&f->uio), 0);
	assert_ptr_equal(f->uio.base, base);
	assert_int_equal(read_into(f->data), -EFAULT);
	assert_int_equal(((uint8_t *) fake_ring_base(f->fake))[65536], 0x11);
	assert_ring_not_mapped(f);
	assert_mapped_as(base, "---p");
	tcmu_uio_unmap(&f->uio);
	assert_null(f->uio.base);
}

static void a_private_replacement_keeps_what_is_in_flight(void **state)
{
	struct fixture *f = *state;
	void *base = f->uio.base;
	struct iovec keep[2] = {
		{.iov_base = f->data + 100, .iov_len = 2 * PAGE},
		{.iov_base = f->data + 20 * PAGE, .iov_len = 1}};
	uint8_t *kernel_s = (uint8_t *) fake_ring_base(f->fake) + 65536;

	memset(f->data, 0x77, 40 * PAGE);
	assert_int_equal(tcmu_uio_replace_private(&f->uio, keep, 2), 0);
	assert_ptr_equal(f->uio.base, base);
	assert_ring_not_mapped(f);
	assert_mapped_as(base, "rw-p");
	assert_mapped_as(base, " dc");
	for (size_t i = 0; i < 40 * PAGE; i++) {
		bool kept = (i >= 100 && i < 100 + 2 * PAGE) || i == 20 * PAGE;

		if (f->data[i] != (kept ? 0x77 : 0))
			fail_msg("byte %zu is %02x", i, f->data[i]);
	}
	assert_int_equal(read_into(f->data + 100), 1); /* succeeds without any effect */
	assert_int_equal(f->data[100], 0);
	assert_int_equal(kernel_s[100], 0x77);
}

static void a_private_replacement_may_keep_nothing(void **state)
{
	struct fixture *f = *state;

	memset(f->data, 0x77, PAGE);
	assert_int_equal(tcmu_uio_replace_private(&f->uio, NULL, 0), 0);
	assert_int_equal(f->data[0], 0);
	assert_ring_not_mapped(f);
}

static void ranges_outside_the_mapping_are_not_kept(void **state)
{
	struct fixture *f = *state;
	uint8_t *base = f->uio.base;
	const struct iovec bad[] = {
		{.iov_base = base - 1, .iov_len = 1},
		{.iov_base = base + f->uio.length, .iov_len = 1},
		{.iov_base = base + f->uio.length - 1, .iov_len = 2},
		{.iov_base = base, .iov_len = f->uio.length + 1},
		{.iov_base = base + 1, .iov_len = SIZE_MAX},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(tcmu_uio_replace_private(&f->uio, &bad[i], 1), -EINVAL);
		assert_mapped_as(base, "rw-s");
	}
}

static void pages_that_the_kernel_took_back_are_not_fatal(void **state)
{
	struct fixture *f = *state;
	struct iovec keep = {.iov_base = f->data, .iov_len = 4 * PAGE};

	memset(f->data, 0x77, 4 * PAGE);
	assert_int_equal(
		ftruncate(fake_ring_fd(f->fake), 65536 + 2 * PAGE), 0); /* beyond: SIGBUS */
	assert_int_equal(tcmu_uio_replace_private(&f->uio, &keep, 1), 0);
	assert_int_equal(f->data[2 * PAGE - 1], 0x77);
	assert_int_equal(f->data[2 * PAGE], 0);
}

static void without_memory_nothing_changes(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small = {};
	int r;

	f->data[0] = 0x22;
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	small.rlim_cur = PAGE;
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
	r = tcmu_uio_replace_private(&f->uio, NULL, 0);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_int_equal(r, -ENOMEM);
	assert_mapped_as(f->uio.base, "rw-s");
	assert_int_equal(f->data[0], 0x22);
}

static void a_mapping_that_children_would_inherit_is_not_kept(void **state)
{
	struct fixture *f = *state;

	tcmu_uio_unmap(&f->uio);
	madvise_error = EAGAIN;
	assert_int_equal(tcmu_uio_map(&f->uio), -EAGAIN);
	madvise_error = 0;
	assert_null(f->uio.base);
}

static void a_failed_replacement_changes_nothing(void **state)
{
	struct fixture *f = *state;

	f->data[0] = 0x33;
	madvise_error = EAGAIN;
	assert_int_equal(tcmu_uio_replace_private(&f->uio, NULL, 0), -EAGAIN);
	madvise_error = 0;
	mremap_error = ENOMEM;
	assert_int_equal(tcmu_uio_replace_private(&f->uio, NULL, 0), -ENOMEM);
	mremap_error = 0;
	assert_mapped_as(f->uio.base, "rw-s");
	assert_int_equal(f->data[0], 0x33);
}

static void an_unmapped_device_can_not_be_replaced(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(tcmu_uio_replace_inaccessible(&f->uio), -EINVAL);
	assert_int_equal(tcmu_uio_replace_private(&f->uio, NULL, 0), -EINVAL);
	tcmu_uio_unmap(&f->uio);
	tcmu_uio_close(&f->uio);
	tcmu_uio_close(&f->uio);
}

struct sandboxed {
	struct fixture *f;
	int result;
};

/* On a thread that the kernel lets do everything but process_vm_readv. */
static void *replace_in_sandbox(void *userdata)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	struct sandboxed *sandboxed = userdata;
	struct iovec keep = {.iov_base = sandboxed->f->data, .iov_len = 8};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		sandboxed->result = -errno;
	else
		sandboxed->result = tcmu_uio_replace_private(&sandboxed->f->uio, &keep, 1);
	return NULL;
}

static void a_sandbox_does_not_keep_the_ring(void **state)
{
	struct sandboxed sandboxed = {.f = *state};
	pthread_t thread;

	memcpy(sandboxed.f->data, "in fligh", 8);
	assert_int_equal(pthread_create(&thread, NULL, replace_in_sandbox, &sandboxed), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sandboxed.result, 0);
	assert_memory_equal(sandboxed.f->data, "in fligh", 8);
	assert_ring_not_mapped(sandboxed.f);
}

struct toucher {
	uint8_t *address;
	int go_on;   /* atomic */
	int touches; /* atomic */
};

/* A backend that works on its buffer in user space all the time. */
static void *touch_page(void *userdata)
{
	struct toucher *toucher = userdata;

	while (__atomic_load_n(&toucher->go_on, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(toucher->address, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&toucher->touches, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void wait_for_touches(const struct toucher *toucher)
{
	int start = __atomic_load_n(&toucher->touches, __ATOMIC_RELAXED);

	while (__atomic_load_n(&toucher->touches, __ATOMIC_RELAXED) < start + 1000)
		sched_yield();
}

static void a_private_replacement_is_never_missing(void **state)
{
	struct fixture *f = *state;
	struct toucher toucher = {.address = f->data, .go_on = 1};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, touch_page, &toucher), 0);
	for (int i = 0; i < 200; i++) {
		wait_for_touches(&toucher);
		assert_int_equal(tcmu_uio_replace_private(&f->uio, NULL, 0), 0);
	}
	wait_for_touches(&toucher);
	__atomic_store_n(&toucher.go_on, 0, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#define UIO_TEST(name)    cmocka_unit_test_setup_teardown(name, uio_setup, uio_teardown)
#define MAPPED_TEST(name) cmocka_unit_test_setup_teardown(name, setup_mapped, uio_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UIO_TEST(a_device_without_its_node_is_gone),
		UIO_TEST(a_node_without_its_device_is_gone),
		UIO_TEST(another_error_of_open_is_reported),
		MAPPED_TEST(the_descriptor_does_not_block_and_is_not_inherited),
		MAPPED_TEST(the_mapping_is_shared_and_not_inherited),
		MAPPED_TEST(a_mapped_ring_works),
		UIO_TEST(a_device_without_its_map_is_gone),
		UIO_TEST(the_doorbell_detects_a_device_that_is_gone),
		UIO_TEST(reading_the_count_detects_a_device_that_is_gone),
		cmocka_unit_test(events_of_both_kernels_show_whether_the_device_is_gone),
		MAPPED_TEST(behind_an_inaccessible_replacement_a_late_read_ends_in_efault),
		MAPPED_TEST(a_private_replacement_keeps_what_is_in_flight),
		MAPPED_TEST(a_private_replacement_may_keep_nothing),
		MAPPED_TEST(ranges_outside_the_mapping_are_not_kept),
		MAPPED_TEST(pages_that_the_kernel_took_back_are_not_fatal),
		MAPPED_TEST(without_memory_nothing_changes),
		MAPPED_TEST(a_mapping_that_children_would_inherit_is_not_kept),
		MAPPED_TEST(a_failed_replacement_changes_nothing),
		UIO_TEST(an_unmapped_device_can_not_be_replaced),
		MAPPED_TEST(a_sandbox_does_not_keep_the_ring),
		MAPPED_TEST(a_private_replacement_is_never_missing),
	};

	return cmocka_run_group_tests_name("uio", tests, NULL, NULL);
}
