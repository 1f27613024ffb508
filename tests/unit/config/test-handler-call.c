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

static void check_build(const char *subtype, size_t more)
{
	const struct tcmu_handler *handler = handlers_find(handlers, subtype);
	struct tcmu_reason reason;
	struct options *options;
	char text[64];

	assert_non_null(handler);
	assert_int_equal(handler->sizes->io, sizeof(struct tcmu_io) + more);
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
	check_build("first", 0);
}

static void a_plugin_of_the_present_header_is_served(void **state)
{
	(void) state;
	check_build("present", 0);
}

static void a_plugin_with_longer_structures_is_served(void **state)
{
	(void) state;
	check_build("longer", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plugin_of_the_first_header_is_served),
		cmocka_unit_test(a_plugin_of_the_present_header_is_served),
		cmocka_unit_test(a_plugin_with_longer_structures_is_served),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
