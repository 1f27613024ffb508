/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of devices between the kernel's events and its answers. The netlink socket and the scan
 * are the test's; configfs is made of files; the handler waits in open and close while the test
 * says so, and never opens a backend that would be served.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/manager.h"
#include "fake-root.h"

#define QUEUE_MAX  16
#define WAIT_US    (10 * UINT64_C(1000000))
#define RUN_US     5000u
#define UNANSWERED 1

static struct fake_root root;
static struct settings settings;
static sd_event *event;
static struct mailbox *mailbox;
static struct handlers *handlers;
static struct manager *manager;
static unsigned changes, stops;
static char unhandled[64];
static char run_dir[160], state_dir[160];

/* ------- the kernel ------- */

static struct {
	int fd;
	struct tcmu_event events[QUEUE_MAX];
	unsigned first, cnt;
	struct tcmu_scan_entry entries[QUEUE_MAX];
	int entry_cnt;
	int answers[4][16]; /* by kind and id */
	bool replies;
	bool sends_last; /* commands, when the daemon asks it not to wait any more */
	bool loses;      /* the next event is lost */
} kernel;

enum moment {
	BEFORE_THE_STOP,
	DURING_THE_STOP,
	AT_ITS_END, /* the kernel has sent it, nobody has read it yet */
	MOMENT_CNT,
};

static void send_all(enum moment moment);

int tcmu_netlink_open(struct tcmu_netlink **netlink)
{
	*netlink = (struct tcmu_netlink *) &kernel;
	kernel.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return kernel.fd < 0 ? -errno : 0;
}

void tcmu_netlink_close(struct tcmu_netlink *netlink)
{
	if (netlink)
		close(kernel.fd);
}

int tcmu_netlink_fd(const struct tcmu_netlink *netlink)
{
	(void) netlink;
	return kernel.fd;
}

int tcmu_netlink_set_replies(struct tcmu_netlink *netlink, bool on)
{
	(void) netlink;
	kernel.replies = on;
	if (!on && kernel.sends_last)
		send_all(AT_ITS_END);
	kernel.sends_last = false;
	return 0;
}

int tcmu_netlink_receive(struct tcmu_netlink *netlink, struct tcmu_event *received)
{
	eventfd_t count;

	(void) netlink;
	if (kernel.loses) {
		kernel.loses = false;
		return -ENOBUFS;
	}
	if (kernel.first == kernel.cnt) {
		(void) eventfd_read(kernel.fd, &count);
		return 0;
	}
	*received = kernel.events[kernel.first++];
	return 1;
}

int tcmu_netlink_reply(
	struct tcmu_netlink *netlink, enum tcmu_event_kind kind, uint32_t id, int status)
{
	(void) netlink;
	assert_int_equal(kernel.answers[kind][id], UNANSWERED);
	kernel.answers[kind][id] = status;
	return 0;
}

int tcmu_scan(struct tcmu_scan_entry **entries)
{
	*entries = malloc(sizeof(kernel.entries));
	assert_non_null(*entries);
	memcpy(*entries, kernel.entries, sizeof(kernel.entries));
	return kernel.entry_cnt;
}

int tcmu_scan_minor(unsigned minor, struct tcmu_scan_entry *entry)
{
	for (int i = 0; i < kernel.entry_cnt; i++)
		if (kernel.entries[i].minor == minor) {
			*entry = kernel.entries[i];
			return 0;
		}
	return -ENODEV;
}

static void write_attribute(unsigned hba, const char *attribute, const char *value)
{
	char path[160];

	(void) snprintf(
		path, sizeof(path), "/sys/kernel/config/target/core/user_%u/disk/%s", hba,
		attribute);
	fake_root_write(&root, path, value);
}

/* The backing store is one for all devices, or each has its own. */
static bool own_stores;
static const char *options[16]; /* by id; NULL: none */

static void name_config(struct tcmu_name *name, const char *subtype)
{
	(void) snprintf(
		name->config, sizeof(name->config), "%s/store%u%s", subtype,
		own_stores ? name->hba : 0, options[name->hba] ? options[name->hba] : "");
}

