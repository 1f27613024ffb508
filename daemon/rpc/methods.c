/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of methods, and the answers that rpc/json.c's parts make up.
 */
#include "rpc/methods.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <tcmu/scan.h>

#include "base/clock.h"
#include "base/container-of.h"
#include "base/log.h"
#include "base/version.h"
#include "config/check.h"
#include "rpc/json.h"

struct methods {
	struct methods_setup setup;
	struct checks *checks;
};

/* A check in flight: its caller and its config string. */
struct check_caller {
	methods_done_fn *done;
	void *userdata;
	json_t *config;
};

/* The one place that checks for a lack of memory. Takes the value. */
static char *as_text(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

	json_decref(value);
	return text;
}

static json_t *error_answer(const char *code, const char *message)
{
	return json_pack("{s{ss so}}", "error", "code", code, "message", json_text(message));
}

/* A long answer: a separate thread writes its text. */
struct rendering {
	struct job job;
	json_t *answer;
	struct histograms histograms;
	char *text;
	methods_done_fn *done;
	void *userdata;
};

static void render_answer(struct job *job)
{
	struct rendering *rendering = container_of(job, struct rendering, job);

	assert(!rendering->text);
	json_fill_histograms(&rendering->histograms);
	rendering->text = as_text(rendering->answer);
}

static void answer_rendered(struct job *job)
{
	struct rendering *rendering = container_of(job, struct rendering, job);

	assert(!rendering->histograms.list);
	rendering->done(rendering->userdata, rendering->text);
	g_free(rendering);
}

/* Takes the answer and the histograms. */
static void answer_later(
	const struct methods *methods, json_t *answer, struct histograms histograms,
	methods_done_fn *done, void *userdata)
{
	struct rendering *rendering = g_new0(struct rendering, 1);

	*rendering = (struct rendering){
		.job = {.work = render_answer, .done = answer_rendered},
		.answer = answer,
		.histograms = histograms,
		.done = done,
		.userdata = userdata,
	};
	if (job_start(methods->setup.mailbox, &rendering->job, "tcmud-answer") < 0) {
		render_answer(&rendering->job);
		answer_rendered(&rendering->job);
	}
}

/* ------- methods: a result, or NULL with an error ------- */

struct call {
	struct methods *methods;
	const json_t *request;
	struct device *device; /* NULL: none was named */
	json_t *error;
	struct histograms histograms; /* of the result */
};

/* Devices of the kernel that are not served here: another daemon's, or their handler is missing. */
static json_t *unserved_devices(const struct handlers *handlers)
{
	struct tcmu_scan_entry *entries = NULL;
	int cnt = tcmu_scan(&entries);
	json_t *array = json_array();

	for (int i = 0; i < cnt; i++) {
		const struct tcmu_name *name = &entries[i].name;
		const struct handlers_entry *known = handlers_lookup(handlers, name->subtype);
		char label[sizeof(name->name) + 16];

		if (known && known->handler)
			continue;
		(void) snprintf(label, sizeof(label), "user_%u/%s", name->hba, name->name);
		(void) json_array_append_new(
			array,
			json_pack(
				"{so si so so}", "device", json_text(label), "uio",
				(int) entries[i].minor, "config", json_text(name->config),
				"problem",
				json_text(
					known ? known->problem : "there is no such handler here")));
	}
	free(entries);
	return array;
}

static json_t *method_list(struct call *call)
{
	json_t *devices = json_array();
	struct device *device;

	for (unsigned i = 0; (device = manager_device(call->methods->setup.manager, i)); i++)
		(void) json_array_append_new(devices, json_device(device));
	return json_pack(
		"{so so si}", "devices", devices, "others",
		unserved_devices(call->methods->setup.handlers), "given_up",
		(int) handlers_given_up(call->methods->setup.handlers));
}

static json_t *device_to_status(struct call *call, const struct device *device)
{
	json_t *status = json_device(device);

	(void) json_object_set_new(status, "stats", json_stats(device, &call->histograms));
	return status;
}

static json_t *method_status(struct call *call)
{
	assert(call->device && !call->error);
	return device_to_status(call, call->device);
}

