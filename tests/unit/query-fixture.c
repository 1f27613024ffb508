/* SPDX-License-Identifier: Apache-2.0 */
#include "query-fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct fixture_device fixture_devices[FIXTURE_DEVICES];
unsigned fixture_device_cnt;
unsigned fixture_others;

static struct settings settings;
static uint64_t longest_stall = 1500;
static sd_event *event;
static struct mailbox *mailbox;
static struct registry *registry;
static struct query *query;
static sem_t gate;

/* ------- what the daemon's control part would be ------- */

struct device *manager_device(const struct manager *manager, unsigned i)
{
	(void) manager;
	return i < fixture_device_cnt ? (struct device *) &fixture_devices[i] : NULL;
}

static struct fixture_device *of(const struct device *device)
{
	return (struct fixture_device *) device;
}

struct device *manager_find(const struct manager *manager, const char *text, unsigned *cnt)
{
	(void) manager;
	*cnt = strcmp(text, "twice") == 0 ? 2 : 0;
	for (unsigned i = 0; i < fixture_device_cnt; i++)
		if (strcmp(text, fixture_devices[i].name.name) == 0) {
			*cnt = 1;
			return (struct device *) &fixture_devices[i];
		}
	return NULL;
}

void device_look(const struct device *device, struct device_view *view)
{
	*view = of(device)->view;
}

unsigned device_minor(const struct device *device)
{
	return of(device)->view.minor;
}

enum device_state device_state(const struct device *device)
{
	return strcmp(of(device)->view.state, "LIVE") == 0 ? DEVICE_LIVE : DEVICE_SICK;
}

const char *device_label(const struct device *device)
{
	return of(device)->view.label;
}

const struct tcmu_name *device_name(const struct device *device)
{
	return &of(device)->name;
}

unsigned device_requests(const struct device *device, struct stats_request *requests, unsigned max)
{
	unsigned cnt = of(device)->request_cnt < max ? of(device)->request_cnt : max;

	memcpy(requests, of(device)->requests, cnt * sizeof(*requests));
	return cnt;
}

int device_reopen(struct device *device)
{
	of(device)->reopened++;
	return of(device)->reopen_error;
}

/* The kernel's devices: those of the fixture, and another daemon's. */
int tcmu_scan(struct tcmu_scan_entry **entries)
{
	struct tcmu_scan_entry *list = calloc(fixture_device_cnt + 1, sizeof(*list));
	struct tcmu_name theirs = {
		.hba = 7, .name = "theirs", .subtype = "other", .config = "other/thing"};
	int cnt = 0;

	assert_non_null(list);
	for (unsigned i = 0; i < fixture_device_cnt; i++)
		list[cnt++] = (struct tcmu_scan_entry){.name = fixture_devices[i].name, .minor = i};
	if (fixture_others)
		list[cnt++] = (struct tcmu_scan_entry){.name = theirs, .minor = 9};
	*entries = list;
	return cnt;
}

/* ------- handlers ------- */

static int check_hangs(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	(void) reason;
	if (strcmp(config->target, "hang") == 0)
		while (sem_wait(&gate) < 0)
			;
	return strcmp(config->target, "good") == 0 ? 0 : -EINVAL;
}

static int no_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	(void) config;
	(void) host;
	(void) dev;
	(void) info;
	(void) backend;
	(void) reason;
	return -ENOSYS;
}

static void no_close(void *backend)
{
	(void) backend;
}

static void no_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	(void) io;
}

static void add_handler(void)
{
	struct tcmu_handler handler = {
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(handler),
		.subtype = "file",
		.config_desc = "a path",
		.check_config = check_hangs,
		.open = no_open,
		.close = no_close,
		.submit = no_submit,
	};
	struct tcmu_reason reason;

	assert_int_equal(registry_add(registry, &handler, "the test", &reason), 0);
}

/* ------- the beginning and the end ------- */

static void make_device(unsigned i, const char *label, const char *state, const char *problem)
{
	struct fixture_device *device = &fixture_devices[i];

	*device = (struct fixture_device){0};
	device->name = (struct tcmu_name){.hba = i};
	(void) snprintf(device->name.name, sizeof(device->name.name), "%s", strchr(label, '/') + 1);
	(void) snprintf(device->name.subtype, sizeof(device->name.subtype), "file");
	(void) snprintf(device->name.config, sizeof(device->name.config), "file//srv/%u.img", i);
	device->view = (struct device_view){
		.label = label,
		.name = &device->name,
		.minor = i,
		.handler = "file",
		.state = state,
		.state_seconds = 2.5,
		.problem = problem,
		.size = 1 << 20,
		.block_size = 512,
		.serial = "",
		.stats = &device->stats,
	};
}

void query_fixture_start(void)
{
	struct query_setup setup = {.longest_stall = &longest_stall, .settings = &settings};

	make_device(0, "user_0/disk", "LIVE", NULL);
	make_device(1, "user_1/sick", "SICK", "Input/output error");
	fixture_device_cnt = FIXTURE_DEVICES;
	fixture_others = 0;
	settings_defaults(&settings);
	settings.check_timeout_ms = 200;
	assert_int_equal(sem_init(&gate, 0, 0), 0);
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(mailbox_new(event, SD_EVENT_PRIORITY_NORMAL, &mailbox), 0);
	assert_int_equal(registry_new(&registry), 0);
	add_handler();
	setup.event = event;
	setup.mailbox = mailbox;
	setup.registry = registry;
	assert_int_equal(query_new(&setup, &query), 0);
}

void query_fixture_end(void)
{
	query_free(query);
	registry_free(registry);
	mailbox_free(mailbox);
	event = sd_event_unref(event);
	(void) sem_destroy(&gate);
}

void query_release(void)
{
	assert_int_equal(sem_post(&gate), 0);
	assert_true(sd_event_run(event, 10000000) > 0);
}

struct query *query_fixture(void)
{
	return query;
}

static void take(void *userdata, char *text)
{
	json_t **answer = userdata;

	assert_null(*answer);
	assert_non_null(text);
	assert_null(strchr(text, '\n'));
	*answer = json_loads(text, 0, NULL);
	assert_non_null(*answer);
	free(text);
}

json_t *query_ask_bytes(const void *request, size_t length)
{
	json_t *answer = NULL;

	query_run(query, request, length, take, &answer);
	while (!answer)
		assert_true(sd_event_run(event, 10000000) > 0);
	return answer;
}

json_t *query_ask(const char *request)
{
	return query_ask_bytes(request, strlen(request));
}