/* The kernel has user_<id>/disk, as uio<id>. */
static void create(unsigned id, const char *subtype, bool configured)
{
	struct tcmu_scan_entry *entry = &kernel.entries[kernel.entry_cnt++];
	char text[16];

	*entry = (struct tcmu_scan_entry){.minor = id, .name = {.hba = id, .name = "disk"}};
	(void) snprintf(entry->name.subtype, sizeof(entry->name.subtype), "%s", subtype);
	name_config(&entry->name, subtype);
	write_attribute(id, "attrib/hw_block_size", "512\n");
	write_attribute(id, "attrib/hw_max_sectors", "128\n");
	write_attribute(id, "attrib/dev_size", "1048576\n");
	write_attribute(id, "attrib/nl_reply_supported", "1\n");
	write_attribute(id, "enable", configured ? "1\n" : "0\n");
	(void) snprintf(text, sizeof(text), "%u\n", id);
	write_attribute(id, "statistics/scsi_dev/indx", text);
}

static void send_event(enum tcmu_event_kind kind, unsigned id, const char *subtype)
{
	struct tcmu_event *to = &kernel.events[kernel.cnt++];

	assert_true(kernel.cnt <= QUEUE_MAX);
	*to = (struct tcmu_event){
		.kind = kind, .minor = id, .device_id = id, .name = {.hba = id, .name = "disk"}};
	(void) snprintf(to->name.subtype, sizeof(to->name.subtype), "%s", subtype);
	name_config(&to->name, subtype);
	assert_int_equal(eventfd_write(kernel.fd, 1), 0);
}

/* ------- the handler ------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open_waits, close_waits;
	unsigned opens, closes; /* begun */
	int open_result;
} backend = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int on_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	(void) reason;
	(void) snprintf(claim, size, "%s", config->target);
	return 0;
}

static int on_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **opened,
	struct tcmu_reason *reason)
{
	int r;

	(void) host, (void) dev, (void) reason;
	pthread_mutex_lock(&backend.lock);
	backend.opens++;
	while (backend.open_waits)
		pthread_cond_wait(&backend.changed, &backend.lock);
	r = backend.open_result;
	pthread_mutex_unlock(&backend.lock);
	(void) snprintf(info->claim, sizeof(info->claim), "%s", config->target);
	*opened = r < 0 ? NULL : &backend;
	return r;
}

static void on_close(void *opened)
{
	assert_ptr_equal(opened, &backend);
	pthread_mutex_lock(&backend.lock);
	backend.closes++;
	while (backend.close_waits)
		pthread_cond_wait(&backend.changed, &backend.lock);
	pthread_mutex_unlock(&backend.lock);
}

static void on_submit(void *opened, struct tcmu_io *io)
{
	(void) opened, (void) io;
}

static void set_backend(bool open_waits, bool close_waits, int open_result)
{
	pthread_mutex_lock(&backend.lock);
	backend.open_waits = open_waits;
	backend.close_waits = close_waits;
	backend.open_result = open_result;
	pthread_cond_broadcast(&backend.changed);
	pthread_mutex_unlock(&backend.lock);
}

static unsigned read_count(const unsigned *count)
{
	unsigned value;

	pthread_mutex_lock(&backend.lock);
	value = *count;
	pthread_mutex_unlock(&backend.lock);
	return value;
}

/* ------- the daemon ------- */

static void note_change(void *userdata)
{
	(void) userdata;
	changes++;
}

static void note_unhandled(void *userdata, const char *subtype)
{
	(void) userdata;
	(void) snprintf(unhandled, sizeof(unhandled), "%s", subtype);
}

static void note_stop(void *userdata)
{
	(void) userdata;
	stops++;
}

static int setup(void **state)
{
	const struct tcmu_handler handler = {
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(handler),
		.subtype = "test",
		.config_desc = "",
		.claim = on_claim,
		.open = on_open,
		.close = on_close,
		.submit = on_submit,
	};
	struct tcmu_reason reason;

	(void) state;
	memset(&kernel, 0, sizeof(kernel));
	for (unsigned kind = 0; kind < 4; kind++)
		for (unsigned id = 0; id < 16; id++)
			kernel.answers[kind][id] = UNANSWERED;
	changes = stops = 0;
	unhandled[0] = '\0';
	own_stores = false;
	memset(options, 0, sizeof(options));
	backend.opens = backend.closes = 0;
	set_backend(false, false, -EIO);
	fake_root_make(&root);
	(void) snprintf(run_dir, sizeof(run_dir), "%s", fake_root_path(&root, "/run"));
	(void) snprintf(state_dir, sizeof(state_dir), "%s", fake_root_path(&root, "/state"));
	settings_defaults(&settings);
	settings.stop_timeout_ms = 100;
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(mailbox_new(event, SD_EVENT_PRIORITY_IMPORTANT, &mailbox), 0);
	handlers = handlers_new();
	assert_int_equal(handlers_add(handlers, &handler, "the test", &reason), 0);
	return 0;
}

