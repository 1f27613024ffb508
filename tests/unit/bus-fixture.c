/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "shell-fixture.h"

#define STATES_MAX 16

/* ------- the bus ------- */

static pid_t daemon_pid;
static sd_bus *connection;

const char *private_bus_socket(void)
{
	return fixture_path("bus");
}

void private_bus_prepare(const char *names)
{
	char address[512], config[2048];

	(void) snprintf(address, sizeof(address), "unix:path=%s", private_bus_socket());
	assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1), 0);
	(void) snprintf(
		config, sizeof(config),
		"<busconfig><type>session</type><listen>%s</listen><policy context=\"default\">"
		"<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>%s"
		"</policy></busconfig>",
		address, names);
	fixture_write("bus.conf", config);
}

void private_bus_start(void)
{
	char config[512];
	int ready[2];
	char text[256];

	(void) snprintf(config, sizeof(config), "--config-file=%s", fixture_path("bus.conf"));
	assert_int_equal(pipe(ready), 0);
	(void) unlink(private_bus_socket());
	daemon_pid = fork();
	assert_true(daemon_pid >= 0);
	if (daemon_pid == 0) {
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void) dup2(ready[1], STDOUT_FILENO);
		(void) execlp(
			"dbus-daemon", "dbus-daemon", config, "--nofork", "--print-address",
			(char *) NULL);
		_exit(127);
	}
	(void) close(ready[1]);
	/* It listens when it has printed its address. */
	assert_true(read(ready[0], text, sizeof(text)) > 0);
	(void) close(ready[0]);
}

void private_bus_stop(void)
{
	connection = sd_bus_close_unref(connection);
	if (daemon_pid > 0) {
		assert_int_equal(kill(daemon_pid, SIGKILL), 0);
		assert_int_equal(waitpid(daemon_pid, NULL, 0), daemon_pid);
	}
	daemon_pid = 0;
}

sd_bus *client(void)
{
	if (!connection)
		assert_true(sd_bus_open_system(&connection) >= 0);
	return connection;
}

/* ------- handlers ------- */

static sem_t gate;

static int check_by_target(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	if (strcmp(config->target, "good") == 0)
		return 0;
	(void) snprintf(
		reason->text, sizeof(reason->text), "%s",
		strcmp(config->target, "bytes") == 0 ? "\xff cut \xc3" : "no such file");
	return -ENOENT;
}

static int check_hangs(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	(void) config;
	(void) reason;
	while (sem_wait(&gate) < 0)
		;
	return 0;
}

static int never_open(
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

static void never_close(void *backend)
{
	(void) backend;
}

static void never_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	(void) io;
}

static void add_handler(
	struct registry *registry, const char *subtype,
	int (*check)(const struct tcmu_config *, struct tcmu_reason *))
{
	struct tcmu_handler handler = {
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(handler),
		.subtype = subtype,
		.config_desc = "A path \xe2\x80\x93 and more.",
		.check_config = check,
		.open = never_open,
		.close = never_close,
		.submit = never_submit,
	};
	struct tcmu_reason reason;

	assert_int_equal(registry_add(registry, &handler, "the test", &reason), 0);
}

/* ------- the daemon's main loop ------- */

static struct {
	pthread_t thread;
	sd_event *event;
	struct mailbox *mailbox;
	struct registry *registry;
	struct settings settings;
	struct bus *bus;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum bus_state states[STATES_MAX];
	unsigned told, taken;
	unsigned jobs;
	void (*job_done)(struct job *job);
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_changed(void *userdata, enum bus_state state)
{
	(void) userdata;
	pthread_mutex_lock(&server.lock);
	assert_true(server.told < STATES_MAX);
	server.states[server.told++] = state;
	pthread_cond_signal(&server.changed);
	pthread_mutex_unlock(&server.lock);
}

enum bus_state server_await_state(void)
{
	enum bus_state state;

	pthread_mutex_lock(&server.lock);
	while (server.taken == server.told)
		pthread_cond_wait(&server.changed, &server.lock);
	state = server.states[server.taken++];
	pthread_mutex_unlock(&server.lock);
	return state;
}

/* Every job of the test is a check; they are counted, so that the end can wait for them. */
int __real_job_start(struct mailbox *mailbox, struct job *job, const char *name);
int __wrap_job_start(struct mailbox *mailbox, struct job *job, const char *name);

static void job_ended(struct job *job)
{
	server.job_done(job);
	pthread_mutex_lock(&server.lock);
	server.jobs--;
	pthread_cond_signal(&server.changed);
	pthread_mutex_unlock(&server.lock);
}

int __wrap_job_start(struct mailbox *mailbox, struct job *job, const char *name)
{
	pthread_mutex_lock(&server.lock);
	server.jobs++;
	pthread_mutex_unlock(&server.lock);
	server.job_done = job->done;
	job->done = job_ended;
	return __real_job_start(mailbox, job, name);
}

static void await_jobs(void)
{
	pthread_mutex_lock(&server.lock);
	while (server.jobs)
		pthread_cond_wait(&server.changed, &server.lock);
	pthread_mutex_unlock(&server.lock);
}

static void *server_main(void *arg)
{
	(void) sd_event_loop(server.event);
	return arg;
}

void server_start(unsigned check_timeout_ms)
{
	struct bus_setup setup = {.changed = on_changed};

	log_set_level(TCMU_LOG_CRIT);
	assert_int_equal(sem_init(&gate, 0, 0), 0);
	server.told = server.taken = 0;
	settings_defaults(&server.settings);
	server.settings.check_timeout_ms = check_timeout_ms;
	assert_true(sd_event_new(&server.event) >= 0);
	assert_int_equal(mailbox_new(server.event, 0, &server.mailbox), 0);
	assert_int_equal(registry_new(&server.registry), 0);
	add_handler(server.registry, "file", check_by_target);
	add_handler(server.registry, "hang", check_hangs);
	add_handler(server.registry, "easy", NULL);
	setup.event = server.event;
	setup.mailbox = server.mailbox;
	setup.registry = server.registry;
	setup.settings = &server.settings;
	assert_int_equal(bus_new(&setup, &server.bus), 0);
	assert_int_equal(server.told, 0);
	assert_int_equal(pthread_create(&server.thread, NULL, server_main, NULL), 0);
}

struct errand {
	struct post post;
	void (*function)(struct bus *bus);
	sem_t done;
};

static void run_errand(struct post *post)
{
	struct errand *errand = (struct errand *) post;

	errand->function(server.bus);
	assert_int_equal(sem_post(&errand->done), 0);
}

void server_run(void (*function)(struct bus *bus))
{
	struct errand errand = {.post = {.run = run_errand}, .function = function};

	assert_int_equal(sem_init(&errand.done, 0, 0), 0);
	mailbox_post(server.mailbox, &errand.post);
	while (sem_wait(&errand.done) < 0)
		assert_int_equal(errno, EINTR);
	(void) sem_destroy(&errand.done);
}

static void leave(struct bus *bus)
{
	bus_free(bus);
	server.bus = NULL;
}

void server_leave(void)
{
	server_run(leave);
}

static void end_loop(struct bus *bus)
{
	(void) bus;
	assert_true(sd_event_exit(server.event, 0) >= 0);
}

void server_release(unsigned cnt)
{
	while (cnt--)
		assert_int_equal(sem_post(&gate), 0);
}

void server_stop(void)
{
	await_jobs();
	server_run(end_loop);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	bus_free(server.bus);
	server.bus = NULL;
	registry_free(server.registry);
	mailbox_free(server.mailbox);
	server.event = sd_event_unref(server.event);
	(void) sem_destroy(&gate);
}
