/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtcmu on a real kernel, without a daemon: checks that the kernel behaves as the unit tests'
 * fakes do. Run in the guest by tests/cases/libtcmu; needs root, and a kernel without another TCMU
 * daemon.
 *
 * A write that waits for a netlink answer runs on a separate thread (struct writer); the main
 * thread answers, as in a daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tcmu/configfs.h>
#include <tcmu/module.h>
#include <tcmu/netlink.h>
#include <tcmu/ring.h>
#include <tcmu/scan.h>
#include <tcmu/uio.h>

#define HBA  "/sys/kernel/config/target/core/user_77"
#define DISK HBA "/disk"

static const struct tcmu_name disk = {.hba = 77, .name = "disk"};

static void check_that(bool holds, const char *what, long got, int line)
{
	printf("%s line %d: %s (%ld)\n", holds ? "ok  " : "FAIL", line, what, got);
	fflush(stdout);
	if (!holds)
		exit(1);
}

#define CHECK_EQ(value, expected) \
	do { \
		long got = (long) (value); \
		check_that(got == (long) (expected), #value " == " #expected, got, __LINE__); \
	} while (0)

/* A configfs operation on another thread, because it may wait for an answer. */
struct writer {
	pthread_t thread;
	const char *path; /* written to, or removed when text is NULL */
	const char *text;
	int result;
};

static void *writer_main(void *userdata)
{
	struct writer *writer = userdata;
	int fd, r = 0;

	if (!writer->text) {
		writer->result = rmdir(writer->path) < 0 ? -errno : 0;
		return NULL;
	}
	fd = open(writer->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, writer->text, strlen(writer->text)) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	writer->result = r;
	return NULL;
}

static void writer_start(struct writer *writer, const char *path, const char *text)
{
	*writer = (struct writer){.path = path, .text = text};
	CHECK_EQ(pthread_create(&writer->thread, NULL, writer_main, writer), 0);
}

static int writer_join(struct writer *writer)
{
	pthread_join(writer->thread, NULL);
	return writer->result;
}

static int write_or_remove(const char *path, const char *text)
{
	struct writer writer = {.path = path, .text = text};

	writer_main(&writer);
	return writer.result;
}

/* Waits for the next event. Returns 1, or the negative errno of the socket. */
static int wait_event(struct tcmu_netlink *netlink, struct tcmu_event *event)
{
	struct pollfd pollfd = {.fd = tcmu_netlink_fd(netlink), .events = POLLIN};
	int r;

	while ((r = tcmu_netlink_receive(netlink, event)) == 0)
		CHECK_EQ(poll(&pollfd, 1, 20000), 1);
	return r;
}

static void configure_disk(void)
{
	mkdir(HBA, 0777);
	CHECK_EQ(mkdir(DISK, 0777), 0);
	CHECK_EQ(
		write_or_remove(
			DISK "/control", "dev_config=contract/some;thing=1,dev_size=1048576"),
		0);
}

static void a_refused_create_fails_with_the_status(struct tcmu_netlink *netlink)
{
	struct writer writer;
	struct tcmu_event event;

	configure_disk();
	writer_start(&writer, DISK "/enable", "1");
	CHECK_EQ(wait_event(netlink, &event), 1);
	CHECK_EQ(event.kind, TCMU_EVENT_ADDED);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_ADDED, event.device_id, -ENOMEDIUM), 0);
	CHECK_EQ(writer_join(&writer), -ENOMEDIUM);
	CHECK_EQ(tcmu_configfs_enabled(&disk), 0);
	CHECK_EQ(write_or_remove(DISK, NULL), 0);
	CHECK_EQ(tcmu_netlink_receive(netlink, &event), 0);
}

/* Returns the minor. */
static unsigned a_create_waits_for_the_answer(struct tcmu_netlink *netlink)
{
	struct tcmu_scan_entry *entries;
	struct writer writer;
	struct tcmu_event event;
	uint32_t id = 0;

	configure_disk();
	writer_start(&writer, DISK "/enable", "1");
	CHECK_EQ(wait_event(netlink, &event), 1);
	CHECK_EQ(event.kind, TCMU_EVENT_ADDED);
	CHECK_EQ(event.name.hba, 77);
	CHECK_EQ(strcmp(event.name.name, "disk"), 0);
	CHECK_EQ(strcmp(event.name.subtype, "contract"), 0);
	CHECK_EQ(strcmp(event.name.config, "contract/some;thing=1"), 0);
	CHECK_EQ(tcmu_configfs_enabled(&disk), 0);
	CHECK_EQ(tcmu_configfs_device_id(&disk, &id), 0);
	CHECK_EQ(id, event.device_id);
	CHECK_EQ(tcmu_scan(&entries), 1);
	CHECK_EQ(entries[0].minor, event.minor);
	CHECK_EQ(strcmp(entries[0].name.config, event.name.config), 0);
	free(entries);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_ADDED, event.device_id, 0), 0);
	CHECK_EQ(writer_join(&writer), 0);
	CHECK_EQ(tcmu_configfs_enabled(&disk), 1);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_ADDED, event.device_id, 0), -ENODEV);
	return event.minor;
}