static void start(void)
{
	const struct manager_setup manager_setup = {
		.event = event,
		.mailbox = mailbox,
		.handlers = handlers,
		.settings = &settings,
		.run_dir = run_dir,
		.state_dir = state_dir,
		.changed = note_change,
		.unhandled_subtype = note_unhandled,
	};

	assert_int_equal(manager_new(&manager_setup, &manager), 0);
}

static int teardown(void **state)
{
	(void) state;
	assert_true(manager_is_empty(manager));
	manager_free(manager);
	handlers_free(handlers);
	mailbox_free(mailbox);
	sd_event_unref(event);
	fake_root_remove(&root);
	return 0;
}

/* Runs the event loop until the condition holds. */
#define wait_for(condition) \
	do { \
		uint64_t end_ = clock_now_us() + WAIT_US; \
		while (!(condition) && clock_now_us() < end_) \
			assert_true(sd_event_run(event, RUN_US) >= 0); \
		assert_true(condition); \
	} while (0)

static void end_manager(void)
{
	manager_stop(manager, note_stop, NULL);
	assert_int_equal(stops, 0);
	wait_for(stops);
	assert_int_equal(stops, 1);
	assert_false(kernel.replies);
}

static unsigned count_failed(void)
{
	unsigned served, failed, orphans;

	manager_count(manager, &served, &failed, &orphans);
	return failed;
}

static void a_creation_is_answered_and_a_refused_device_forgotten(void **state)
{
	(void) state;
	start();
	assert_true(kernel.replies);
	create(1, "test", false);
	send_event(TCMU_EVENT_ADDED, 1, "test");
	wait_for(kernel.answers[TCMU_EVENT_ADDED][1] != UNANSWERED);
	assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][1], -EIO);
	kernel.entry_cnt = 0;
	wait_for(manager_is_empty(manager) && changes > 0);
	end_manager();
}

/* The device that is being opened for it would be ended, and the kernel not answered. */
static void a_creation_that_is_announced_twice_is_one(void **state)
{
	(void) state;
	start();
	set_backend(true, false, -EIO);
	create(1, "test", false);
	send_event(TCMU_EVENT_ADDED, 1, "test");
	send_event(TCMU_EVENT_ADDED, 1, "test");
	wait_for(read_count(&backend.opens));
	for (int i = 0; i < 10; i++)
		assert_true(sd_event_run(event, RUN_US) >= 0);
	assert_non_null(manager_device(manager, 0));
	assert_null(manager_device(manager, 1));
	set_backend(false, false, -EIO);
	wait_for(kernel.answers[TCMU_EVENT_ADDED][1] != UNANSWERED);
	assert_int_equal(read_count(&backend.opens), 1);
	kernel.entry_cnt = 0;
	end_manager();
}

static void a_found_device_fails_and_its_removal_is_answered(void **state)
{
	unsigned cnt;

	(void) state;
	create(2, "test", true);
	start();
	wait_for(count_failed() == 1);
	assert_non_null(manager_find(manager, "user_2/disk", &cnt));
	assert_non_null(manager_find(manager, "disk", &cnt));
	assert_ptr_equal(manager_find(manager, "uio2", &cnt), manager_device(manager, 0));
	assert_null(manager_find(manager, "uio3", &cnt));
	assert_int_equal(cnt, 0);
	kernel.entry_cnt = 0;
	send_event(TCMU_EVENT_REMOVED, 2, "test");
	wait_for(kernel.answers[TCMU_EVENT_REMOVED][2] == 0);
	wait_for(manager_is_empty(manager));
	end_manager();
}

static void a_creation_that_waits_is_adopted(void **state)
{
	(void) state;
	create(3, "test", false);
	start();
	wait_for(kernel.answers[TCMU_EVENT_ADDED][3] == -EIO);
	kernel.entry_cnt = 0;
	end_manager();
}

static void a_subtype_without_a_handler_is_left_alone(void **state)
{
	(void) state;
	start();
	create(4, "other", false);
	send_event(TCMU_EVENT_ADDED, 4, "other");
	send_event(TCMU_EVENT_RECONFIG, 4, "other");
	send_event(TCMU_EVENT_REMOVED, 4, "other");
	wait_for(kernel.first == 3);
	assert_string_equal(unhandled, "other");
	assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][4], UNANSWERED);
	assert_int_equal(kernel.answers[TCMU_EVENT_RECONFIG][4], UNANSWERED);
	assert_int_equal(kernel.answers[TCMU_EVENT_REMOVED][4], UNANSWERED);
	end_manager();
}

