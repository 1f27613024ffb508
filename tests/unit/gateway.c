/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the place of the manager and of what reads configfs' port groups. Everything runs on the
 * test's own thread but identity_read() and identity_set_groups(), which jobs call.
 */
#include "gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake-root.h"
#include "identity.h"
#include "log.h"
#include "manager.h"

#define GATEWAYS_MAX 4
#define TURN_US      5000u
#define WAIT_MAX     30.0
#define UNTOLD       0xff

struct manager {
	struct manager_setup setup;
};

struct gateway {
	struct manager manager;
	struct rig rig;
	struct device *device;
	unsigned number;
	bool added;
	int added_status;
	bool removed;
	bool forgotten;
	pthread_mutex_t lock; /* for the rest */
	struct scsi_ports ports;
	uint8_t told[3];
};

static struct gateway *gateways[GATEWAYS_MAX];
static struct fake_root root;
static struct settings settings;
static sd_event *event;
static struct mailbox *mailbox;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

/* ------- the manager ------- */

const struct manager_setup *manager_setup(const struct manager *manager)
{
	return &manager->setup;
}

void manager_answer(struct manager *manager, enum tcmu_event_kind kind, uint32_t id, int status)
{
	struct gateway *gateway = (struct gateway *) manager;

	(void) id;
	if (kind == TCMU_EVENT_ADDED) {
		gateway->added = true;
		gateway->added_status = status;
	} else if (kind == TCMU_EVENT_REMOVED) {
		gateway->removed = true;
	}
}

void manager_answer_if_waiting(
	struct manager *manager, const struct tcmu_name *name, unsigned minor, uint32_t id)
{
	(void) manager, (void) name, (void) minor, (void) id;
}

struct device *manager_claimant(
	struct manager *manager, const char *claim, const struct device *except)
{
	(void) manager, (void) claim, (void) except;
	return NULL;
}

void manager_device_changed(struct manager *manager, struct device *device)
{
	(void) manager, (void) device;
}

void manager_forget(struct manager *manager, struct device *device)
{
	((struct gateway *) manager)->forgotten = true;
	device_release(device);
}

void manager_mark_clean(struct manager *manager, const struct device *device)
{
	(void) manager, (void) device;
}

void manager_mark_erasure(struct manager *manager, const struct device *device, unsigned erasure)
{
	(void) manager, (void) device, (void) erasure;
}

unsigned manager_erasure(const struct manager *manager, const struct device *device)
{
	(void) manager, (void) device;
	return 0;
}

/* ------- configfs' port groups ------- */

void identity_read(
	const struct tcmu_name *name, const char *state_dir, struct scsi_identity *identity)
{
	struct gateway *gateway = gateways[name->hba];

	(void) state_dir;
	memset(identity, 0, sizeof(*identity));
	strcpy(identity->serial, "1");
	pthread_mutex_lock(&gateway->lock);
	identity->ports = gateway->ports;
	pthread_mutex_unlock(&gateway->lock);
}

int identity_set_groups(const struct tcmu_name *name, const struct scsi_group_states *states)
{
	struct gateway *gateway = gateways[name->hba];

	pthread_mutex_lock(&gateway->lock);
	for (unsigned i = 0; i < states->cnt; i++)
		gateway->told[states->to[i].id] = states->to[i].state;
	pthread_mutex_unlock(&gateway->lock);
	return 0;
}

int identity_save(const char *state_dir, const char *serial, const struct scsi_mode_values *values)
{
	(void) state_dir, (void) serial, (void) values;
	return 0;
}

void gateway_regroup(struct gateway *gateway, uint16_t group, uint8_t access)
{
	struct scsi_ports ports = {
		.group_cnt = group ? 2 : 0,
		.groups =
			{{.id = 1, .supported = 0x0f, .access = access},
			 {.id = 2, .supported = 0x0f, .access = access}},
		.shared = group,
		.by_initiators = group && (access & SCSI_ACCESS_EXPLICIT),
		.owner_group = group,
	};

	pthread_mutex_lock(&gateway->lock);
	gateway->ports = ports;
	pthread_mutex_unlock(&gateway->lock);
}

uint8_t gateway_configfs_state(const struct gateway *gateway, uint16_t group)
{
	return gateway->told[group];
}

/* ------- the main loop ------- */

void gateways_begin(void)
{
	fake_root_make(&root);
	settings_defaults(&settings);
	settings.reply_timeout_ms = 2000;
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(mailbox_new(event, 0, &mailbox), 0);
}

void gateways_end(void)
{
	mailbox_free(mailbox);
	sd_event_unref(event);
	fake_root_remove(&root);
}

void gateways_turn(void)
{
	assert_true(sd_event_run(event, TURN_US) >= 0);
}

/* ------- a device ------- */