static void a_device_is_opened_once_and_mapped(struct tcmu_uio *uio, unsigned minor)
{
	struct tcmu_uio second;
	struct tcmu_ring ring;
	struct tcmu_entry entry;
	struct iovec iov[1];

	CHECK_EQ(tcmu_uio_open(uio, minor), 0);
	CHECK_EQ(tcmu_uio_open(&second, minor), -EBUSY);
	CHECK_EQ(tcmu_uio_map(uio), 0);
	CHECK_EQ(uio->length > 8 << 20, 1);
	CHECK_EQ(tcmu_ring_attach(&ring, uio->base, uio->length), 0);
	CHECK_EQ(ring.features & TCMU_RING_OUT_OF_ORDER, TCMU_RING_OUT_OF_ORDER);
	CHECK_EQ(tcmu_ring_next(&ring, &entry, iov, 1), 0);
	CHECK_EQ(tcmu_uio_doorbell(uio), 0);
	CHECK_EQ(tcmu_uio_ack(uio), -EAGAIN);
}

static void attributes_are_read_and_written(void)
{
	char text[256];
	uint64_t value = 0;
	int64_t replies = 0;

	CHECK_EQ(tcmu_configfs_get(&disk, "dev_size", &value), 0);
	CHECK_EQ(value, 1048576);
	CHECK_EQ(tcmu_configfs_get_signed(&disk, "nl_reply_supported", &replies), 0);
	CHECK_EQ(tcmu_configfs_set(&disk, "cmd_time_out", "7"), 0);
	CHECK_EQ(tcmu_configfs_get(&disk, "cmd_time_out", &value), 0);
	CHECK_EQ(value, 7);
	CHECK_EQ(tcmu_configfs_get(&disk, "no_such_thing", &value), -ENOENT);
	CHECK_EQ(tcmu_configfs_unit_serial(&disk, text, sizeof(text)), 0);
	CHECK_EQ(write_or_remove(DISK "/wwn/vpd_unit_serial", "0123456789abcdef"), 0);
	CHECK_EQ(tcmu_configfs_unit_serial(&disk, text, sizeof(text)), 0);
	CHECK_EQ(strcmp(text, "0123456789abcdef"), 0);
	CHECK_EQ(tcmu_configfs_action(&disk, "block_dev", 1), 0);
	CHECK_EQ(tcmu_configfs_action(&disk, "reset_ring", 1), 0);
	CHECK_EQ(tcmu_configfs_action(&disk, "block_dev", 0), 0);
	CHECK_EQ(tcmu_configfs_action(&disk, "no_such_thing", 0), -ENOENT);
	CHECK_EQ(tcmu_configfs_dbroot(text, sizeof(text)), 0);
}

static void reconfigurations_are_requested(struct tcmu_netlink *netlink)
{
	struct writer writer;
	struct tcmu_event event;
	uint64_t value = 0;

	writer_start(&writer, DISK "/attrib/dev_size", "2097152");
	CHECK_EQ(wait_event(netlink, &event), 1);
	CHECK_EQ(event.kind, TCMU_EVENT_RECONFIG);
	CHECK_EQ(event.reconfig, TCMU_RECONFIG_SIZE);
	CHECK_EQ(event.size, 2097152);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_RECONFIG, event.device_id, -EINVAL), 0);
	CHECK_EQ(writer_join(&writer) < 0, 1);
	CHECK_EQ(tcmu_configfs_get(&disk, "dev_size", &value), 0);
	CHECK_EQ(value, 1048576);

	writer_start(&writer, DISK "/attrib/dev_config", "contract/other\n");
	CHECK_EQ(wait_event(netlink, &event), 1);
	CHECK_EQ(event.reconfig, TCMU_RECONFIG_CONFIG);
	CHECK_EQ(strcmp(event.config, "contract/other"), 0);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_RECONFIG, event.device_id, 0), 0);
	CHECK_EQ(writer_join(&writer), 0);

	writer_start(&writer, DISK "/attrib/emulate_write_cache", "1");
	CHECK_EQ(wait_event(netlink, &event), 1);
	CHECK_EQ(event.reconfig, TCMU_RECONFIG_WRITE_CACHE);
	CHECK_EQ(event.write_cache, true);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_RECONFIG, event.device_id, 0), 0);
	CHECK_EQ(writer_join(&writer), 0);
}

