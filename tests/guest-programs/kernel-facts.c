/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel does with a uio device of TCMU around its unregister, by system calls alone. Each
 * fact is a line `FACT name | value`; tests/vm/kernels collects them for docs/kernels.md. Run in
 * the guest by tests/cases/libtcmu/kernel-facts.sh, which traces tcmu_dev_kref_release() as the
 * event kref_release. Needs a kernel without a TCMU daemon, so that nothing waits for an answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HBA    "/sys/kernel/config/target/core/user_77"
#define DISK   HBA "/disk"
#define UIO    "/sys/class/uio/uio0"
#define NODE   "/dev/uio0"
#define TRACE  "/sys/kernel/tracing/trace"
#define LEAKED 8 /* devices over which the memory that is kept is averaged */

/* The start of struct tcmu_mailbox; its header clashes with libc's (libtcmu/kernel-abi.h). */
struct mailbox {
	uint16_t version;
	uint16_t flags;
};

struct device {
	int fd;
	void *base;
	size_t length;
};

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	printf("FAILED: %s: %s\n", what, strerror(errno));
	exit(1);
}

#define REQUIRE(condition) require(condition, #condition)

static void fact(const char *name, const char *value)
{
	printf("FACT %s | %s\n", name, value);
	fflush(stdout);
}

/* The result of a system call: its value, or the name of errno. */
static void fact_result(const char *name, int64_t result)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long) result);
	fact(name, result < 0 ? strerrorname_np(errno) : text);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, text, strlen(text)) == (ssize_t) strlen(text));
	close(fd);
}

/* The number after the first occurrence of `key`, or the number of its occurrences. */
static long file_number(const char *path, const char *key, bool count)
{
	FILE *file = fopen(path, "re");
	char line[512];
	long result = 0;

	REQUIRE(file != NULL);
	while (fgets(line, sizeof(line), file)) {
		const char *found = strstr(line, key);

		if (!found)
			continue;
		if (count) {
			result++;
			continue;
		}
		result = strtol(found + strlen(key), NULL, 0);
		break;
	}
	fclose(file);
	return result;
}

/* For facts that something does not happen, and a node that only polling shows. */
static void pause_ms(long ms)
{
	poll(NULL, 0, (int) ms);
}

static void fact_released(const char *name, long before)
{
	pause_ms(200);
	fact(name, file_number(TRACE, " kref_release: (", true) > before ? "yes" : "no");
}

static long released(void)
{
	return file_number(TRACE, " kref_release: (", true);
}

/* ------- a device ------- */

static void device_create(void)
{
	mkdir(HBA, 0777);
	REQUIRE(mkdir(DISK, 0777) == 0);
	write_text(DISK "/control", "dev_config=facts/x,dev_size=1048576");
	write_text(DISK "/enable", "1");
}

