/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of an older or a newer build is served right: it finds its options, and nothing beside
 * the structures that it fills is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "config/handler-call.h"
#include "config/handlers.h"
#include "config/options.h"
#include "log-fixture.h"

static struct handlers *handlers;

static int setup(void **state)
{
	(void) state;
	fixture_log_begin(TCMU_LOG_INFO);
	handlers = handlers_new();
	assert_int_equal(handlers_load(handlers, PLUGINS), 3);
	free(fixture_log_end());
	return 0;
}

static int teardown(void **state)
{
	(void) state;
	handlers_free(handlers);
	fixture_remove_directory();
	return 0;
}

/* What a plugin may fill, as neighbours. */
struct filled {
	struct tcmu_backend_info info;
	void *backend;
	struct tcmu_reason reason;
	uint64_t guard;
};

static void check_calls(const struct tcmu_handler *handler, const struct tcmu_config *config)
{
	struct filled filled = {.guard = 0x1234567890};
	struct handler_call *call = handler_call_new(handler, config);
	char claim[128];
	void *backend;

	assert_int_equal(handler_call_check(call, &filled.reason), -EINVAL);
	assert_string_equal(filled.reason.text, "refused");
	handler_call_free(call);
	assert_int_equal(
		handler_call_claim(handler, config, claim, sizeof(claim), &filled.reason), 0);
	assert_int_equal(
		handler_call_open(
			handler, config, NULL, NULL, &filled.info, &filled.backend, &filled.reason),
		0);
	backend = filled.backend;
	assert_true(backend && (uintptr_t) backend != 0x7f7f7f7f7f7f7f7f);
	assert_int_equal(filled.info.atomic_write, 0x7f7f7f7f);
	assert_int_equal(strlen(filled.info.claim), sizeof(filled.info.claim) - 1);
	assert_int_equal(
		handler_call_resize(handler, backend, config, &filled.info, &filled.reason), 0);
	assert_int_equal(filled.info.atomic_write, 0x6f6f6f6f);
	assert_ptr_equal(filled.backend, backend);
	assert_int_equal(handler_call_lock(handler, backend, 1, &filled.reason), -EBUSY);
	assert_int_equal(strlen(filled.reason.text), sizeof(filled.reason.text) - 1);
	assert_int_equal(filled.guard, 0x1234567890);
}

/* The members of a command came after the first header. */
#define FIRST_IO_SIZE offsetof(struct tcmu_io, cdb)

/* io: the size of its struct tcmu_io; more: what its other structures are longer. */
static void check_build(const char *subtype, size_t io, size_t more)
{
	const struct tcmu_handler *handler = handlers_find(handlers, subtype);
	struct tcmu_reason reason;
	struct options *options;
	char text[64];

	assert_non_null(handler);
	assert_int_equal(handler->sizes->counter, sizeof(struct tcmu_counter) + more);
	assert_int_equal(handler->sizes->io, io);
	assert_int_equal(handler->sizes->backend_info, sizeof(struct tcmu_backend_info) + more);
	assert_int_equal(handler->sizes->option_value, sizeof(struct tcmu_option_value) + more);
	assert_string_equal(handler->options[2].name, "third");
	assert_null(handler->options[3].name);
	(void) snprintf(text, sizeof(text), "%s/x;second=22", subtype);
	assert_int_equal(options_parse(text, handler, &options, &reason), 0);
	check_calls(handler, options_config(options));
	options_free(options);
}

static void a_plugin_of_the_first_header_is_served(void **state)
{
	(void) state;
	check_build("first", FIRST_IO_SIZE, 0);
}

static void a_plugin_of_the_present_header_is_served(void **state)
{
	(void) state;
	check_build("present", sizeof(struct tcmu_io), 0);
}

static void a_plugin_with_longer_structures_is_served(void **state)
{
	(void) state;
	check_build("longer", sizeof(struct tcmu_io) + 16, 16);
}

/* ------- secrets ------- */

static const struct tcmu_option secret_options[] = {
	{.name = "user", .type = TCMU_OPTION_STRING},
	{.name = "password", .type = TCMU_OPTION_SECRET},
	{.name = "other", .type = TCMU_OPTION_SECRET},
	{.name = NULL},
};