/* Checks every sign of a deleted device. The memory stays mapped until it is released. */
static void a_device_is_gone(struct tcmu_uio *uio)
{
	struct pollfd pollfd = {.fd = uio->fd, .events = POLLIN};
	struct iovec keep = {.iov_base = uio->base, .iov_len = 128};
	struct tcmu_scan_entry entry;
	struct tcmu_uio second;
	struct tcmu_ring ring;

	CHECK_EQ(poll(&pollfd, 1, 20000), 1);
	printf("     revents 0x%x\n", (unsigned) pollfd.revents);
	CHECK_EQ(tcmu_uio_revents_gone((uint32_t) pollfd.revents), true);
	CHECK_EQ(tcmu_uio_doorbell(uio), -ENODEV);
	CHECK_EQ(tcmu_uio_ack(uio), -ENODEV);
	CHECK_EQ(tcmu_uio_open(&second, uio->minor), -ENODEV);
	CHECK_EQ(tcmu_uio_map(&(struct tcmu_uio){.fd = uio->fd, .minor = uio->minor}), -ENODEV);
	CHECK_EQ(tcmu_scan_minor(uio->minor, &entry), -ENODEV);
	CHECK_EQ(tcmu_ring_attach(&ring, uio->base, uio->length), 0);
	CHECK_EQ(tcmu_uio_replace_private(uio, &keep, 1), 0);
	CHECK_EQ(tcmu_ring_attach(&ring, uio->base, uio->length), 0); /* the mailbox was kept */
	CHECK_EQ(tcmu_uio_replace_inaccessible(uio), 0);
	tcmu_uio_close(uio);
	tcmu_uio_unmap(uio);
}

static void a_delete_waits_for_the_answer(struct tcmu_netlink *netlink, struct tcmu_uio *uio)
{
	struct pollfd pollfd = {.fd = uio->fd, .events = POLLIN};
	struct writer writer;
	struct tcmu_event event;

	writer_start(&writer, DISK, NULL);
	CHECK_EQ(wait_event(netlink, &event), 1);
	CHECK_EQ(event.kind, TCMU_EVENT_REMOVED);
	CHECK_EQ(event.minor, uio->minor);
	CHECK_EQ(poll(&pollfd, 1, 0), 0);
	CHECK_EQ(tcmu_uio_doorbell(uio), 0);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_REMOVED, event.device_id, 0), 0);
	CHECK_EQ(writer_join(&writer), 0);
	a_device_is_gone(uio);
}

static void a_blocked_delete_is_reported_by_uio_alone(
	struct tcmu_netlink *netlink, struct tcmu_uio *uio)
{
	struct tcmu_event event;

	CHECK_EQ(tcmu_module_block_netlink(true), 0);
	CHECK_EQ(write_or_remove(DISK, NULL), 0);
	CHECK_EQ(tcmu_netlink_receive(netlink, &event), 0);
	a_device_is_gone(uio);
	CHECK_EQ(tcmu_module_end_commands(), 0);
}

static void the_module_can_be_removed_and_loaded(struct tcmu_netlink *netlink)
{
	struct writer writer;
	struct tcmu_event event;

	CHECK_EQ(rmdir(HBA), 0);
	CHECK_EQ(syscall(SYS_delete_module, "target_core_user", O_NONBLOCK), 0);
	CHECK_EQ(access("/sys/module/target_core_user", F_OK), -1);
	CHECK_EQ(tcmu_module_load(), 0);
	CHECK_EQ(access("/sys/module/target_core_user", F_OK), 0);
	CHECK_EQ(wait_event(netlink, &event), -ENOBUFS);
	configure_disk();
	writer_start(&writer, DISK "/enable", "1");
	CHECK_EQ(wait_event(netlink, &event), 1);
	CHECK_EQ(event.kind, TCMU_EVENT_ADDED);
	CHECK_EQ(tcmu_netlink_reply(netlink, TCMU_EVENT_ADDED, event.device_id, -ECANCELED), 0);
	CHECK_EQ(writer_join(&writer), -ECANCELED);
	CHECK_EQ(write_or_remove(DISK, NULL), 0);
}

int main(void)
{
	struct tcmu_netlink *netlink;
	struct tcmu_uio uio;

	CHECK_EQ(tcmu_module_load(), 0);
	CHECK_EQ(tcmu_netlink_open(&netlink), 0);
	CHECK_EQ(tcmu_netlink_set_replies(netlink, true), 0);
	a_refused_create_fails_with_the_status(netlink);
	a_device_is_opened_once_and_mapped(&uio, a_create_waits_for_the_answer(netlink));
	attributes_are_read_and_written();
	reconfigurations_are_requested(netlink);
	a_delete_waits_for_the_answer(netlink, &uio);
	a_device_is_opened_once_and_mapped(&uio, a_create_waits_for_the_answer(netlink));
	a_blocked_delete_is_reported_by_uio_alone(netlink, &uio);
	the_module_can_be_removed_and_loaded(netlink);
	tcmu_netlink_close(netlink);
	puts("all checks passed");
	return 0;
}