static void a_change_of_an_unknown_device_is_refused(void **state)
{
	(void) state;
	start();
	send_event(TCMU_EVENT_RECONFIG, 5, "test");
	wait_for(kernel.answers[TCMU_EVENT_RECONFIG][5] == -ENODEV);
	end_manager();
}

static void a_device_that_a_scan_misses_ends(void **state)
{
	(void) state;
	create(6, "test", true);
	start();
	wait_for(count_failed() == 1);
	kernel.entry_cnt = 0;
	manager_reconcile(manager);
	wait_for(manager_is_empty(manager));
	end_manager();
}

/* The reaction to the end of one device reaches another one by a step of the event loop. */
static void a_device_waits_until_an_ending_one_has_closed_its_store(void **state)
{
	(void) state;
	set_backend(true, true, 0);
	start();
	create(7, "test", false);
	send_event(TCMU_EVENT_ADDED, 7, "test");
	wait_for(read_count(&backend.opens) == 1);
	kernel.entry_cnt = 0;
	send_event(TCMU_EVENT_REMOVED, 7, "test");
	wait_for(kernel.first == 2);
	set_backend(false, true, 0);
	wait_for(read_count(&backend.closes) == 1);
	create(8, "test", false);
	send_event(TCMU_EVENT_ADDED, 8, "test");
	wait_for(
		kernel.first == 3 && manager_device(manager, 1) &&
		device_is_known(manager_device(manager, 1)));
	for (int i = 0; i < 20; i++)
		assert_true(sd_event_run(event, RUN_US) >= 0);
	assert_int_equal(read_count(&backend.opens), 1);
	set_backend(false, false, -EIO);
	wait_for(kernel.answers[TCMU_EVENT_ADDED][8] != UNANSWERED);
	assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][8], -EIO);
	assert_int_equal(kernel.answers[TCMU_EVENT_REMOVED][7], 0);
	assert_int_equal(read_count(&backend.opens), 2);
	kernel.entry_cnt = 0;
	wait_for(manager_is_empty(manager));
	end_manager();
}

/* An orphan keeps its claim. */
static void a_store_that_an_orphan_holds_is_refused(void **state)
{
	(void) state;
	settings.reply_timeout_ms = 50;
	set_backend(false, true, 0);
	pthread_mutex_lock(&backend.lock);
	backend.open_waits = true;
	pthread_mutex_unlock(&backend.lock);
	start();
	create(9, "test", false);
	send_event(TCMU_EVENT_ADDED, 9, "test");
	wait_for(read_count(&backend.opens) == 1);
	kernel.entry_cnt = 0;
	send_event(TCMU_EVENT_REMOVED, 9, "test");
	wait_for(kernel.answers[TCMU_EVENT_REMOVED][9] == 0);
	set_backend(false, true, 0);
	wait_for(read_count(&backend.closes) == 1);
	create(10, "test", false);
	send_event(TCMU_EVENT_ADDED, 10, "test");
	wait_for(kernel.answers[TCMU_EVENT_ADDED][10] != UNANSWERED);
	assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][10], -EBUSY);
	kernel.entry_cnt = 0;
	/* the stop does not wait for an orphan */
	end_manager();
	set_backend(false, false, 0);
	wait_for(manager_is_empty(manager));
}

/* An open that ends late may still use the store. */
static void a_store_whose_open_hangs_after_the_delete_is_refused(void **state)
{
	(void) state;
	settings.reply_timeout_ms = 50;
	set_backend(true, false, 0);
	start();
	create(9, "test", false);
	send_event(TCMU_EVENT_ADDED, 9, "test");
	wait_for(read_count(&backend.opens) == 1);
	kernel.entry_cnt = 0;
	send_event(TCMU_EVENT_REMOVED, 9, "test");
	wait_for(kernel.answers[TCMU_EVENT_REMOVED][9] == 0);
	create(10, "test", false);
	send_event(TCMU_EVENT_ADDED, 10, "test");
	wait_for(kernel.answers[TCMU_EVENT_ADDED][10] != UNANSWERED);
	assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][10], -EBUSY);
	assert_int_equal(read_count(&backend.opens), 1);
	kernel.entry_cnt = 0;
	end_manager();
	set_backend(false, false, 0);
	wait_for(manager_is_empty(manager));
}

