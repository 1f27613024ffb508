/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading target_core_user, and its two netlink parameters. No state; loading may wait for the
 * disk.
 */
#include <tcmu/module.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libkmod.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel-file.h"

#define MODULE_NAME "target_core_user"
#define PARAMETERS  "/sys/module/" MODULE_NAME "/parameters"

static bool module_present(void)
{
	char path[TCMU_PATH_SIZE];

	return tcmu_path(path, "/sys/module/" MODULE_NAME) == 0 && access(path, F_OK) == 0;
}

__attribute__((format(printf, 6, 0))) static void discard_log(
	void *data, int priority, const char *file, int line, const char *function,
	const char *format, va_list args)
{
	(void) data, (void) priority, (void) file, (void) line, (void) function, (void) format,
		(void) args;
}

/* The directory of the modules below the root of a test; NULL: libkmod's default. */
static const char *module_directory(char path[static TCMU_PATH_SIZE])
{
	struct utsname uts;

	if (tcmu_root()[0] == '\0' || uname(&uts) < 0)
		return NULL;
	return tcmu_path(path, "/lib/modules/%s", uts.release) == 0 ? path : NULL;
}

/* -ENOENT: no module of this name, nor one built in. */
static int insert_module(struct kmod_ctx *ctx)
{
	struct kmod_list *list = NULL, *item;
	int r;

	r = kmod_module_new_from_lookup(ctx, MODULE_NAME, &list);
	if (r >= 0 && !list)
		r = -ENOENT;
	for (item = list; item && r >= 0; item = kmod_list_next(list, item)) {
		struct kmod_module *module = kmod_module_get_module(item);

		r = kmod_module_probe_insert_module(module, 0, NULL, NULL, NULL, NULL);
		kmod_module_unref(module);
	}
	kmod_module_unref_list(list);
	return r < 0 ? r : 0;
}

int tcmu_module_load(void)
{
	char path[TCMU_PATH_SIZE];
	struct kmod_ctx *ctx;
	int r;

	if (module_present())
		return 0;
	ctx = kmod_new(module_directory(path), NULL);
	if (!ctx)
		return -ENOMEM;
	kmod_set_log_fn(ctx, discard_log, NULL);
	r = insert_module(ctx);
	kmod_unref(ctx);
	return module_present()
		? 0
		: r; /* another process, outside the container, may have loaded it */
}

static int set_parameter(const char *parameter, const char *value)
{
	char path[TCMU_PATH_SIZE];
	int r;

	r = tcmu_path(path, PARAMETERS "/%s", parameter);
	return r < 0 ? r : tcmu_file_write(path, value);
}

int tcmu_module_block_netlink(bool block)
{
	return set_parameter("block_netlink", block ? "1" : "0");
}

int tcmu_module_reset_netlink(void)
{
	return set_parameter("reset_netlink", "1");
}

static int open_parameter(const char *parameter)
{
	char path[TCMU_PATH_SIZE];
	int r = tcmu_path(path, PARAMETERS "/%s", parameter);

	if (r < 0)
		return r;
	r = open(path, O_WRONLY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

/* A parameter wants its text at offset 0, wherever the last write has ended. */
static int write_digit(int fd, const char *value)
{
	assert(fd >= 0 && value[0] && !value[1]);
	return pwrite(fd, value, 1, 0) < 0 ? -errno : 0;
}

/* The kernel demands that commands are blocked only if one waits; so the reset is tried alone
 * first. Otherwise commands are blocked for two further system calls only. */
static int reset_blocked(int reset_fd, int block_fd)
{
	int r = write_digit(reset_fd, "1"), unblocked;

	assert(reset_fd >= 0 && block_fd >= 0);
	if (r != -EBUSY)
		return r;
	r = write_digit(block_fd, "1");
	if (r < 0)
		return r;
	r = write_digit(reset_fd, "1");
	unblocked = write_digit(block_fd, "0");
	return r < 0 ? r : unblocked;
}

int tcmu_module_end_commands(void)
{
	int block_fd = open_parameter("block_netlink");
	int reset_fd = open_parameter("reset_netlink");
	int r = block_fd < 0   ? block_fd
		: reset_fd < 0 ? reset_fd
			       : reset_blocked(reset_fd, block_fd);

	if (block_fd >= 0)
		(void) close(block_fd);
	if (reset_fd >= 0)
		(void) close(reset_fd);
	return r;
}