static char secret_seen[128];

/* Its reason repeats the secret, as a careless handler's does. */
static int secret_check(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	const char *password = config->values[1].string;

	assert_null(config->values[2].string);
	assert_true(strlen(password) < sizeof(secret_seen));
	strcpy(secret_seen, password);
	(void) snprintf(
		reason->text, sizeof(reason->text), "%s:%s is wrong", config->values[0].string,
		password);
	return -EACCES;
}

static int secret_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	(void) claim;
	(void) size;
	return secret_check(config, reason);
}

static const struct tcmu_handler secretive = {
	.subtype = "secretive",
	.options = secret_options,
	.check_config = secret_check,
	.claim = secret_claim,
};

static char *secret_file(const char *content, size_t length, mode_t mode)
{
	char *path = g_build_filename(fixture_directory(), "password", NULL);

	assert_true(g_file_set_contents(path, content, (gssize) length, NULL));
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* Returns the result of a check with this path; the reason is in *reason. */
static int check_secret(const char *path, struct tcmu_reason *reason)
{
	char *text = g_strdup_printf("secretive/x;user=me;password=%s", path);
	struct handler_call *call;
	struct options *options;
	char claim[128] = "";
	int r;

	assert_int_equal(options_parse(text, &secretive, &options, reason), 0);
	assert_string_equal(options_config(options)->values[1].string, path);
	r = handler_call_claim(&secretive, options_config(options), claim, sizeof(claim), reason);
	call = handler_call_new(&secretive, options_config(options));
	assert_int_equal(handler_call_check(call, reason), r);
	handler_call_free(call);
	options_free(options);
	g_free(text);
	return r;
}

static void a_secret_comes_from_a_file_and_is_not_repeated(void **state)
{
	static const char *const contents[] = {"sesame: open,;", "sesame: open,;\n"};
	struct tcmu_reason reason;

	(void) state;
	for (size_t i = 0; i < 2; i++) {
		char *path = secret_file(contents[i], strlen(contents[i]), 0600);

		secret_seen[0] = '\0';
		assert_int_equal(check_secret(path, &reason), -EACCES);
		assert_string_equal(secret_seen, "sesame: open,;");
		assert_string_equal(reason.text, "me:************** is wrong");
		g_free(path);
	}
}

static void assert_secret_refused(const char *path, const char *why)
{
	struct tcmu_reason reason = {""};

	secret_seen[0] = '\0';
	assert_int_equal(check_secret(path, &reason), -ENOKEY);
	if (!strstr(reason.text, why))
		fail_msg("%s: expected %s", reason.text, why);
	assert_string_equal(secret_seen, ""); /* not called */
}

static void a_file_that_others_could_read_is_no_secret(void **state)
{
	static const char long_text[4098] = "long";
	char *path = secret_file("x", 1, 0604);

	(void) state;
	assert_secret_refused(path, "others may read or write it (chmod 600)");
	assert_int_equal(chmod(path, 0620), 0);
	assert_secret_refused(path, "others may read or write it (chmod 600)");
	g_free(path);
	path = secret_file(long_text, sizeof(long_text), 0600);
	assert_secret_refused(path, "it has more than 4096 bytes");
	g_free(path);
	path = secret_file("a\0b", 3, 0640);
	assert_secret_refused(path, "cannot be read");
	assert_int_equal(unlink(path), 0);
	assert_secret_refused(path, "No such file");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_secret_refused(path, "it is not a regular file");
	assert_secret_refused("password", "expected the absolute path");
	if (geteuid() == 0) {
		assert_int_equal(unlink(path), 0);
		g_free(path);
		path = secret_file("x", 1, 0600);
		assert_int_equal(chown(path, 1, 0), 0);
		assert_secret_refused(path, "it belongs to another user");
	}
	g_free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plugin_of_the_first_header_is_served),
		cmocka_unit_test(a_plugin_of_the_present_header_is_served),
		cmocka_unit_test(a_plugin_with_longer_structures_is_served),
		cmocka_unit_test(a_secret_comes_from_a_file_and_is_not_repeated),
		cmocka_unit_test(a_file_that_others_could_read_is_no_secret),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
