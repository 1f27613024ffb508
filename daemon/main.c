/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmud: puts the parts together, runs the main loop, and ends in good order.
 *
 * The main loop serves the kernel's events and what threads have to say in turn, and both before
 * the bus. It waits for nobody; how long it was held up at most is measured and told.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>
#include <tcmu/module.h>

#include "base/jobs.h"
#include "base/log.h"
#include "base/version.h"
#include "config/handlers.h"
#include "config/settings.h"
#include "device/manager.h"
#include "program/cli.h"
#include "program/instance.h"
#include "program/notify.h"
#include "rpc/control-socket.h"
#include "rpc/methods.h"
#include "rpc/tcmu-dbus.h"
#include "rpc/tcmud-dbus.h"

#define RUN_DIR       "/run/tcmud"
#define STATE_DIR     "/var/lib/tcmud"
#define STALL_WARN_US 50000
#define ARENAS        2

struct daemon {
	struct cli cli;
	struct settings settings;
	struct instance instance;
	sd_event *event;
	struct mailbox *mailbox;
	struct handlers *registry;
	struct manager *manager;
	struct tcmu_dbus *bus;
	struct methods *query;
	struct control_socket *control;
	struct tcmud_dbus tcmud_dbus;
	struct settings_watch *watch;
	bool ready;
	bool stopping;
	uint64_t longest_stall; /* µs */
	int schedstat;          /* the main thread's, or -1 */
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* ------- settings ------- */

static void settings_warning(void *userdata, unsigned line, const char *text)
{
	const struct daemon *self = userdata;

	if (line)
		log_warning("%s:%u: %s", self->cli.config, line, text);
	else
		log_warning("%s: %s", self->cli.config, text);
}

static void setting_changed(void *userdata, const char *key, const char *before, const char *after)
{
	(void) userdata;
	log_full(
		TCMU_LOG_INFO, NULL, NULL, LOG_ID_SETTINGS_CHANGED, "%s was %s, is now %s", key,
		before, after);
}

static void set_log_dir(const struct settings *settings)
{
	if (strcmp(settings->log_dir, LOG_DIR_AUTO) == 0)
		log_set_default_dir(log_auto_dir(getenv("JOURNAL_STREAM"), STDERR_FILENO));
	else
		log_set_dir(settings->log_dir);
}

static void reload(void *userdata)
{
	struct daemon *self = userdata;
	struct settings settings = self->settings;
	int r = settings_load(self->cli.config, &settings, settings_warning, self);

	if (r < 0 && r != -ENOENT)
		return;
	cli_override(&self->cli, &settings);
	settings_compare(&self->settings, &settings, setting_changed, NULL);
	self->settings = settings;
	log_set_level(settings.log_level);
	set_log_dir(&settings);
}

static void load_settings(struct daemon *self)
{
	settings_defaults(&self->settings);
	if (settings_load(self->cli.config, &self->settings, settings_warning, self) == -ENOENT &&
	    self->cli.config_given)
		log_warning("%s does not exist: every setting has its default", self->cli.config);
	cli_override(&self->cli, &self->settings);
	log_set_level(self->settings.log_level);
	set_log_dir(&self->settings);
}

/* ------- what is told to the service manager ------- */

static void tell_status(struct daemon *self)
{
	unsigned served, failed, orphans;

	manager_count(self->manager, &served, &failed, &orphans);
	if (self->stopping)
		notify_status("Stopping; %u devices are still being let go", served);
	else if (failed || orphans)
		notify_status(
			"Serving %u devices; %u have failed, %u backends are late", served, failed,
			orphans);
	else
		notify_status("Serving %u devices", served);
}

static void devices_changed(void *userdata)
{
	struct daemon *self = userdata;

	if (self->manager)
		tell_status(self);
}

static void unhandled_subtype(void *userdata, const char *subtype)
{
	struct daemon *self = userdata;

	if (self->bus)
		tcmu_dbus_show_subtype(self->bus, subtype);
}

static void bus_changed(void *userdata, enum tcmu_dbus_state state)
{
	struct daemon *self = userdata;

	(void) state;
	if (self->ready)
		return;
	self->ready = true;
	log_full(
		TCMU_LOG_INFO, NULL, NULL, LOG_ID_DAEMON_READY, "tcmud %s is ready",
		version_string());
	tell_status(self);
	notify_ready();
}

/* ------- the end ------- */

static void all_stopped(void *userdata)
{
	struct daemon *self = userdata;

	(void) sd_event_exit(self->event, 0);
}

static int stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *self = userdata;

