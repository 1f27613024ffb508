/* SPDX-License-Identifier: Apache-2.0 */
/* See daemon.h. */
#include "daemon.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tcmu/module.h>

#include "backend.h"
#include "base/log.h"
#include "device/manager.h"
#include "event-loop.h"
#include "fds.h"
#include "kernel.h"
#include "notes/notes.h"
#include "sim.h"
#include "threads.h"

#define CALLS_MAX 64
#define KNOWN_MAX 64

enum call_kind {
	CALL_STOP,
	CALL_REOPEN,
	CALL_FENCE,
	CALL_FAIL,
	CALL_SIZE,
};

struct call {
	enum call_kind kind;
	unsigned store;
	char name[16];
};

struct daemon {
	struct sim_thread *main; /* its main thread */
	enum daemon_state state;
	struct daemon_options options;
	unsigned number; /* of this process */
	struct settings settings;
	struct handlers *handlers;
	struct mailbox *mailbox;
	struct manager *manager;
	bool exits;
	struct call calls[CALLS_MAX];
	unsigned call_cnt;
	char run_dir[64];
	struct {
		const struct device *device;
		enum device_state state;
	} known[KNOWN_MAX];
	unsigned known_cnt;
	struct notes *notes[KNOWN_MAX]; /* that are mapped */
};

static struct daemon *the_daemon;

/* ------- static variables ------- */

extern char __data_start, _edata, __bss_start, _end;
static char *statics;

static size_t statics_size(void)
{
	return (uintptr_t) &_end - (uintptr_t) &__data_start;
}

void daemon_remember_statics(void)
{
	char *copy = malloc(statics_size());

	if (!copy)
		abort();
	the_daemon = calloc(1, sizeof(*the_daemon));
	statics = copy;
	memcpy(copy, &__data_start, statics_size());
}

static void daemon_restore_statics(void)
{
	memcpy(&__data_start, statics, statics_size());
}

/* ------- the log ------- */

void log_emit(const struct log_where *where, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sim_trace(
		"tcmud: %s%s%s", where->device ? where->device : "", where->device ? ": " : "",
		text);
}

bool log_enabled(int level)
{
	(void) level;
	return sim_tracing();
}

const atomic_bool *log_scsi(void)
{
	static const atomic_bool no;

	return &no;
}

bool log_limit_pass(struct log_limit *limit, unsigned *more)
{
	(void) limit;
	*more = 0;
	return true;
}

/* ------- mappings, which end with the process ------- */

int __real_notes_open(const char *path, const char *device, struct notes **notes);
void __real_notes_close(struct notes *notes);
int __wrap_notes_open(const char *path, const char *device, struct notes **notes);
void __wrap_notes_close(struct notes *notes);

static void daemon_replace_notes(const struct notes *from, struct notes *to)
{
	for (unsigned i = 0; i < KNOWN_MAX; i++)
		if (the_daemon->notes[i] == from) {
			the_daemon->notes[i] = to;
			return;
		}
	abort();
}

int __wrap_notes_open(const char *path, const char *device, struct notes **notes)
{
	int r = __real_notes_open(path, device, notes);

	if (r == 0)
		daemon_replace_notes(NULL, *notes);
	return r;
}

void __wrap_notes_close(struct notes *notes)
{
	if (notes)
		daemon_replace_notes(notes, NULL);
	__real_notes_close(notes);
}

static void daemon_unmap_notes(void)
{
	for (unsigned i = 0; i < KNOWN_MAX; i++)
		__wrap_notes_close(the_daemon->notes[i]);
}

/* ------- the main thread ------- */

/* Notes which state has followed which. */
static void daemon_note_states(void *userdata)
{
	struct daemon *daemon = userdata;
	const struct device *device;
	unsigned cnt = 0;

	for (unsigned i = 0; daemon->manager && (device = manager_device(daemon->manager, i));
	     i++) {
		enum device_state state = device_state(device);

		for (unsigned j = 0; j < daemon->known_cnt; j++)
			if (daemon->known[j].device == device && daemon->known[j].state != state)
				sim->report->transitions[daemon->known[j].state] |= 1u << state;
	}
	for (unsigned i = 0; daemon->manager && (device = manager_device(daemon->manager, i));
	     i++) {
		if (cnt == KNOWN_MAX)
			break;
		daemon->known[cnt].device = device;
		daemon->known[cnt++].state = device_state(device);
	}
	daemon->known_cnt = cnt;
}

static void daemon_stopped(void *userdata)
{
	struct daemon *daemon = userdata;

	daemon->exits = true;
}

static void daemon_take_call(struct daemon *daemon, const struct call *call)
{
	struct device *device;
	unsigned cnt;

	switch (call->kind) {
	case CALL_STOP:
		if (daemon->state == DAEMON_SERVES) {
			daemon->state = DAEMON_STOPS;
			manager_stop(daemon->manager, daemon_stopped, daemon);
		}
		break;
	case CALL_REOPEN:
		device = manager_find(daemon->manager, call->name, &cnt);
		if (device)
			(void) device_reopen(device);
		break;
	case CALL_SIZE:
		backends_report_size(call->store);
		break;
	case CALL_FENCE:
	case CALL_FAIL:
		backends_report(call->store, call->kind == CALL_FENCE);
		break;
	}
}

static void daemon_take_calls(struct daemon *daemon)
{
	while (daemon->call_cnt) {
		struct call call = daemon->calls[0];

		memmove(daemon->calls, daemon->calls + 1,
			--daemon->call_cnt * sizeof(daemon->calls[0]));
		daemon_take_call(daemon, &call);
	}
}