/* ------- two devices on one store ------- */

/* The first one is being opened, or was found by the scan beside the second one. */
static void share_store(
	bool first_found, bool second_found, const char *first, const char *second, bool permitted)
{
	void *state = NULL;
	bool refused;

	options[1] = first;
	options[2] = second;
	set_backend(true, false, -EIO);
	if (first_found)
		create(1, "test", true);
	if (second_found)
		create(2, "test", true);
	start();
	if (!first_found) {
		create(1, "test", false);
		send_event(TCMU_EVENT_ADDED, 1, "test");
	}
	wait_for(read_count(&backend.opens) >= 1);
	if (!second_found) {
		create(2, "test", false);
		send_event(TCMU_EVENT_ADDED, 2, "test");
	}
	wait_for(
		read_count(&backend.opens) == 2 ||
		kernel.answers[TCMU_EVENT_ADDED][2] != UNANSWERED || count_failed() == 1);
	refused = read_count(&backend.opens) < 2;
	if (refused == permitted)
		fail_msg(
			"%s %s, %s %s: %s", first_found ? "found" : "created", first,
			second_found ? "found" : "created", second,
			refused ? "refused" : "permitted");
	if (refused && !second_found)
		assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][2], -EBUSY);
	kernel.entry_cnt = 0;
	set_backend(false, false, -EIO);
	manager_stop(manager, note_stop, NULL);
	wait_for(manager_is_empty(manager) && stops);
	teardown(&state);
	setup(&state);
}

static void a_store_is_served_once_unless_both_devices_permit_more(void **state)
{
	(void) state;
	share_store(false, false, "", "", false);
	share_store(false, false, ";share=1", "", false);
	share_store(false, false, "", ";share=1", false);
	share_store(false, false, ";share=1", ";share=1", true);
	share_store(false, false, ";ro=1", ";ro=1", true);
	share_store(false, false, "", ";ro=1", false);
	/* what is created beside a device of an earlier daemon */
	share_store(true, false, "", "", false);
	share_store(true, false, ";share=1", ";share=1", true);
	/* a restart loses no LUN that an earlier daemon has served */
	share_store(true, true, "", "", true);
	start();
	end_manager();
}

/* ------- a stop ------- */

/* For each moment one device of each: an ADDED, a REMOVED and a RECONFIG, by kind. */
static unsigned id_of(enum moment moment, enum tcmu_event_kind kind)
{
	return 3 * moment + kind;
}

static void send_all(enum moment moment)
{
	create(id_of(moment, TCMU_EVENT_ADDED), "test", false);
	for (int kind = TCMU_EVENT_ADDED; kind <= TCMU_EVENT_RECONFIG; kind++)
		send_event(kind, id_of(moment, kind), "test");
}

static void assert_refused(enum moment moment, enum tcmu_event_kind kind)
{
	int answer = kernel.answers[kind][id_of(moment, kind)];

	if (answer >= 0)
		fail_msg("moment %d, kind %d: %d", moment, kind, answer);
}

static void stop_with_commands(bool stuck)
{
	unsigned opens = 2 * MOMENT_CNT;

	own_stores = true;
	settings.reply_timeout_ms = 60000;
	set_backend(stuck, false, -EIO);
	for (int moment = 0; moment < MOMENT_CNT; moment++) {
		create(id_of(moment, TCMU_EVENT_REMOVED), "test", true);
		create(id_of(moment, TCMU_EVENT_RECONFIG), "test", true);
	}
	start();
	wait_for(read_count(&backend.opens) == opens);
	send_all(BEFORE_THE_STOP);
	wait_for(read_count(&backend.opens) == opens + 1 && kernel.first == 3);
	kernel.sends_last = true;
	manager_stop(manager, note_stop, NULL);
	if (stuck) {
		assert_refused(BEFORE_THE_STOP, TCMU_EVENT_ADDED);
		assert_refused(BEFORE_THE_STOP, TCMU_EVENT_RECONFIG);
	}
	send_all(DURING_THE_STOP);
	wait_for(kernel.first >= 6);
	assert_refused(DURING_THE_STOP, TCMU_EVENT_ADDED);
	assert_refused(DURING_THE_STOP, TCMU_EVENT_RECONFIG);
	wait_for(stops);
	assert_false(kernel.replies);
	for (int moment = 0; moment < MOMENT_CNT; moment++) {
		assert_refused(moment, TCMU_EVENT_ADDED);
		assert_refused(moment, TCMU_EVENT_RECONFIG);
		assert_int_equal(
			kernel.answers[TCMU_EVENT_REMOVED][id_of(moment, TCMU_EVENT_REMOVED)], 0);
	}
	manager_end(manager);
	/* what comes late is not answered again: the fake would notice */
	kernel.entry_cnt = 0;
	set_backend(false, false, 0);
	wait_for(manager_is_empty(manager));
}

