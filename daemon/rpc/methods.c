/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of methods, and the answers around what rpc/json.c knows.
 */
#include "rpc/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tcmu/scan.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "config/check.h"
#include "rpc/json.h"

struct methods {
	struct methods_setup setup;
	struct checks *checks;
};

/* A check that is under way. */
struct asker {
	methods_done_fn *done;
	void *userdata;
	json_t *config;
};

/* Takes the value. */
static char *as_text(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

	json_decref(value);
	return text;
}

static json_t *refusal(const char *code, const char *message)
{
	return json_pack("{s{ss so}}", "error", "code", code, "message", json_text(message));
}

/* An answer that a thread of its own makes a text of, as it is long. */
struct rendering {
	struct job job;
	json_t *answer;
	struct histograms histograms;
	char *text;
	methods_done_fn *done;
	void *userdata;
};

static void render(struct job *job)
{
	struct rendering *rendering = (struct rendering *) job;

	json_fill(&rendering->histograms);
	rendering->text = as_text(rendering->answer);
}

static void rendered(struct job *job)
{
	struct rendering *rendering = (struct rendering *) job;

	rendering->done(rendering->userdata, rendering->text);
	free(rendering);
}

/* Takes the answer and the histograms. */
static void answer_later(
	const struct methods *query, json_t *answer, struct histograms histograms,
	methods_done_fn *done, void *userdata)
{
	struct rendering *rendering = calloc(1, sizeof(*rendering));

	if (!rendering) {
		json_fill(&histograms);
		done(userdata, as_text(answer));
		return;
	}
	*rendering = (struct rendering){
		.job = {.work = render, .done = rendered},
		.answer = answer,
		.histograms = histograms,
		.done = done,
		.userdata = userdata,
	};
	if (job_start(query->setup.mailbox, &rendering->job, "tcmud-answer") < 0) {
		render(&rendering->job);
		rendered(&rendering->job);
	}
}

/* ------- methods: a result, or NULL with an error ------- */

struct call {
	struct methods *query;
	const json_t *request;
	struct device *device; /* where the method wants one */
	json_t *error;
	struct histograms histograms; /* of the result */
};