static json_t *method_stats(struct call *call)
{
	json_t *devices = json_array();
	struct device *device;

	if (call->device)
		(void) json_array_append_new(devices, json_stats(call->device, &call->histograms));
	for (unsigned i = 0;
	     !call->device && (device = manager_device(call->methods->setup.manager, i)); i++)
		(void) json_array_append_new(devices, json_stats(device, &call->histograms));
	return json_pack("{sI so}", "time_ns", (json_int_t) clock_now_ns(), "devices", devices);
}

static json_t *method_inflight(struct call *call)
{
	assert(call->device && !call->error);
	return json_pack(
		"{so so}", "device", json_text(device_label(call->device)), "requests",
		json_requests(call->device));
}

static unsigned devices_of(const struct manager *manager, const char *subtype)
{
	const struct device *device;
	unsigned cnt = 0;

	for (unsigned i = 0; (device = manager_device(manager, i)); i++)
		cnt += strcmp(device_name(device)->subtype, subtype) == 0;
	return cnt;
}

static json_t *all_handlers(const struct methods_setup *setup)
{
	const struct handlers_entry *entry;
	json_t *handlers = json_array();

	for (size_t i = 0; (entry = handlers_entry(setup->handlers, i)); i++)
		(void) json_array_append_new(
			handlers,
			json_pack(
				"{so so so so si}", "handler", json_text(entry->subtype), "file",
				json_text(entry->origin), "version",
				json_text(entry->handler ? entry->handler->version : NULL),
				"problem", json_text(entry->problem), "devices",
				(int) devices_of(setup->manager, entry->subtype)));
	return handlers;
}

static json_t *method_handlers(struct call *call)
{
	return json_pack("{so}", "handlers", all_handlers(&call->methods->setup));
}

static json_t *method_log_level(struct call *call)
{
	const json_t *level = json_object_get(call->request, "level");

	if (level &&
	    (!json_is_integer(level) || json_integer_value(level) < 0 ||
	     json_integer_value(level) > LOG_LEVEL_MAX)) {
		call->error = error_answer(
			"bad-request", "the log level is invalid: expected a number from 0 to 5");
		return NULL;
	}
	if (level)
		log_set_level((int) json_integer_value(level));
	return json_pack("{si ss}", "level", log_level(), "name", log_level_name(log_level()));
}

static json_t *method_reopen(struct call *call)
{
	struct device_status view;

	assert(call->device && !call->error);
	if (device_reopen(call->device) < 0) {
		call->error = error_answer(
			"refused", "the device is being opened, closed or resized; try again");
		return NULL;
	}
	device_get_status(call->device, &view);
	log_dev_info(view.label, "reopening: requested by the operator");
	return json_pack("{so ss}", "device", json_text(view.label), "state", view.state);
}

static void add_setting(void *userdata, const char *key, const char *before, const char *after)
{
	(void) before;
	(void) json_object_set_new(userdata, key, json_text(after));
}

/* The settings that differ from their defaults. */
static json_t *changed_settings(const struct settings *settings)
{
	json_t *object = json_object();
	struct settings defaults;

	settings_defaults(&defaults);
	settings_compare(&defaults, settings, add_setting, object);
	return object;
}

static json_t *method_dump(struct call *call)
{
	const struct methods_setup *setup = &call->methods->setup;
	json_t *devices = json_array();
	struct device *device;

	for (unsigned i = 0; (device = manager_device(setup->manager, i)); i++) {
		json_t *status = device_to_status(call, device);

		(void) json_object_set_new(status, "requests", json_requests(device));
		(void) json_array_append_new(devices, status);
	}
	return json_pack(
		"{ss si si sf so so so}", "version", version_string(), "log_level", log_level(),
		"checks_running", (int) checks_running(call->methods->checks),
		"longest_stall_seconds", (double) *setup->longest_stall / 1e6, "settings",
		changed_settings(setup->settings), "handlers", all_handlers(setup), "devices",
		devices);
}

/* ------- check ------- */

static void on_method_checked(void *userdata, bool fine, const char *message)
{
	struct check_caller *caller = userdata;

	assert(caller->done && caller->config);
	caller->done(
		caller->userdata,
		as_text(json_pack(
			"{s{so sb so}}", "result", "config", caller->config, "fine", fine,
			"message", json_text(message))));
	g_free(caller);
}

