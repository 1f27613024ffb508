/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading the kernel's module, with libkmod played by this program: the dynamic linker finds the
 * functions below before the library's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <libkmod.h>
#include <string.h>

#include <tcmu/module.h>

#include "fake-root.h"

static struct fake_root root;

static struct {
	bool no_memory;
	int modules; /* that the name leads to */
	int inserted;
	int insert_result;
	bool appears; /* /sys/module/... comes with the insertion */
	char directory[512];
} kmod;

#pragma GCC visibility push(default)

struct kmod_ctx *kmod_new(const char *directory, const char *const *config)
{
	assert_null(config);
	strncpy(kmod.directory, directory, sizeof(kmod.directory) - 1);
	return kmod.no_memory ? NULL : (struct kmod_ctx *) &kmod;
}

struct kmod_ctx *kmod_unref(struct kmod_ctx *ctx)
{
	assert_ptr_equal(ctx, &kmod);
	return NULL;
}

void kmod_set_log_fn(
	struct kmod_ctx *ctx,
	void (*log)(
		void *data, int priority, const char *file, int line, const char *function,
		const char *format, va_list args),
	const void *data)
{
	assert_ptr_equal(ctx, &kmod);
	assert_non_null(log);
	(void) data;
}

int kmod_module_new_from_lookup(struct kmod_ctx *ctx, const char *name, struct kmod_list **list)
{
	assert_ptr_equal(ctx, &kmod);
	assert_string_equal(name, "target_core_user");
	*list = kmod.modules ? (struct kmod_list *) (uintptr_t) kmod.modules : NULL;
	return 0;
}

struct kmod_list *kmod_list_next(const struct kmod_list *list, const struct kmod_list *current)
{
	(void) list;
	return (struct kmod_list *) ((uintptr_t) current - 1);
}

struct kmod_module *kmod_module_get_module(const struct kmod_list *entry)
{
	return (struct kmod_module *) (uintptr_t) entry;
}

int kmod_module_probe_insert_module(
	struct kmod_module *module, unsigned flags, const char *options,
	int (*run_install)(struct kmod_module *, const char *, void *), const void *data,
	void (*print)(struct kmod_module *, bool, const char *))
{
	(void) module, (void) flags, (void) options, (void) run_install, (void) data, (void) print;
	kmod.inserted++;
	if (kmod.appears)
		fake_root_directory(&root, "/sys/module/target_core_user");
	return kmod.insert_result;
}

struct kmod_module *kmod_module_unref(struct kmod_module *module)
{
	(void) module;
	return NULL;
}

int kmod_module_unref_list(struct kmod_list *list)
{
	(void) list;
	return 0;
}

#pragma GCC visibility pop

static int module_setup(void **state)
{
	(void) state;
	memset(&kmod, 0, sizeof(kmod));
	kmod.modules = 1;
	fake_root_make(&root);
	return 0;
}

static int module_teardown(void **state)
{
	(void) state;
	fake_root_remove(&root);
	return 0;
}

static void a_module_that_is_there_is_not_loaded_again(void **state)
{
	(void) state;
	fake_root_directory(&root, "/sys/module/target_core_user"); /* loaded, or built in */
	assert_int_equal(tcmu_module_load(), 0);
	assert_int_equal(kmod.inserted, 0);
}

static void a_missing_module_is_loaded(void **state)
{
	(void) state;
	kmod.modules = 2; /* an alias may name several */
	kmod.appears = true;
	assert_int_equal(tcmu_module_load(), 0);
	assert_int_equal(kmod.inserted, 2);
	assert_int_equal(
		strncmp(kmod.directory, fake_root_path(&root, "/lib/modules/"),
			strlen(root.path) + 13),
		0);
}

static void a_kernel_without_the_module_is_reported(void **state)
{
	(void) state;
	kmod.modules = 0;
	assert_int_equal(tcmu_module_load(), -ENOENT);
}

static void a_refused_insertion_is_reported(void **state)
{
	(void) state;
	kmod.modules = 2;
	kmod.insert_result = -EPERM;
	assert_int_equal(tcmu_module_load(), -EPERM);
	assert_int_equal(kmod.inserted, 1);
}

static void a_module_loaded_outside_of_the_container_is_enough(void **state)
{
	(void) state;
	kmod.insert_result = -EPERM;
	kmod.appears = true;
	assert_int_equal(tcmu_module_load(), 0);
}

static void no_memory_for_libkmod_is_reported(void **state)
{
	(void) state;
	kmod.no_memory = true;
	assert_int_equal(tcmu_module_load(), -ENOMEM);
}

static void module_parameters_are_written(void **state)
{
	static const char *const block = "/sys/module/target_core_user/parameters/block_netlink";
	static const char *const reset = "/sys/module/target_core_user/parameters/reset_netlink";

	(void) state;
	assert_int_equal(tcmu_module_block_netlink(true), -ENOENT);
	assert_int_equal(tcmu_module_reset_netlink(), -ENOENT);
	fake_root_write(&root, block, "0\n");
	fake_root_write(&root, reset, "");
	assert_int_equal(tcmu_module_block_netlink(true), 0);
	assert_string_equal(fake_root_read(&root, block), "1");
	assert_int_equal(tcmu_module_reset_netlink(), 0);
	assert_string_equal(fake_root_read(&root, reset), "1");
	assert_int_equal(tcmu_module_block_netlink(false), 0);
	assert_string_equal(fake_root_read(&root, block), "0");
}

static void nothing_is_blocked_where_nothing_waits(void **state)
{
	static const char *const block = "/sys/module/target_core_user/parameters/block_netlink";
	static const char *const reset = "/sys/module/target_core_user/parameters/reset_netlink";

	(void) state;
	assert_int_equal(tcmu_module_end_commands(), -ENOENT);
	fake_root_write(&root, block, "9");
	assert_int_equal(tcmu_module_end_commands(), -ENOENT);
	assert_string_equal(fake_root_read(&root, block), "9");
	fake_root_write(&root, reset, "");
	assert_int_equal(tcmu_module_end_commands(), 0);
	assert_string_equal(fake_root_read(&root, block), "9");
	assert_string_equal(fake_root_read(&root, reset), "1");
}

#define MODULE_TEST(name) cmocka_unit_test_setup_teardown(name, module_setup, module_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MODULE_TEST(a_module_that_is_there_is_not_loaded_again),
		MODULE_TEST(a_missing_module_is_loaded),
		MODULE_TEST(a_kernel_without_the_module_is_reported),
		MODULE_TEST(a_refused_insertion_is_reported),
		MODULE_TEST(a_module_loaded_outside_of_the_container_is_enough),
		MODULE_TEST(no_memory_for_libkmod_is_reported),
		MODULE_TEST(module_parameters_are_written),
		MODULE_TEST(nothing_is_blocked_where_nothing_waits),
	};

	return cmocka_run_group_tests_name("module", tests, NULL, NULL);
}