	(void) source;
	if (self->stopping) {
		log_warning("asked to stop again: not waiting any longer");
		return sd_event_exit(self->event, 1);
	}
	log_info("stopping: signal %u", info->ssi_signo);
	self->stopping = true;
	notify_stopping();
	/* Nobody shall be sent to a daemon that is leaving. */
	tcmu_dbus_free(self->bus);
	self->bus = NULL;
	manager_stop(self->manager, all_stopped, self);
	return 0;
}

static int hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void) source;
	(void) info;
	log_reopen();
	reload(userdata);
	return 0;
}

/* ------- the beginning ------- */

static void raise_file_limit(const struct daemon *self)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (self->cli.nofile) {
		limit.rlim_cur = self->cli.nofile;
		if (limit.rlim_max < limit.rlim_cur)
			limit.rlim_max = limit.rlim_cur;
	} else {
		limit.rlim_cur = limit.rlim_max;
	}
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("the limit of open files stays as it is: %s", strerror(errno));
}

static int make_loop(struct daemon *self)
{
	static const struct {
		int signal;
		sd_event_signal_handler_t handler;
	} signals[] = {{SIGTERM, stop}, {SIGINT, stop}, {SIGHUP, hangup}};
	int r = sd_event_default(&self->event);

	for (size_t i = 0; r >= 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		r = sd_event_add_signal(
			self->event, NULL, signals[i].signal, signals[i].handler, self);
	if (r >= 0)
		r = mailbox_new(self->event, SD_EVENT_PRIORITY_IMPORTANT, &self->mailbox);
	if (r >= 0)
		(void) notify_watchdog(self->event);
	return r;
}

static int start_manager(struct daemon *self)
{
	struct manager_setup setup = {
		.event = self->event,
		.mailbox = self->mailbox,
		.handlers = self->registry,
		.settings = &self->settings,
		.run_dir = RUN_DIR,
		.state_dir = STATE_DIR,
		.changed = devices_changed,
		.unhandled_subtype = unhandled_subtype,
		.userdata = self,
	};
	int r = tcmu_module_load();

	if (r < 0) {
		log_crit(
			"the kernel module target_core_user cannot be loaded: %s",
			r == -ENOENT ? "this kernel does not have it" : strerror(-r));
		return r;
	}
	r = manager_new(&setup, &self->manager);
	if (r < 0)
		log_crit("the kernel's TCM-USER events cannot be received: %s", strerror(-r));
	return r;
}

static int bus_connected(void *userdata, sd_bus *connection)
{
	struct daemon *self = userdata;

	return self->query ? tcmud_dbus_add(&self->tcmud_dbus, connection) : 0;
}

static int start_bus(struct daemon *self)
{
	struct tcmu_dbus_setup setup = {
		.event = self->event,
		.mailbox = self->mailbox,
		.registry = self->registry,
		.settings = &self->settings,
		.changed = bus_changed,
		.connected = bus_connected,
		.userdata = self,
	};
	int r;

	self->tcmud_dbus = (struct tcmud_dbus){.manager = self->manager, .query = self->query};
	r = tcmu_dbus_new(&setup, &self->bus);

	if (r >= 0)
		manager_reconcile(self->manager); /* tells the bus of the subtypes in use */
	return r;
}

static void answered(void *client, char *text)
{
	control_socket_reply(client, text);
}

static void on_request(
	void *userdata, struct control_client *client, const char *request, size_t length)
{
	struct daemon *self = userdata;

	methods_call(self->query, request, length, answered, client);
}

/* Without it the daemon serves all the same. */
static void start_control(struct daemon *self)
{
	struct methods_setup setup = {
		.event = self->event,
		.mailbox = self->mailbox,
		.registry = self->registry,
		.settings = &self->settings,
		.manager = self->manager,
		.longest_stall = &self->longest_stall,
	};
	int r = methods_new(&setup, &self->query);

	if (r >= 0)
		r = control_socket_new(
			self->event, CONTROL_SOCKET_NAME, on_request, self, &self->control);
	if (r < 0)
		log_warning(
			"tcmuctl will not find this daemon: %s: %s", CONTROL_SOCKET_NAME,
			strerror(-r));
}

static int start(struct daemon *self)
{
	int r = make_loop(self);

	if (r < 0) {
		log_crit("the main loop cannot be made: %s", strerror(-r));
		return r;
	}
	raise_file_limit(self);
	r = handlers_new(&self->registry);
	if (r < 0)
		return r;
	(void) handlers_load(self->registry, self->cli.handler_path);
	r = start_manager(self);
	if (r >= 0)
		start_control(self);
	if (r >= 0)
		r = start_bus(self);
	if (r >= 0 &&
	    settings_watch_new(self->event, self->cli.config, reload, self, &self->watch) < 0)
		log_info("%s is not watched for changes; SIGHUP reads it again", self->cli.config);
	return r;
}

/* ------- the loop ------- */

/* How long this thread has been ready without a processor, in µs; 0 where the kernel does not count
 * it. */
static uint64_t starved_us(const struct daemon *self)
{
	char text[64], *end;
	ssize_t n = pread(self->schedstat, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	(void) strtoull(text, &end, 10); /* how long it has run */
	return strtoull(end, NULL, 10) / 1000;
}

/* What others did with the processor meanwhile is not the loop's doing. */
static void measure(struct daemon *self, uint64_t began, uint64_t starved)
{
	uint64_t took = now_us() - began;

	starved = starved_us(self) - starved;
	took = took > starved ? took - starved : 0;
	if (took <= self->longest_stall)
		return;
	self->longest_stall = took;
	if (took > STALL_WARN_US)
		log_warning(
			"the main loop was held up for %llu ms", (unsigned long long) took / 1000);
}

static int run(struct daemon *self)
{
	int r, code = 0;

	self->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	while (sd_event_get_state(self->event) != SD_EVENT_FINISHED) {
		uint64_t began, starved;

		r = sd_event_prepare(self->event);
		if (r == 0)
			r = sd_event_wait(self->event, UINT64_MAX);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		began = now_us();
		starved = starved_us(self);
		r = sd_event_dispatch(self->event);
		if (r < 0)
			return r;
		measure(self, began, starved);
	}
	(void) sd_event_get_exit_code(self->event, &code);
	return code;
}

/* False: a backend has not let go; what its threads use must stay. */
static bool take_apart(struct daemon *self)
{
	unsigned served = 0, failed = 0, orphans = 0;

	if (self->manager)
		manager_count(self->manager, &served, &failed, &orphans);
	settings_watch_free(self->watch);
	tcmu_dbus_free(self->bus);
	methods_free(self->query);
	control_socket_free(self->control);
	if (served || failed || orphans || !manager_is_empty(self->manager))
		return false;
	manager_free(self->manager);
	mailbox_free(self->mailbox);
	handlers_free(self->registry);
	sd_event_unref(self->event);
	return true;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ,
	       SIG_IGN); /* a limit of file sizes is the backend's EFBIG, not the daemon's end */
}

static int acquire_instance(struct daemon *self)
{
	pid_t other = 0;
	int r = instance_acquire(&self->instance, INSTANCE_LOCK_FILE, INSTANCE_SOCKET, &other);

	if (r == -EBUSY && other)
		log_crit("another daemon serves this kernel already: process %d", (int) other);
	else if (r == -EBUSY)
		log_crit("another daemon serves this kernel already");
	else if (r < 0)
		log_crit("the lock %s cannot be taken: %s", INSTANCE_LOCK_FILE, strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	static struct daemon self = {.instance = INSTANCE_INIT};
	bool clean;
	int r;

	r = cli_parse(argc, argv, &self.cli, stdout, stderr);
	if (r != CLI_RUN)
		return r;
	block_signals();
	/* Many short-lived threads, and no allocation where it would have to be fast: few heaps
	 * stay small. */
	(void) mallopt(M_ARENA_MAX, ARENAS);
	/* Nor by huge pages: the kernel would put one where a few small ones are in use, and all of
	 * it would be resident. */
	(void) prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	(void) log_start();
	load_settings(&self);
	r = acquire_instance(&self);
	if (r < 0) {
		log_stop();
		return r == -EBUSY ? CLI_EXIT_INSTANCE : CLI_EXIT_FAILURE;
	}
	r = start(&self);
	if (r >= 0)
		r = run(&self);
	clean = take_apart(&self);
	if (self.event)
		log_full(
			TCMU_LOG_INFO, NULL, NULL, LOG_ID_DAEMON_STOPPED,
			"stopped%s; the main loop was held up for %.1f ms at most",
			clean ? "" : " without all backends", (double) self.longest_stall / 1000);
	log_stop();
	if (!clean)
		_exit(r < 0 ? CLI_EXIT_FAILURE : r);
	instance_release(&self.instance);
	return r < 0 ? CLI_EXIT_FAILURE : r;
}