static void device_open(struct device *device)
{
	for (int i = 0; access(NODE, F_OK) < 0 && i < 100; i++)
		pause_ms(50);
	device->fd = open(NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	REQUIRE(device->fd >= 0);
	device->length = (size_t) file_number(UIO "/maps/map0/size", "", false);
	device->base = mmap(
		NULL, device->length, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, 0);
	REQUIRE(device->base != MAP_FAILED);
	REQUIRE(((volatile struct mailbox *) device->base)->version == 2);
}

static void device_make(struct device *device)
{
	device_create();
	device_open(device);
}

static void device_delete(void)
{
	REQUIRE(rmdir(DISK) == 0);
}

/* ------- the calls ------- */

static void fact_mailbox(const struct device *device)
{
	static const char *const names[] = {"OOOC ", "READ_LEN ", "TMR ", "KEEP_BUF "};
	const struct mailbox *mailbox = device->base;
	char text[64] = "";

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (mailbox->flags & 1u << i)
			strcat(text, names[i]);
	text[strlen(text) - 1] = '\0';
	fact("mailbox flags", text);
}

static void fact_events(const char *name, uint32_t events)
{
	char text[64];

	snprintf(
		text, sizeof(text), "0x%x%s%s%s", events, events & EPOLLIN ? " IN" : "",
		events & EPOLLERR ? " ERR" : "", events & EPOLLHUP ? " HUP" : "");
	fact(name, text);
}

static void fact_poll(const char *name, int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	REQUIRE(poll(&pollfd, 1, 0) >= 0);
	fact_events(name, (uint32_t) pollfd.revents);
}

static void *blocked_reader_main(void *userdata)
{
	int *fd = userdata;
	int32_t count;
	ssize_t r = read(*fd, &count, sizeof(count));

	fact_result("a read that waits", r);
	return NULL;
}

static void calls_while_the_device_lives(const struct device *device)
{
	int32_t word = 0;

	fact_mailbox(device);
	fact_poll("poll before", device->fd);
	fact_result("write before", write(device->fd, &word, sizeof(word)));
	fact_result("read before", read(device->fd, &word, sizeof(word)));
	fact_result("second open before", open(NODE, O_RDWR | O_CLOEXEC));
}

static void calls_after_the_unregister(const struct device *device)
{
	const volatile struct mailbox *mailbox = device->base;
	void *second;
	int32_t word = 0;

	fact_poll("poll after", device->fd);
	fact_result("read after", read(device->fd, &word, sizeof(word)));
	fact_result("write after", write(device->fd, &word, sizeof(word)));
	second = mmap(NULL, device->length, PROT_READ, MAP_SHARED, device->fd, 0);
	fact_result("mmap after", second == MAP_FAILED ? -1 : 0);
	fact("mailbox after", mailbox->version == 2 ? "readable" : "changed");
	fact_result("open after", open(NODE, O_RDWR | O_CLOEXEC));
}

/* All calls, before and after. Closes first, then unmaps. */
static void close_then_unmap(void)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct device device;
	pthread_t reader;
	long before = released();
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	device_make(&device);
	calls_while_the_device_lives(&device);
	REQUIRE(epoll_ctl(epoll, EPOLL_CTL_ADD, device.fd, &event) == 0);
	REQUIRE(epoll_wait(epoll, &event, 1, 0) == 0);
	REQUIRE(fcntl(device.fd, F_SETFL, 0) == 0);
	REQUIRE(pthread_create(&reader, NULL, blocked_reader_main, &device.fd) == 0);
	pause_ms(300);
	device_delete();
	REQUIRE(epoll_wait(epoll, &event, 1, 5000) == 1);
	fact_events("an edge-triggered epoll that waits", event.events);
	pthread_join(reader, NULL);
	REQUIRE(fcntl(device.fd, F_SETFL, O_NONBLOCK) == 0);
	calls_after_the_unregister(&device);
	close(device.fd);
	fact_released("unregister, close: released", before);
	munmap(device.base, device.length);
	fact_released("unregister, close, munmap: released", before);
	close(epoll);
}

static void unmap_then_close(void)
{
	struct device device;
	long before = released();

	device_make(&device);
	device_delete();
	munmap(device.base, device.length);
	fact_released("unregister, munmap: released", before);
	close(device.fd);
	fact_released("unregister, munmap, close: released", before);
}

static void close_before_the_unregister(void)
{
	struct device device;
	long before = released();

	device_make(&device);
	close(device.fd);
	device_delete();
	fact_released("close, unregister: released", before);
	munmap(device.base, device.length);
	fact_released("close, unregister, munmap: released", before);
}

static void unmap_and_close_before_the_unregister(void)
{
	struct device device;
	long before = released();

	device_make(&device);
	munmap(device.base, device.length);
	close(device.fd);
	device_delete();
	fact_released("munmap, close, unregister: released", before);
}

static void unmap_before_the_unregister(void)
{
	struct device device;
	long before = released();

	device_make(&device);
	munmap(device.base, device.length);
	device_delete();
	fact_released("munmap, unregister: released", before);
	close(device.fd);
	fact_released("munmap, unregister, close: released", before);
}

static void fact_kept_memory(void)
{
	long before = file_number("/proc/meminfo", "VmallocUsed:", false), after;
	struct device device;
	char text[32];

	for (unsigned i = 0; i < LEAKED; i++) {
		device_make(&device);
		device_delete();
		munmap(device.base, device.length);
		close(device.fd);
	}
	pause_ms(2000); /* the kernel returns vmalloc's memory lazily */
	after = file_number("/proc/meminfo", "VmallocUsed:", false);
	snprintf(text, sizeof(text), "%ld MiB", (after - before + LEAKED * 512) / LEAKED / 1024);
	fact("kept of each device closed after its unregister", text);
}

int main(void)
{
	close_then_unmap();
	unmap_then_close();
	close_before_the_unregister();
	unmap_before_the_unregister();
	unmap_and_close_before_the_unregister();
	fact_kept_memory();
	REQUIRE(rmdir(HBA) == 0);
	return 0;
}