static void write_attributes(unsigned number, uint64_t size)
{
	static const struct {
		const char *name;
		const char *value;
	} attributes[] = {
		{"hw_block_size", "512\n"},
		{"hw_max_sectors", "2048\n"},
		{"emulate_write_cache", "0\n"},
		{"nl_reply_supported", "1\n"}};
	char path[160], text[32];

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		(void) snprintf(
			path, sizeof(path), "/sys/kernel/config/target/core/user_%u/disk/attrib/%s",
			number, attributes[i].name);
		fake_root_write(&root, path, attributes[i].value);
	}
	(void) snprintf(
		path, sizeof(path), "/sys/kernel/config/target/core/user_%u/disk/attrib/dev_size",
		number);
	(void) snprintf(text, sizeof(text), "%llu\n", (unsigned long long) size);
	fake_root_write(&root, path, text);
}

struct gateway *gateway_new(
	const struct tcmu_handler *handler, const char *config, uint64_t size, uint16_t group,
	uint8_t access)
{
	struct gateway *gateway = calloc(1, sizeof(*gateway));
	struct device_start start = {.origin = DEVICE_ORIGIN_ADDED, .id = 7, .handler = handler};
	double began = now();

	assert_non_null(gateway);
	pthread_mutex_init(&gateway->lock, NULL);
	memset(gateway->told, UNTOLD, sizeof(gateway->told));
	while (gateways[gateway->number])
		gateway->number++;
	assert_true(gateway->number < GATEWAYS_MAX);
	gateways[gateway->number] = gateway;
	gateway_regroup(gateway, group, access);
	write_attributes(gateway->number, size);
	gateway->manager.setup = (struct manager_setup){
		.event = event,
		.mailbox = mailbox,
		.settings = &settings,
		.run_dir = "/",
		.state_dir = "/"};
	rig_make(
		&gateway->rig,
		&(struct rig_options){
			.depth = 64, .uio.ring = {.scatter = true, .block_count = 2048}});
	start.minor = gateway->rig.setup.minor;
	start.name.hba = gateway->number;
	strcpy(start.name.name, "disk");
	strcpy(start.name.subtype, handler->subtype);
	(void) snprintf(start.name.config, sizeof(start.name.config), "%s", config);
	gateway->device = device_new(&gateway->manager, &start);
	assert_non_null(gateway->device);
	device_open(gateway->device);
	while (!gateway->added && now() - began < WAIT_MAX)
		gateways_turn();
	assert_true(gateway->added);
	assert_int_equal(gateway->added_status, 0);
	return gateway;
}

double gateway_remove(struct gateway *gateway)
{
	double began = now();

	device_removed(gateway->device, 8);
	while (!gateway->removed && now() - began < WAIT_MAX)
		gateways_turn();
	assert_true(gateway->removed);
	rig_assert_let_go(&gateway->rig);
	return now() - began;
}

void gateway_delete(struct gateway *gateway)
{
	double began = now();

	if (!gateway->removed)
		gateway_remove(gateway);
	while (!gateway->forgotten && now() - began < WAIT_MAX)
		gateways_turn();
	assert_true(gateway->forgotten);
	backend_free(gateway->rig.backend);
	fake_uio_free(gateway->rig.uio);
	gateways[gateway->number] = NULL;
	free(gateway);
}

struct rig *gateway_rig(struct gateway *gateway)
{
	return &gateway->rig;
}

enum device_state gateway_state(const struct gateway *gateway)
{
	return device_state(gateway->device);
}

void gateway_wait_state(struct gateway *gateway, enum device_state state, unsigned seconds)
{
	double began = now();

	while (device_state(gateway->device) != state && now() - began < seconds)
		gateways_turn();
	if (device_state(gateway->device) != state)
		fail_msg(
			"it is %s, not %s", device_state_name(device_state(gateway->device)),
			device_state_name(state));
}

/* ------- commands ------- */

void gateway_send(struct gateway *gateway, struct rig_command *command)
{
	rig_send(&gateway->rig, command);
}

void gateway_wait(struct rig_command *command)
{
	double began = now();

	while (!rig_is_done(command) && now() - began < WAIT_MAX)
		gateways_turn();
	assert_true(rig_is_done(command));
}

uint8_t gateway_do(struct gateway *gateway, struct rig_command *command)
{
	gateway_send(gateway, command);
	gateway_wait(command);
	return command->status;
}

uint8_t gateway_do_persistently(
	struct gateway *gateway, struct rig_command *command, unsigned seconds)
{
	double began = now();

	while (gateway_do(gateway, command) == SCSI_BUSY && now() - began < seconds)
		gateways_turn();
	return command->status;
}

void gateway_report(struct gateway *gateway, uint8_t states[static 2])
{
	uint8_t data[64] = {0};
	struct rig_command command = {
		.cdb = {0xa3, 0x0a, [9] = sizeof(data)},
		.cdb_length = 12,
		.in = data,
		.length = sizeof(data)};

	assert_int_equal(gateway_do(gateway, &command), SCSI_GOOD);
	assert_int_equal(data[3], 16);
	states[0] = data[4] & 0x0f;
	states[1] = data[12] & 0x0f;
}

uint8_t gateway_set(struct gateway *gateway, uint16_t group, uint8_t state)
{
	const uint8_t list[] = {0, 0, 0, 0, state, 0, 0, (uint8_t) group};
	struct rig_command command = {
		.cdb = {0xa4, 0x0a, [9] = sizeof(list)},
		.cdb_length = 12,
		.out = list,
		.length = sizeof(list)};

	return gateway_do(gateway, &command);
}