/* Devices of the kernel that are not ours: another daemon's, or one whose handler is missing. */
static json_t *others(const struct handlers *registry)
{
	struct tcmu_scan_entry *entries = NULL;
	int cnt = tcmu_scan(&entries);
	json_t *array = json_array();

	for (int i = 0; i < cnt; i++) {
		const struct tcmu_name *name = &entries[i].name;
		const struct handlers_entry *known = handlers_lookup(registry, name->subtype);
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

	for (unsigned i = 0; (device = manager_device(call->query->setup.manager, i)); i++)
		(void) json_array_append_new(devices, json_device(device));
	return json_pack(
		"{so so}", "devices", devices, "others", others(call->query->setup.registry));
}

static json_t *status_of(struct call *call, const struct device *device)
{
	json_t *status = json_device(device);

	(void) json_object_set_new(status, "stats", json_stats(device, &call->histograms));
	return status;
}

static json_t *method_status(struct call *call)
{
	return status_of(call, call->device);
}

static json_t *method_stats(struct call *call)
{
	json_t *devices = json_array();
	struct device *device;

	if (call->device)
		(void) json_array_append_new(devices, json_stats(call->device, &call->histograms));
	for (unsigned i = 0;
	     !call->device && (device = manager_device(call->query->setup.manager, i)); i++)
		(void) json_array_append_new(devices, json_stats(device, &call->histograms));
	return json_pack("{sI so}", "time_ns", (json_int_t) clock_now_ns(), "devices", devices);
}

static json_t *method_inflight(struct call *call)
{
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

	for (size_t i = 0; (entry = handlers_entry(setup->registry, i)); i++)
		(void) json_array_append_new(
			handlers,
			json_pack(
				"{so so so si}", "handler", json_text(entry->subtype), "file",
				json_text(entry->origin), "problem", json_text(entry->problem),
				"devices", (int) devices_of(setup->manager, entry->subtype)));
	return handlers;
}

static json_t *method_handlers(struct call *call)
{
	return json_pack("{so}", "handlers", all_handlers(&call->query->setup));
}

static json_t *method_log_level(struct call *call)
{
	const json_t *level = json_object_get(call->request, "level");

	if (level &&
	    (!json_is_integer(level) || json_integer_value(level) < 0 ||
	     json_integer_value(level) > LOG_LEVEL_MAX)) {
		call->error = refusal("bad-request", "a log level is a number from 0 to 5");
		return NULL;
	}
	if (level)
		log_set_level((int) json_integer_value(level));
	return json_pack("{si ss}", "level", log_level(), "name", log_level_name(log_level()));
}

static json_t *method_reopen(struct call *call)
{
	int r = device_reopen(call->device);
	struct device_status view;

	if (r < 0) {
		call->error = refusal(
			"refused",
			"the device is being opened, closed or resized at this moment; try again");
		return NULL;
	}
	device_get_status(call->device, &view);
	log_dev_info(view.label, "reopened because somebody asked for it");
	return json_pack("{so ss}", "device", json_text(view.label), "state", view.state);
}

static void set_differs(void *userdata, const char *key, const char *before, const char *after)
{
	(void) before;
	(void) json_object_set_new(userdata, key, json_text(after));
}

/* Those that are not as they are without a file. */
static json_t *settings_set_by_hand(const struct settings *settings)
{
	json_t *object = json_object();
	struct settings defaults;

	settings_defaults(&defaults);
	settings_compare(&defaults, settings, set_differs, object);
	return object;
}

static json_t *method_dump(struct call *call)
{
	const struct methods_setup *setup = &call->query->setup;
	json_t *devices = json_array();
	struct device *device;

	for (unsigned i = 0; (device = manager_device(setup->manager, i)); i++) {
		json_t *status = status_of(call, device);

		(void) json_object_set_new(status, "requests", json_requests(device));
		(void) json_array_append_new(devices, status);
	}
	return json_pack(
		"{ss si si sf so so so}", "version", version_string(), "log_level", log_level(),
		"checks_running", (int) checks_running(call->query->checks),
		"longest_stall_seconds", (double) *setup->longest_stall / 1e6, "settings",
		settings_set_by_hand(setup->settings), "handlers", all_handlers(setup), "devices",
		devices);
}

/* ------- check ------- */

static void checked(void *userdata, bool fine, const char *message)
{
	struct asker *asker = userdata;

	asker->done(
		asker->userdata,
		as_text(json_pack(
			"{s{so sb so}}", "result", "config", asker->config, "fine", fine, "message",
			json_text(message))));
	free(asker);
}

static void check(
	struct methods *query, const json_t *request, methods_done_fn *done, void *userdata)
{
	json_t *config = json_object_get(request, "config");
	struct asker *asker = json_is_string(config) ? calloc(1, sizeof(*asker)) : NULL;

	if (!asker) {
		done(userdata, as_text(refusal("bad-request", "a check needs a config string")));
		return;
	}
	*asker = (struct asker){.done = done, .userdata = userdata, .config = json_incref(config)};
	check_start(
		query->checks, NULL, json_string_value(config),
		query->setup.settings->check_timeout_ms, checked, asker);
}

/* ------- dispatch ------- */

enum wants {
	WANTS_NOTHING,
	WANTS_DEVICE,
	MAY_HAVE_DEVICE,
};

static const struct method {
	const char *name;
	enum wants wants;
	json_t *(*run)(struct call *call);
} methods[] = {
	{"list", WANTS_NOTHING, method_list},
	{"status", WANTS_DEVICE, method_status},
	{"stats", MAY_HAVE_DEVICE, method_stats},
	{"inflight", WANTS_DEVICE, method_inflight},
	{"handlers", WANTS_NOTHING, method_handlers},
	{"log-level", WANTS_NOTHING, method_log_level},
	{"reopen", WANTS_DEVICE, method_reopen},
	{"dump", WANTS_NOTHING, method_dump},
};

static const struct method *find_method(const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

/* False: there is an error. */
static bool find_device(struct call *call, const struct method *method)
{
	const json_t *wanted = json_object_get(call->request, "device");
	unsigned cnt;

	if (method->wants == WANTS_NOTHING || (method->wants == MAY_HAVE_DEVICE && !wanted))
		return true;
	if (!json_is_string(wanted)) {
		call->error = refusal(
			"bad-request", "a device is to be named: user_0/disk, disk or uio0");
		return false;
	}
	call->device = manager_find(call->query->setup.manager, json_string_value(wanted), &cnt);
	if (!call->device)
		call->error = refusal(
			"no-such-device",
			cnt ? "several devices have that name: say which, as user_0/disk"
			    : "there is no such device");
	return call->device;
}

static void run_method(
	struct methods *query, const struct method *method, const json_t *request,
	methods_done_fn *done, void *userdata)
{
	struct call call = {.query = query, .request = request};
	json_t *result = find_device(&call, method) ? method->run(&call) : NULL;
	json_t *answer = call.error ? call.error
		: result            ? json_pack("{so}", "result", result)
				    : NULL;

	if (call.histograms.list)
		answer_later(query, answer, call.histograms, done, userdata);
	else
		done(userdata, as_text(answer));
}

void methods_call(
	struct methods *query, const char *request, size_t length, methods_done_fn *done,
	void *userdata)
{
	json_t *parsed = json_loadb(request, length, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(parsed, "method"));
	const struct method *method = name ? find_method(name) : NULL;

	if (!name)
		done(userdata,
		     as_text(refusal("bad-request", "a request is a JSON object with a method")));
	else if (strcmp(name, "check") == 0)
		check(query, parsed, done, userdata);
	else if (method)
		run_method(query, method, parsed, done, userdata);
	else
		done(userdata, as_text(refusal("bad-request", "there is no such method")));
	json_decref(parsed);
}

int methods_new(const struct methods_setup *setup, struct methods **ret)
{
	struct methods *query = calloc(1, sizeof(*query));
	int r;

	if (!query)
		return -ENOMEM;
	query->setup = *setup;
	r = checks_new(setup->event, setup->mailbox, setup->registry, &query->checks);
	if (r < 0) {
		free(query);
		return r;
	}
	*ret = query;
	return 0;
}

void methods_free(struct methods *query)
{
	if (!query)
		return;
	checks_free(query->checks);
	free(query);
}
