/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin, its device and its options, as the daemon treats them.
 */
#include "fake-host-private.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH         32
#define OPTIONS_MAX   32
#define EVENT_SECONDS 30

struct parsed {
	char text[512];
	struct tcmu_option_value values[OPTIONS_MAX];
	struct tcmu_config config;
};

/* What the plugin gets as its device; it tells whose events and lines they are. */
static struct fake_host *host_of(struct tcmu_host_device *dev)
{
	return (struct fake_host *) dev;
}

static void on_log(struct tcmu_host_device *dev, enum tcmu_log_level level, const char *message)
{
	struct fake_host *host = host_of(dev);

	pthread_mutex_lock(&host->inside->lock);
	(void) snprintf(host->log, sizeof(host->log), "%d %s", (int) level, message);
	pthread_mutex_unlock(&host->inside->lock);
}

static void on_event(struct tcmu_host_device *dev, enum tcmu_backend_event event, int64_t value)
{
	struct fake_host *host = host_of(dev);

	pthread_mutex_lock(&host->inside->lock);
	host->events++;
	host->event = event;
	host->event_value = value;
	pthread_cond_broadcast(&host->inside->completed);
	pthread_mutex_unlock(&host->inside->lock);
}

void fake_wait_events(struct fake_host *host, unsigned events)
{
	struct timespec deadline;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += EVENT_SECONDS;
	pthread_mutex_lock(&host->inside->lock);
	while (host->events < events && r == 0)
		r = pthread_cond_timedwait(
			&host->inside->completed, &host->inside->lock, &deadline);
	pthread_mutex_unlock(&host->inside->lock);
	assert_int_equal(r, 0);
}

/* ------- options ------- */

static uint64_t parse_number(const char *text)
{
	static const char suffixes[] = "KMGT";
	char *end;
	uint64_t number = strtoull(text, &end, 10);
	const char *suffix = *end ? strchr(suffixes, *end) : NULL;

	return suffix ? number << (10 * (suffix - suffixes + 1)) : number;
}

static void set_value(
	struct tcmu_option_value *value, const struct tcmu_option *option, const char *text)
{
	value->string = text;
	if (option->type == TCMU_OPTION_CHOICE) {
		for (unsigned i = 0; option->choices[i]; i++)
			if (strcmp(option->choices[i], text) == 0)
				value->number = i;
	} else if (option->type != TCMU_OPTION_STRING) {
		value->number = parse_number(text);
	}
}

/* "name=value"; the text is cut up. */
static int parse_option(struct fake_host *host, struct parsed *parsed, char *text)
{
	const struct tcmu_option *options = host->handler->options;
	char *value = strchr(text, '=');

	if (value)
		*value++ = '\0';
	for (unsigned i = 0; value && options && options[i].name; i++) {
		if (strcmp(options[i].name, text) != 0)
			continue;
		parsed->values[i].given = true;
		set_value(&parsed->values[i], &options[i], value);
		return 0;
	}
	(void) snprintf(host->reason.text, sizeof(host->reason.text), "no such option: %s", text);
	return -EINVAL;
}

static int parse(
	struct fake_host *host, struct parsed *parsed, const char *config, uint64_t size,
	uint32_t block_size)
{
	const struct tcmu_option *options = host->handler->options;
	char *rest = parsed->text;
	int r = 0;

	memset(parsed, 0, sizeof(*parsed));
	assert_true(strlen(config) < sizeof(parsed->text));
	strcpy(parsed->text, config);
	for (unsigned i = 0; options && options[i].name; i++) {
		assert_true(i < OPTIONS_MAX);
		if (options[i].def)
			set_value(&parsed->values[i], &options[i], options[i].def);
	}
	parsed->config = (struct tcmu_config){
		.subtype = host->handler->subtype,
		.target = strsep(&rest, ";"),
		.values = parsed->values,
		.size = size,
		.block_size = block_size,
		.read_only = host->read_only,
	};
	host->reason.text[0] = '\0';
	while (rest && r == 0)
		r = parse_option(host, parsed, strsep(&rest, ";"));
	return r;
}

/* ------- the plugin ------- */

