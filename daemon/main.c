/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcmud: connects the parts, runs the event loop, and ends in good order.
 *
 * base/priority.h has the order of the event loop. Nothing on it waits. The longest time that it
 * was blocked is measured and logged.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <systemd/sd-event.h>
#include <tcmu/module.h>

#include "base/clock.h"
#include "base/jobs.h"
#include "base/log.h"
#include "base/priority.h"
#include "base/thread.h"
#include "base/version.h"
#include "config/handlers.h"
#include "config/settings-watch.h"
#include "config/settings.h"
#include "device/manager.h"
#include "program/cli.h"
#include "program/instance.h"
#include "program/module-wait.h"
#include "program/notify.h"
#include "program/process.h"
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
	struct handlers *handlers;
	struct manager *manager;
	struct tcmu_dbus *bus;
	struct methods *methods;
	struct control_socket *control_socket;
	struct tcmud_dbus tcmud_dbus;
	struct settings_watch *settings_watch;
	struct module_wait *module_wait; /* NULL: the module was there */
	bool module_came_late;           /* after the start */
	bool ready;
	bool stopping;
	uint64_t longest_stall; /* µs that the event loop was blocked at most */
	int schedstat;          /* /proc/thread-self/schedstat of the main thread, or -1 */
};

/* ------- settings ------- */

static void on_settings_warning(void *userdata, unsigned line, const char *text)
{
	const struct daemon *self = userdata;

	if (line)
		log_warning("%s:%u: %s", self->cli.config, line, text);
	else
		log_warning("%s: %s", self->cli.config, text);
}

static void on_setting_changed(
	void *userdata, const char *key, const char *before, const char *after)
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

static void reload_settings(void *userdata)
{
	struct daemon *self = userdata;
	struct settings settings = self->settings;
	int r = settings_load(self->cli.config, &settings, on_settings_warning, self);

	assert(thread_is_main());
	if (r < 0 && r != -ENOENT)
		return;
	cli_override(&self->cli, &settings);
	settings_compare(&self->settings, &settings, on_setting_changed, NULL);
	self->settings = settings;
	log_set_level(settings.log_level);
	set_log_dir(&settings);
}

static void load_settings(struct daemon *self)
{
	settings_defaults(&self->settings);
	if (settings_load(self->cli.config, &self->settings, on_settings_warning, self) ==
		    -ENOENT &&
	    self->cli.config_given)
		log_warning(
			"%s does not exist: all settings have their defaults", self->cli.config);
	cli_override(&self->cli, &self->settings);
	log_set_level(self->settings.log_level);
	set_log_dir(&self->settings);
}

/* ------- reports to the service manager ------- */

static void report_status(struct daemon *self)
{
	unsigned served, failed, orphans;

	assert(thread_is_main() && self->manager);
	manager_count(self->manager, &served, &failed, &orphans);
	if (self->stopping)
		notify_status("Stopping; %u devices are still being released", served);
	else if (failed || orphans)
		notify_status(
			"Serving %u devices; %u have failed, %u are orphaned", served, failed,
			orphans);
	else
		notify_status("Serving %u devices", served);
}

static void on_devices_changed(void *userdata)
{
	struct daemon *self = userdata;

	if (self->manager)
		report_status(self);
}

static void on_unhandled_subtype(void *userdata, const char *subtype)
{
	struct daemon *self = userdata;

	if (self->bus)
		tcmu_dbus_show_subtype(self->bus, subtype);
}

static void on_bus_state(void *userdata, enum tcmu_dbus_state state)
{
	struct daemon *self = userdata;

	(void) state;
	assert(!self->stopping);
	if (self->ready)
		return;
	self->ready = true;
	log_full(
		TCMU_LOG_INFO, NULL, NULL, LOG_ID_DAEMON_READY, "tcmud %s is ready",
		version_string());
	report_status(self);
	notify_ready();
}

/* ------- the end ------- */

static void on_all_stopped(void *userdata)
{
	struct daemon *self = userdata;

	assert(self->stopping);
	(void) sd_event_exit(self->event, 0);
}

static int on_stop_signal(
	sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *self = userdata;

	(void) source;
	if (self->stopping) {
		log_warning("stopping at once: a second signal, %u", info->ssi_signo);
		return sd_event_exit(self->event, 1);
	}
	log_info("stopping: signal %u", info->ssi_signo);
	self->stopping = true;
	notify_stopping();
	module_wait_free(self->module_wait);
	self->module_wait = NULL;
	if (!self->manager)
		return sd_event_exit(self->event, 0);
	/* The bus must not direct new callers to a daemon that stops. */
	tcmu_dbus_free(self->bus);
	self->bus = NULL;
	manager_stop(self->manager, on_all_stopped, self);
	return 0;
}

static void watch_settings(struct daemon *self)
{
	int r = self->settings_watch ? settings_watch_renew(self->settings_watch)
				     : settings_watch_new(
					       self->event, self->cli.config, reload_settings, self,
					       &self->settings_watch);

	if (r < 0)
		log_warning(
			"cannot watch %s for changes: %s; send SIGHUP after a change",
			self->cli.config, strerror(-r));
}

