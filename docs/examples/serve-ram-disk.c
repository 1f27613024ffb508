/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves RAM disks of the subtype "ramdisk" without tcmud, by libtcmu-scsi. A running tcmud shows
 * the subtype in targetcli. Run it as root, and as a service that is restarted: while it does not
 * run, a delete waits for it. Build it with
 *
 *     cc serve-ram-disk.c $(pkg-config --cflags --libs libtcmu-scsi libsystemd)
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <systemd/sd-bus.h>
#include <tcmu/server.h>

#define SERVICE      "org.kernel.TCMUService1"
#define MANAGER      SERVICE ".HandlerManager1"
#define PATH         "/org/kernel/TCMUService1/HandlerManager1"
#define SUBTYPE      "ramdisk"
#define TCMUD_STARTS "type='signal',member='NameOwnerChanged',arg0='" SERVICE "'"

/* ------- the store: memory, whose first page has its size ------- */

#define HEADER 4096u

static int ram_open(void *userdata, const struct tcmu_name *name, uint64_t size, void **store)
{
	uint64_t *memory = mmap(
		NULL, HEADER + size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void) userdata;
	if (memory == MAP_FAILED)
		return -errno;
	printf("%s is served\n", name->name);
	*memory = size;
	*store = memory;
	return 0;
}

static void ram_close(void *store)
{
	munmap(store, HEADER + *(uint64_t *) store);
}

static int ram_read(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset)
{
	const char *from = (const char *) store + HEADER + offset;

	for (unsigned i = 0; i < iov_cnt; from += iov[i++].iov_len)
		memcpy(iov[i].iov_base, from, iov[i].iov_len);
	return 0;
}

static int ram_write(void *store, const struct iovec *iov, unsigned iov_cnt, uint64_t offset)
{
	char *to = (char *) store + HEADER + offset;

	for (unsigned i = 0; i < iov_cnt; to += iov[i++].iov_len)
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
	return 0;
}

/* ------- targetcli ------- */

/* CheckConfig: targetcli asks before it creates a disk. */
static int on_check(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void) userdata;
	(void) error;
	return sd_bus_reply_method_return(call, "bs", 1, "success");
}

/* At the start, and when tcmud has started. */
static int register_subtype(sd_bus_message *signal, void *bus, sd_bus_error *error)
{
	(void) signal;
	(void) error;
	return sd_bus_call_method_async(
		bus, NULL, SERVICE, PATH, MANAGER, "RegisterHandler", NULL, NULL, "ss", SUBTYPE,
		"any text; the data is lost with the program");
}

static const sd_bus_vtable checks[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckConfig", "s", "bs", on_check, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int connect_bus(sd_bus **bus)
{
	int r = sd_bus_open_system(bus);

	if (r >= 0)
		r = sd_bus_add_object_vtable(*bus, NULL, PATH "/" SUBTYPE, SERVICE, checks, NULL);
	if (r >= 0)
		r = sd_bus_request_name(*bus, MANAGER "." SUBTYPE, 0);
	if (r >= 0)
		r = sd_bus_add_match(*bus, NULL, TCMUD_STARTS, register_subtype, *bus);
	return r < 0 ? r : register_subtype(NULL, *bus, NULL);
}

int main(void)
{
	static const struct tcmu_server_functions functions = {
		.size = sizeof(functions),
		.open = ram_open,
		.close = ram_close,
		.store = {.size = sizeof(functions.store), .read = ram_read, .write = ram_write},
	};
	struct tcmu_server *server = NULL;
	sd_bus *bus = NULL;
	int r = tcmu_server_new(SUBTYPE, &functions, NULL, &server);

	if (r == 0)
		r = connect_bus(&bus);
	while (r >= 0) {
		struct pollfd fds[] = {
			{.fd = tcmu_server_fd(server), .events = POLLIN},
			{.fd = sd_bus_get_fd(bus), .events = (short) sd_bus_get_events(bus)},
		};

		if (poll(fds, 2, 1000) < 0)
			r = -errno;
		else
			r = tcmu_server_work(server);
		while (r >= 0 && (r = sd_bus_process(bus, NULL)) > 0)
			;
	}
	fprintf(stderr, "%s\n", strerror(-r));
	return 1;
}