static const struct tcmu_handler *load(const char *plugin)
{
	const char *folder = getenv("TCMUD_TEST_HANDLERS");
	tcmu_handler_entry_fn *entry;
	char path[PATH_MAX];
	void *library;

	if (folder)
		(void) snprintf(path, sizeof(path), "%s%s", folder, strrchr(plugin, '/'));
	/* It is not closed again: leak checkers name what it lost by its symbols. */
	library = dlopen(folder ? path : plugin, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		fail_msg("%s", dlerror());
	entry = (tcmu_handler_entry_fn *) dlsym(library, TCMU_HANDLER_ENTRY);
	assert_non_null(entry);
	return entry();
}

static void make_engine(
	struct fake_inside *inside, const struct tcmu_handler *handler, enum aio_kind kind)
{
	unsigned limit = handler->workers ? handler->workers : 4;

	switch (handler->threading) {
	case TCMU_HANDLER_ASYNC:
		assert_int_equal(aio_engine_new(kind, DEPTH, "fake", &inside->engine), 0);
		break;
	case TCMU_HANDLER_SERIAL:
		assert_int_equal(workers_new(1, "fake", &inside->workers), 0);
		break;
	case TCMU_HANDLER_PARALLEL:
		assert_int_equal(workers_new(limit, "fake", &inside->workers), 0);
		break;
	}
}

struct fake_host *fake_host_with(const struct tcmu_handler *handler, enum aio_kind kind)
{
	struct fake_host *host = calloc(1, sizeof(*host));
	struct fake_inside *inside = calloc(1, sizeof(*inside));

	assert_non_null(host);
	assert_non_null(inside);
	assert_non_null(handler);
	assert_int_equal(handler->abi, TCMU_HANDLER_ABI);
	assert_int_equal(handler->size, sizeof(struct tcmu_handler));
	host->handler = handler;
	host->kind = kind;
	host->inside = inside;
	pthread_mutex_init(&inside->lock, NULL);
	pthread_cond_init(&inside->completed, NULL);
	inside->host = (struct tcmu_host){
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(struct tcmu_host),
		.complete = fake_complete,
		.aio = fake_aio,
		.log = on_log,
		.event = on_event,
	};
	make_engine(inside, handler, kind);
	return host;
}

struct fake_host *fake_host_new(const char *plugin, enum aio_kind kind)
{
	return fake_host_with(load(plugin), kind);
}

void fake_host_free(struct fake_host *host)
{
	if (!host)
		return;
	fake_close(host);
	aio_engine_free(host->inside->engine);
	workers_free(host->inside->workers);
	pthread_cond_destroy(&host->inside->completed);
	pthread_mutex_destroy(&host->inside->lock);
	free(host->inside);
	free(host);
}

int fake_check(struct fake_host *host, const char *config, uint64_t size, uint32_t block_size)
{
	struct parsed parsed;
	int r = parse(host, &parsed, config, size, block_size);

	if (r < 0 || !host->handler->check_config)
		return r;
	r = host->handler->check_config(&parsed.config, &host->reason);
	assert_true(r <= 0);
	assert_true((r < 0) == (host->reason.text[0] != '\0'));
	return r;
}

int fake_identify(struct fake_host *host, const char *config, char *claim, size_t claim_size)
{
	struct parsed parsed;
	int r = parse(host, &parsed, config, 0, 0);

	claim[0] = '\0';
	if (r < 0)
		return r;
	r = host->handler->identify(&parsed.config, claim, claim_size, &host->reason);
	assert_true(r <= 0);
	assert_true((r < 0) == (host->reason.text[0] != '\0'));
	return r;
}

int fake_open(struct fake_host *host, const char *config, uint64_t size, uint32_t block_size)
{
	struct fake_inside *inside = host->inside;
	struct parsed parsed;
	int r = parse(host, &parsed, config, size, block_size);

	assert_null(inside->backend);
	if (r < 0)
		return r;
	memset(&host->info, 0, sizeof(host->info));
	memset(host->calls, 0, sizeof(host->calls));
	host->events = 0;
	r = host->handler->open(
		&parsed.config, &inside->host, (struct tcmu_host_device *) host, &host->info,
		&inside->backend, &host->reason);
	assert_true(r <= 0);
	assert_true((r < 0) == (inside->backend == NULL));
	assert_true((r < 0) == (host->reason.text[0] != '\0'));
	return r;
}

int fake_lock(struct fake_host *host, uint16_t tag)
{
	host->reason.text[0] = '\0';
	return host->handler->lock(host->inside->backend, tag, &host->reason);
}

int fake_unlock(struct fake_host *host)
{
	return host->handler->unlock(host->inside->backend);
}

int fake_lock_state(struct fake_host *host, bool *ours, uint16_t *tag)
{
	return host->handler->lock_state(host->inside->backend, ours, tag);
}

int fake_resize(struct fake_host *host, const char *config, uint64_t size)
{
	struct tcmu_backend_info before = host->info;
	struct parsed parsed;
	int r = parse(host, &parsed, config, size, 512);

	if (r < 0)
		return r;
	r = host->handler->resize(
		host->inside->backend, &parsed.config, &host->info, &host->reason);
	assert_true((r < 0) == (host->reason.text[0] != '\0'));
	if (r < 0)
		assert_memory_equal(&before, &host->info, sizeof(before));
	return r;
}

void fake_close(struct fake_host *host)
{
	struct fake_inside *inside = host->inside;

	if (!inside->backend)
		return;
	assert_int_equal(inside->in_flight, 0);
	host->handler->close(inside->backend);
	inside->backend = NULL;
}
