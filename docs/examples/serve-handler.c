/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that hosts a handler: it writes a block and reads it back. It is built with the flags
 * of pkg-config --cflags --libs libtcmu-host.
 */
#include <stdio.h>
#include <string.h>

#include <tcmu/host.h>

#define BLOCK 4096

static void print_line(void *userdata, enum tcmu_log_level level, const char *line)
{
	(void) userdata;
	(void) level;
	fprintf(stderr, "%s\n", line);
}

static void print_violation(void *userdata, const char *what)
{
	(void) userdata;
	fprintf(stderr, "%s\n", what);
}

int main(int argc, char **argv)
{
	static char written[BLOCK] = "written and read", read[BLOCK];
	struct tcmu_disk_setup setup = {
		.size = sizeof(setup),
		.block_size = 512,
		.disk_size = UINT64_C(16) << 20,
		.log = print_line,
		.violation = print_violation,
	};
	struct tcmu_reason reason = {""};
	struct tcmu_plugin *plugin;
	struct tcmu_disk *disk;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: %s PLUGIN CONFIG\n", argv[0]);
		return 2;
	}
	if (tcmu_plugin_load(argv[1], &plugin, &reason) < 0 ||
	    tcmu_disk_open(plugin, argv[2], &setup, &disk, &reason) < 0) {
		fprintf(stderr, "%s\n", reason.text);
		return 1;
	}
	r = tcmu_disk_io(disk, TCMU_IO_WRITE, 0, 8 * BLOCK, written, BLOCK);
	if (r == 0)
		r = tcmu_disk_io(disk, TCMU_IO_READ, 0, 8 * BLOCK, read, BLOCK);
	if (r < 0)
		fprintf(stderr, "%s\n", strerror(-r));
	else if (memcmp(written, read, BLOCK) != 0)
		fprintf(stderr, "the block has other bytes\n");
	else
		printf("%s: %s\n", tcmu_plugin_handler(plugin)->subtype, read);
	tcmu_disk_close(disk);
	tcmu_plugin_free(plugin);
	return r < 0 || memcmp(written, read, BLOCK) != 0;
}