/* The watch first: so no change between both is missed. */
static int on_hangup_signal(
	sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	(void) source;
	(void) info;
	log_reopen();
	watch_settings(userdata);
	reload_settings(userdata);
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
		log_warning("cannot raise the limit of open files: %s", strerror(errno));
}

static int make_event_loop(struct daemon *self)
{
	static const struct {
		int signal;
		sd_event_signal_handler_t handler;
	} signals[] = {
		{SIGTERM, on_stop_signal}, {SIGINT, on_stop_signal}, {SIGHUP, on_hangup_signal}};
	int r = sd_event_default(&self->event);

	for (size_t i = 0; r >= 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		r = sd_event_add_signal(
			self->event, NULL, signals[i].signal, signals[i].handler, self);
	if (r >= 0)
		r = mailbox_new(self->event, PRIORITY_POSTS, &self->mailbox);
	if (r >= 0)
		(void) notify_start(self->event);
	return r;
}

static int start_manager(struct daemon *self)
{
	struct manager_setup setup = {
		.event = self->event,
		.mailbox = self->mailbox,
		.handlers = self->handlers,
		.settings = &self->settings,
		.run_dir = RUN_DIR,
		.state_dir = STATE_DIR,
		.changed = on_devices_changed,
		.unhandled_subtype = on_unhandled_subtype,
		.userdata = self,
	};

	assert(self->event && self->mailbox && self->handlers && !self->manager);
	return manager_new(&setup, &self->manager);
}

static int on_bus_connected(void *userdata, sd_bus *connection, struct callers *callers)
{
	struct daemon *self = userdata;

	return self->methods ? tcmud_dbus_add(&self->tcmud_dbus, connection, callers) : 0;
}

static int start_bus(struct daemon *self)
{
	struct tcmu_dbus_setup setup = {
		.event = self->event,
		.mailbox = self->mailbox,
		.handlers = self->handlers,
		.settings = &self->settings,
		.changed = on_bus_state,
		.connected = on_bus_connected,
		.userdata = self,
	};
	int r;

	assert(self->manager && !self->bus);
	self->tcmud_dbus = (struct tcmud_dbus){.manager = self->manager, .methods = self->methods};
	r = tcmu_dbus_new(&setup, &self->bus);

	if (r >= 0)
		manager_reconcile(self->manager); /* shows the subtypes in use on the bus */
	return r;
}

static void on_answered(void *client, char *text)
{
	control_socket_reply(client, text);
}

static void on_request(
	void *userdata, struct control_client *client, const char *request, size_t length)
{
	struct daemon *self = userdata;

	assert(self->methods);
	methods_call(self->methods, request, length, on_answered, client);
}

/* Without the control socket the daemon serves all the same. */
static void start_control(struct daemon *self)
{
	struct methods_setup setup = {
		.event = self->event,
		.mailbox = self->mailbox,
		.handlers = self->handlers,
		.settings = &self->settings,
		.manager = self->manager,
		.longest_stall = &self->longest_stall,
	};
	int r;

	assert(self->manager && !self->methods);
	self->methods = methods_new(&setup);
	r = control_socket_new(
		self->event, CONTROL_SOCKET_NAME, on_request, self, &self->control_socket);
	if (r < 0)
		log_warning(
			"cannot create the control socket %s: %s; tcmuctl cannot reach this daemon",
			CONTROL_SOCKET_NAME, strerror(-r));
}

/* Once the kernel has the module. -errno: the kernel's events cannot be received yet. */
static int daemon_serve(void *userdata)
{
	struct daemon *self = userdata;
	int r = start_manager(self);

	if (r < 0)
		return r;
	start_control(self);
	r = start_bus(self);
	if (r < 0) {
		log_crit("cannot prepare the connection to the bus: %s", strerror(-r));
		(void) sd_event_exit(self->event, CLI_EXIT_FAILURE);
	}
	return 0;
}

/* Without the module there is no device to serve, and nothing that is ordered after this service
 * gains from waiting for it: it is ready for the service manager, and says what it waits for. */
static void on_module_missing(void *userdata, int error)
{
	const char *why = error == -ENOENT ? "this kernel does not have it" : strerror(-error);

	(void) userdata;
	log_crit(
		"cannot use the kernel module target_core_user: %s; load it (modprobe "
		"target_core_user), the daemon waits for it",
		why);
	notify_status("Waiting for the kernel module target_core_user: %s", why);
	notify_ready();
}

/* A sandbox makes the module's parameters writable only where they are there when the service
 * starts. Started again, the service has them. */
static int daemon_serve_late(void *userdata)
{
	struct daemon *self = userdata;
	int r = daemon_serve(self);

	assert(self->module_wait);
	if (r != -EROFS || !self->module_came_late || !getenv("INVOCATION_ID"))
		return r;
	log_warning(
		"the kernel module target_core_user has come, and the sandbox of this process does "
		"not let it use it: tcmud ends, and systemd starts it again");
	(void) sd_event_exit(self->event, CLI_EXIT_FAILURE);
	return 0;
}

static int wait_for_module(struct daemon *self, int error)
{
	struct module_wait_setup setup = {
		.event = self->event,
		.mailbox = self->mailbox,
		.load = tcmu_module_load,
		.serve = daemon_serve_late,
		.waiting = on_module_missing,
		.userdata = self,
		.first_usec = MODULE_WAIT_USEC_MIN,
	};

	self->module_came_late = error != -EROFS;
	return module_wait_new(&setup, error, &self->module_wait);
}

static int daemon_start(struct daemon *self)
{
	int r = make_event_loop(self);

	if (r < 0) {
		log_crit("cannot create the event loop: %s", strerror(-r));
		return r;
	}
	raise_file_limit(self);
	self->handlers = handlers_new();
	(void) handlers_load(self->handlers, self->cli.handler_path);
	r = tcmu_module_load();
	if (r >= 0)
		r = daemon_serve(self);
	if (r < 0)
		r = wait_for_module(self, r);
	if (r >= 0)
		watch_settings(self);
	return r;
}

/* ------- the event loop ------- */

/* µs that this thread has been ready to run without a CPU; 0 where the kernel does not count it. */
static uint64_t starved_us(const struct daemon *self)
{
	char text[64], *end;
	ssize_t n = pread(self->schedstat, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	(void) strtoull(text, &end, 10); /* the time that it has run */
	return strtoull(end, NULL, 10) / 1000;
}

/* Time without a CPU does not count: the event loop did not cause it. */
static void measure_stall(struct daemon *self, uint64_t began, uint64_t starved)
{
	uint64_t took = clock_since(clock_now_us(), began);

	assert(thread_is_main());
	starved = starved_us(self) - starved;
	took = took > starved ? took - starved : 0;
	if (took <= self->longest_stall)
		return;
	self->longest_stall = took;
	if (took > STALL_WARN_US)
		log_warning(
			"the event loop was blocked for %llu ms", (unsigned long long) took / 1000);
}

static int daemon_run(struct daemon *self)
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
		began = clock_now_us();
		starved = starved_us(self);
		r = sd_event_dispatch(self->event);
		if (r < 0)
			return r;
		measure_stall(self, began, starved);
	}
	(void) sd_event_get_exit_code(self->event, &code);
	return code;
}