static void method_check(
	struct methods *methods, const json_t *request, methods_done_fn *done, void *userdata)
{
	json_t *config = json_object_get(request, "config");
	struct check_caller *caller;

	if (!json_is_string(config)) {
		done(userdata,
		     as_text(error_answer(
			     "bad-request",
			     "the member config is missing: expected a config string")));
		return;
	}
	caller = g_new0(struct check_caller, 1);
	*caller = (struct check_caller){
		.done = done, .userdata = userdata, .config = json_incref(config)};
	check_start(
		methods->checks, NULL, json_string_value(config),
		methods->setup.settings->check_timeout_ms, on_method_checked, caller);
}

/* ------- dispatch ------- */

enum device_argument {
	DEVICE_NONE,
	DEVICE_REQUIRED,
	DEVICE_OPTIONAL,
};

static const struct method {
	const char *name;
	enum device_argument device;
	json_t *(*run)(struct call *call);
} method_table[] = {
	{"list", DEVICE_NONE, method_list},         {"status", DEVICE_REQUIRED, method_status},
	{"stats", DEVICE_OPTIONAL, method_stats},   {"inflight", DEVICE_REQUIRED, method_inflight},
	{"handlers", DEVICE_NONE, method_handlers}, {"log-level", DEVICE_NONE, method_log_level},
	{"reopen", DEVICE_REQUIRED, method_reopen}, {"dump", DEVICE_NONE, method_dump},
};

static const struct method *find_method(const char *name)
{
	for (size_t i = 0; i < sizeof(method_table) / sizeof(method_table[0]); i++)
		if (strcmp(method_table[i].name, name) == 0)
			return &method_table[i];
	return NULL;
}

/* False: call->error is set. */
static bool find_device(struct call *call, const struct method *method)
{
	const json_t *wanted = json_object_get(call->request, "device");
	unsigned cnt;

	assert(!call->device && !call->error);
	if (method->device == DEVICE_NONE || (method->device == DEVICE_OPTIONAL && !wanted))
		return true;
	if (!json_is_string(wanted)) {
		call->error = error_answer(
			"bad-request",
			"the member device is missing: expected user_0/disk, disk or uio0");
		return false;
	}
	call->device = manager_find(call->methods->setup.manager, json_string_value(wanted), &cnt);
	if (!call->device)
		call->error = error_answer(
			"no-such-device",
			cnt ? "several devices have that name: use its full name, like user_0/disk"
			    : "there is no such device");
	return call->device;
}

static void run_method(
	struct methods *methods, const struct method *method, const json_t *request,
	methods_done_fn *done, void *userdata)
{
	struct call call = {.methods = methods, .request = request};
	json_t *result = find_device(&call, method) ? method->run(&call) : NULL;
	json_t *answer;

	assert(!result || !call.error);
	answer = call.error ? call.error : result ? json_pack("{so}", "result", result) : NULL;

	if (call.histograms.list)
		answer_later(methods, answer, call.histograms, done, userdata);
	else
		done(userdata, as_text(answer));
}

void methods_call(
	struct methods *methods, const char *request, size_t length, methods_done_fn *done,
	void *userdata)
{
	json_t *parsed = json_loadb(request, length, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(parsed, "method"));
	const struct method *method = name ? find_method(name) : NULL;

	assert(done);
	if (!name)
		done(userdata,
		     as_text(error_answer(
			     "bad-request",
			     "the request is invalid: expected a JSON object with the member "
			     "method")));
	else if (strcmp(name, "check") == 0)
		method_check(methods, parsed, done, userdata);
	else if (method)
		run_method(methods, method, parsed, done, userdata);
	else
		done(userdata, as_text(error_answer("bad-request", "there is no such method")));
	json_decref(parsed);
}

struct methods *methods_new(const struct methods_setup *setup)
{
	struct methods *methods = g_new0(struct methods, 1);

	assert(setup->event && setup->mailbox && setup->handlers && setup->longest_stall);
	methods->setup = *setup;
	methods->checks = checks_new(setup->event, setup->mailbox, setup->handlers);
	return methods;
}

void methods_free(struct methods *methods)
{
	if (!methods)
		return;
	checks_free(methods->checks);
	g_free(methods);
}