static void every_command_is_answered_once_whenever_it_comes_in_a_stop(void **state)
{
	(void) state;
	stop_with_commands(false);
}

static void also_where_every_backend_is_stuck(void **state)
{
	(void) state;
	stop_with_commands(true);
}

static bool netlink_was_reset(void)
{
	char text[8] = "";
	FILE *file = fopen(
		fake_root_path(&root, "/sys/module/target_core_user/parameters/reset_netlink"),
		"re");

	if (!file)
		return false;
	assert_non_null(fgets(text, sizeof(text), file));
	(void) fclose(file);
	return text[0] == '1';
}

/* Commands that were lost are ended by the kernel's own reset: nobody knows which they are. */
static void commands_that_are_lost_in_a_stop_are_reset(void **state)
{
	static const char *const parameters = "/sys/module/target_core_user/parameters";
	char path[128];

	(void) state;
	(void) snprintf(path, sizeof(path), "%s/block_netlink", parameters);
	fake_root_write(&root, path, "N\n");
	(void) snprintf(path, sizeof(path), "%s/reset_netlink", parameters);
	fake_root_write(&root, path, "0\n");
	start();
	wait_for(netlink_was_reset()); /* for commands of a dead daemon */
	fake_root_write(&root, path, "0\n");
	manager_stop(manager, note_stop, NULL);
	kernel.loses = true;
	wait_for(stops);
	assert_true(netlink_was_reset());
}

static void an_orderly_stop_resets_nothing(void **state)
{
	(void) state;
	fake_root_write(&root, "/sys/module/target_core_user/parameters/block_netlink", "N\n");
	fake_root_write(&root, "/sys/module/target_core_user/parameters/reset_netlink", "0\n");
	start();
	wait_for(netlink_was_reset());
	fake_root_write(&root, "/sys/module/target_core_user/parameters/reset_netlink", "0\n");
	end_manager();
	assert_false(netlink_was_reset());
}

/* A start that has failed, or a second signal: the process ends without a stop. */
static void an_end_without_a_stop_answers_what_waits(void **state)
{
	(void) state;
	set_backend(true, false, 0);
	own_stores = true;
	create(3, "test", false);
	create(5, "test", true);
	start();
	wait_for(read_count(&backend.opens) == 2);
	create(4, "test", false);
	send_event(TCMU_EVENT_ADDED, 4, "test");
	send_event(TCMU_EVENT_RECONFIG, 5, "test");
	manager_end(manager);
	assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][3], -ESHUTDOWN);
	assert_int_equal(kernel.answers[TCMU_EVENT_ADDED][4], -ESHUTDOWN);
	assert_int_equal(kernel.answers[TCMU_EVENT_RECONFIG][5], -ESHUTDOWN);
	assert_false(kernel.replies);
	set_backend(false, false, -EIO);
	wait_for(count_failed() == 1);
	kernel.entry_cnt = 0;
	manager_reconcile(manager);
	wait_for(manager_is_empty(manager));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_creation_is_answered_and_a_refused_device_forgotten),
		TEST(a_creation_that_is_announced_twice_is_one),
		TEST(a_found_device_fails_and_its_removal_is_answered),
		TEST(a_creation_that_waits_is_adopted),
		TEST(a_subtype_without_a_handler_is_left_alone),
		TEST(a_change_of_an_unknown_device_is_refused),
		TEST(a_device_that_a_scan_misses_ends),
		TEST(a_device_waits_until_an_ending_one_has_closed_its_store),
		TEST(a_store_that_an_orphan_holds_is_refused),
		TEST(a_store_whose_open_hangs_after_the_delete_is_refused),
		TEST(a_store_is_served_once_unless_both_devices_permit_more),
		TEST(every_command_is_answered_once_whenever_it_comes_in_a_stop),
		TEST(also_where_every_backend_is_stuck),
		TEST(commands_that_are_lost_in_a_stop_are_reset),
		TEST(an_orderly_stop_resets_nothing),
		TEST(an_end_without_a_stop_answers_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