/* False: a backend still hangs; the memory that its threads use must stay. */
static bool daemon_free(struct daemon *self)
{
	unsigned served = 0, failed = 0, orphans = 0;

	if (self->manager)
		manager_count(self->manager, &served, &failed, &orphans);
	settings_watch_free(self->settings_watch);
	module_wait_free(self->module_wait);
	tcmu_dbus_free(self->bus);
	methods_free(self->methods);
	control_socket_free(self->control_socket);
	manager_end(self->manager);
	notify_end();
	if (served || failed || orphans || (self->manager && !manager_is_empty(self->manager)) ||
	    (self->handlers && handlers_given_up(self->handlers)))
		return false;
	manager_free(self->manager);
	mailbox_free(self->mailbox);
	handlers_free(self->handlers);
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
}

static int acquire_instance(struct daemon *self)
{
	pid_t other = 0;
	int r = instance_acquire(&self->instance, INSTANCE_LOCK_FILE, INSTANCE_SOCKET, &other);

	if (r == -EBUSY && other)
		log_crit(
			"another daemon serves this kernel already: process %d; stop it first",
			(int) other);
	else if (r == -EBUSY)
		log_crit("another daemon serves this kernel already; stop it first");
	else if (r < 0)
		log_crit(
			"cannot find out whether another daemon serves this kernel (lock file %s, "
			"socket @%s): %s",
			INSTANCE_LOCK_FILE, INSTANCE_SOCKET, strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	static struct daemon self = {.instance = INSTANCE_INIT};
	bool clean;
	int r;

	if (process_fill_standard_files() < 0)
		return CLI_EXIT_FAILURE;
	r = cli_parse(argc, argv, &self.cli, stdout, stderr);
	if (r != CLI_RUN)
		return r;
	process_set_signals();
	block_signals();
	/* There are many short-lived threads, and the I/O path does not allocate: with few arenas
	 * the heap stays small. */
	(void) mallopt(M_ARENA_MAX, ARENAS);
	/* The kernel would use a huge page where a few small ones are in use, and all of it would
	 * be resident. */
	(void) prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	(void) log_start();
	load_settings(&self);
	r = acquire_instance(&self);
	if (r < 0) {
		log_stop();
		return r == -EBUSY ? CLI_EXIT_INSTANCE : CLI_EXIT_FAILURE;
	}
	r = daemon_start(&self);
	if (r >= 0)
		r = daemon_run(&self);
	clean = daemon_free(&self);
	if (self.event)
		log_full(
			TCMU_LOG_INFO, NULL, NULL, LOG_ID_DAEMON_STOPPED,
			"stopped%s; the event loop was blocked for %.1f ms at most",
			clean ? "" : " while backends still hang",
			(double) self.longest_stall / 1000);
	log_stop();
	if (!clean)
		_exit(r < 0 ? CLI_EXIT_FAILURE : r);
	instance_release(&self.instance);
	return r < 0 ? CLI_EXIT_FAILURE : r;
}