/* The process is over, and its threads with it. */
static void daemon_exited(void *arg)
{
	struct daemon *daemon = arg;

	backends_killed();
	threads_kill_all();
	daemon_unmap_notes();
	event_loop_reset();
	fds_reset();
	kernel_check_owed(daemon->number);
	kernel_daemon_killed();
	daemon_restore_statics();
	daemon->state = DAEMON_OFF;
	sim_trace("the daemon has exited");
}

static void daemon_begin(struct daemon *daemon)
{
	sd_event *event = (sd_event *) (void *) daemon;
	struct manager_setup setup = {
		.event = event,
		.settings = &daemon->settings,
		.run_dir = daemon->run_dir,
		.state_dir = daemon->run_dir,
		.changed = daemon_note_states,
		.userdata = daemon,
	};

	settings_defaults(&daemon->settings);
	daemon->settings.queue_depth = daemon->options.depth;
	daemon->settings.busy_poll = daemon->options.busy_poll;
	if (daemon->options.xcopy_all)
		daemon->settings.extended_copy = XCOPY_ALL;
	daemon->handlers = handlers_new();
	backends_add(daemon->handlers);
	if (mailbox_new(event, SD_EVENT_PRIORITY_IMPORTANT + 1, &daemon->mailbox) < 0)
		abort();
	setup.mailbox = daemon->mailbox;
	setup.handlers = daemon->handlers;
	/* module-wait.c tries again, too. */
	while (tcmu_module_load() < 0 || manager_new(&setup, &daemon->manager) < 0)
		sim_sleep(SIM_NS_PER_S);
}

static void *daemon_main(void *arg)
{
	struct daemon *daemon = arg;

	daemon_begin(daemon);
	daemon->state = DAEMON_SERVES;
	kernel_daemon_began(daemon->number);
	while (!daemon->exits) {
		daemon_take_calls(daemon);
		event_loop_run();
	}
	if (manager_is_empty(daemon->manager)) {
		/* Threads of jobs that have ended may still return. */
		sim_sleep(500 * SIM_NS_PER_MS);
		manager_free(daemon->manager);
		handlers_free(daemon->handlers);
		mailbox_free(daemon->mailbox);
		if (event_loop_sources())
			sim_fail("%u event sources are left at the end", event_loop_sources());
		if (fds_count())
			sim_fail("%u descriptors are left at the end", fds_count());
	}
	daemon->manager = NULL;
	sim_at(sim_now(), daemon_exited, daemon);
	for (;;)
		(void) sim_block(daemon, 0);
}

/* ------- from the world ------- */

/* Each process has its directory, and each life finds it empty. */
static void daemon_make_directory(struct daemon *daemon)
{
	char path[sizeof(daemon->run_dir) + NAME_MAX + 2];
	const struct dirent *entry;
	DIR *directory;

	(void) snprintf(
		daemon->run_dir, sizeof(daemon->run_dir), "%s/%d", getenv("TCMUD_SIM_DIR"),
		(int) getpid());
	(void) mkdir(daemon->run_dir, 0700);
	directory = opendir(daemon->run_dir);
	if (!directory)
		abort();
	while ((entry = readdir(directory))) {
		(void) snprintf(path, sizeof(path), "%s/%s", daemon->run_dir, entry->d_name);
		(void) unlink(path);
	}
	closedir(directory);
}

void daemon_reset(const struct daemon_options *options)
{
	daemon_unmap_notes();
	*the_daemon = (struct daemon){.options = *options};
	daemon_make_directory(the_daemon);
	daemon_restore_statics();
}

void daemon_start(void)
{
	struct daemon *daemon = the_daemon;

	if (daemon->state != DAEMON_OFF)
		return;
	sim_trace("the daemon starts");
	daemon->state = DAEMON_STARTS;
	daemon->number++;
	daemon->exits = false;
	daemon->call_cnt = daemon->known_cnt = 0;
	daemon->manager = NULL;
	daemon->main = threads_spawn(daemon_main, daemon, true);
	threads_spawn(backends_main, NULL, true);
}

void daemon_kill(void)
{
	if (the_daemon->state == DAEMON_OFF)
		return;
	sim_trace("the daemon is killed");
	sim->report->kills++;
	backends_killed();
	threads_kill_all();
	daemon_unmap_notes();
	event_loop_reset();
	fds_reset();
	kernel_daemon_killed();
	daemon_restore_statics();
	the_daemon->manager = NULL;
	the_daemon->state = DAEMON_OFF;
}

static void daemon_call(struct call call)
{
	struct daemon *daemon = the_daemon;

	/* A signal that comes during the start is taken after it. */
	if (daemon->state != DAEMON_SERVES &&
	    !(daemon->state == DAEMON_STARTS && call.kind == CALL_STOP))
		return;
	if (daemon->call_cnt == CALLS_MAX)
		return;
	daemon->calls[daemon->call_cnt++] = call;
	event_loop_wake();
}

void daemon_stop(void)
{
	sim_trace("the daemon is to stop");
	daemon_call((struct call){.kind = CALL_STOP});
}

void daemon_reopen(const char *name)
{
	struct call call = {.kind = CALL_REOPEN};

	(void) snprintf(call.name, sizeof(call.name), "%s", name);
	daemon_call(call);
}

void daemon_report(unsigned store, bool fenced)
{
	daemon_call((struct call){.kind = fenced ? CALL_FENCE : CALL_FAIL, .store = store});
}

void daemon_report_size(unsigned store)
{
	daemon_call((struct call){.kind = CALL_SIZE, .store = store});
}

enum daemon_state daemon_state(void)
{
	return the_daemon->state;
}

bool daemon_on_main_thread(void)
{
	return the_daemon->main && the_daemon->main == threads_self();
}

bool daemon_is_empty(void)
{
	return manager_is_empty(the_daemon->manager);
}
