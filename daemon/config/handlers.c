/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading plugins. A plugin's description is copied as far as both sides know it, so that older and
 * newer plugins look alike from here on.
 */
#include "config/handlers.h"

#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "base/log.h"
#include "base/reason.h"
#include "base/thread.h"
#include "config/handler-call.h"
#include "config/options.h"

#define FILE_PREFIX   "handler_"
#define FILE_SUFFIX   ".so"
#define PEER_ENTRY    "handler_init" /* of a tcmu-runner plugin */

#define IO_PRIV_MAX   65536u
#define NAME_SIZE     64
#define STRUCTURE_MAX 16384u /* bytes of one structure of a plugin */
#define COUNTERS_MAX  64u
#define PROBLEM_MAX   (PATH_MAX + 512)

/* A plugin's struct tcmu_handler must reach at least so far: these members have no default. */
#define HANDLER_SIZE_MIN \
	(offsetof(struct tcmu_handler, submit) + sizeof(((struct tcmu_handler *) 0)->submit))

struct item {
	struct handlers_entry entry;
	struct tcmu_handler handler;
	struct tcmu_sizes sizes;
	struct tcmu_option *options; /* the tables in our layout; NULL: none */
	struct tcmu_counter *counters;
	char subtype[NAME_SIZE];
	char origin[PATH_MAX];
	char problem[PROBLEM_MAX];
};

struct handlers {
	GPtrArray *items; /* struct item, by subtype */
};

/* Handlers that have their own packages. */
static const struct {
	const char *subtype;
	const char *package;
} packaged[] = {{"rbd", "tcmud-rbd"}, {"nbd", "tcmud-nbd"}};

static void handlers_item_free(void *data)
{
	struct item *item = data;

	g_free(item->options);
	g_free(item->counters);
	g_free(item);
}

static struct item *item_at(const struct handlers *handlers, size_t index)
{
	return index < handlers->items->len ? g_ptr_array_index(handlers->items, index) : NULL;
}

static struct item *find_item(const struct handlers *handlers, const char *subtype)
{
	struct item *item;

	for (size_t i = 0; (item = item_at(handlers, i)); i++)
		if (strcmp(item->subtype, subtype) == 0)
			break;
	return item;
}

/* Inserts a new item by its subtype. It replaces one that is not usable. */
static void handlers_insert(struct handlers *handlers, struct item *item)
{
	struct item *old;
	size_t i = 0;

	while ((old = item_at(handlers, i)) && strcmp(old->subtype, item->subtype) < 0)
		i++;
	if (old && strcmp(old->subtype, item->subtype) == 0) {
		assert(!old->entry.handler);
		(void) g_ptr_array_remove_index(handlers->items, (guint) i);
	}
	g_ptr_array_insert(handlers->items, (gint) i, item);
	old = item_at(handlers, i + 1);
	assert(!old || strcmp(item->subtype, old->subtype) < 0);
}

/* Either problem or handler is NULL; origin may be. the handler's tables become the
 * item's. */
static void add_item(
	struct handlers *handlers, const char *subtype, const struct tcmu_handler *handler,
	const char *origin, const char *problem)
{
	struct item *item = g_new0(struct item, 1);

	assert(!handler == !!problem);
	assert(strlen(subtype) < sizeof(item->subtype));
	(void) snprintf(item->subtype, sizeof(item->subtype), "%s", subtype);
	(void) snprintf(item->origin, sizeof(item->origin), "%s", origin ? origin : "");
	(void) snprintf(item->problem, sizeof(item->problem), "%s", problem ? problem : "");
	if (handler) {
		item->handler = *handler;
		item->handler.subtype = item->subtype;
		item->sizes = *handler->sizes;
		item->handler.sizes = &item->sizes;
		item->options = (struct tcmu_option *) handler->options;
		item->counters = (struct tcmu_counter *) handler->counters;
	}
	item->entry = (struct handlers_entry){
		.subtype = item->subtype,
		.handler = handler ? &item->handler : NULL,
		.origin = origin ? item->origin : NULL,
		.problem = problem ? item->problem : NULL,
	};
	handlers_insert(handlers, item);
}

struct handlers *handlers_new(void)
{
	struct handlers *handlers = g_new0(struct handlers, 1);
	char problem[128];

	handlers->items = g_ptr_array_new_with_free_func(handlers_item_free);
	for (size_t i = 0; i < G_N_ELEMENTS(packaged); i++) {
		(void) snprintf(
			problem, sizeof(problem), "the %s handler is not installed (package %s)",
			packaged[i].subtype, packaged[i].package);
		add_item(handlers, packaged[i].subtype, NULL, NULL, problem);
	}
	return handlers;
}

void handlers_free(struct handlers *handlers)
{
	if (!handlers)
		return;
	for (size_t i = 0; !handler_call_any_runs() && i < handlers->items->len; i++) {
		const struct item *item = item_at(handlers, i);

		if (item->entry.handler && item->handler.fini)
			item->handler.fini();
	}
	g_ptr_array_unref(handlers->items);
	g_free(handlers);
}

/* ------- a plugin's description ------- */

/* Copies the plugin's description to a struct of our size, which must be all zero. */
static int copy_handler(
	const struct tcmu_handler *theirs, struct tcmu_handler *handler, struct tcmu_reason *reason)
{
	size_t size;

	if (theirs->abi != TCMU_HANDLER_ABI)
		return reason_refuse(
			reason, -EPROTO,
			"it is built for version %u of the handler interface, expected %u: rebuild "
			"it",
			theirs->abi, TCMU_HANDLER_ABI);
	if (theirs->size < HANDLER_SIZE_MIN)
		return reason_refuse(
			reason, -EPROTO, "its description has %u bytes, expected at least %zu",
			theirs->size, HANDLER_SIZE_MIN);
	size = theirs->size < sizeof(*handler) ? theirs->size : sizeof(*handler);
	assert(!handler->subtype);
	memcpy(handler, theirs, size);
	handler->size = sizeof(*handler);
	return 0;
}

/* The sizes of version 1 of the interface, for a plugin that records none. */
#define FIRST_SIZE(type, last) \
	((offsetof(struct type, last) + sizeof(((struct type *) 0)->last) + \
	  _Alignof(struct type) - 1) / \
	 _Alignof(struct type) * _Alignof(struct type))

static const struct tcmu_sizes first_sizes = {
	.size = sizeof(struct tcmu_sizes),
	.io = FIRST_SIZE(tcmu_io, dev),
	.aio = offsetof(struct tcmu_aio, engine) + 4 * sizeof(uintptr_t),
	.config = FIRST_SIZE(tcmu_config, must_exist),
	.reason = FIRST_SIZE(tcmu_reason, text),
	.backend_info = FIRST_SIZE(tcmu_backend_info, atomic_write),
	.option = FIRST_SIZE(tcmu_option, help),
	.option_value = FIRST_SIZE(tcmu_option_value, string),
	.counter = FIRST_SIZE(tcmu_counter, flags),
};

/* Sets sizes to the plugin's, or to those of version 1 as far as it records none. */
static int copy_sizes(
	const struct tcmu_sizes *theirs, struct tcmu_sizes *sizes, struct tcmu_reason *reason)
{
	uint32_t values[sizeof(*sizes) / sizeof(uint32_t)];
	uint32_t first[G_N_ELEMENTS(values)];

	*sizes = first_sizes;
	if (theirs)
		memcpy(sizes, theirs, MIN(theirs->size, sizeof(*sizes)));
	sizes->size = sizeof(*sizes);
	memcpy(values, sizes, sizeof(values));
	memcpy(first, &first_sizes, sizeof(first));
	for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
		if (values[i] < first[i] || values[i] > STRUCTURE_MAX)
			return reason_refuse(
				reason, -EPROTO,
				"it records a structure of %u bytes, expected %u to %u", values[i],
				first[i], STRUCTURE_MAX);
	return 0;
}

_Static_assert(offsetof(struct tcmu_option, name) == 0, "copy_table() reads it");
_Static_assert(offsetof(struct tcmu_counter, name) == 0, "copy_table() reads it");

/* A copy of the plugin's table, whose entries are stride bytes long, with entries of size bytes. An
 * entry begins with its name; that of the last one is NULL. NULL: none. */
static void *copy_table(const void *theirs, size_t stride, size_t size)
{
	const char *at = theirs, *name;
	GByteArray *table;

	if (!theirs)
		return NULL;
	table = g_byte_array_new();
	do {
		guint used = table->len;

		g_byte_array_set_size(table, used + (guint) size);
		memset(table->data + used, 0, size);
		memcpy(table->data + used, at, MIN(stride, size));
		memcpy(&name, at, sizeof(name));
		at += stride;
	} while (name);
	return g_byte_array_free(table, FALSE);
}

size_t handlers_counter_count(const struct tcmu_handler *handler)
{
	size_t count = 0;

	while (handler->counters && handler->counters[count].name)
		count++;
	return count;
}

static int check_counters(const struct tcmu_handler *handler, struct tcmu_reason *reason)
{
	size_t count = handlers_counter_count(handler);

	if (count > COUNTERS_MAX)
		return reason_refuse(
			reason, -EINVAL, "it has %zu counters, at most %u are possible", count,
			COUNTERS_MAX);
	for (size_t i = 0; i < count; i++) {
		const char *name = handler->counters[i].name;

		if (!options_name_valid(name))
			return reason_refuse(
				reason, -EINVAL,
				"the counter \"%.40s\" is invalid: expected 1 to 31 characters of "
				"[a-z0-9_]",
				name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(handler->counters[j].name, name) == 0)
				return reason_refuse(
					reason, -EINVAL, "the counter \"%s\" is there twice", name);
	}
	return 0;
}

static int check_handler(const struct tcmu_handler *handler, struct tcmu_reason *reason)
{
	if (!handler->subtype || !options_subtype_valid(handler->subtype))
		return reason_refuse(
			reason, -EINVAL,
			"its subtype is \"%.70s\", expected 1 to 63 characters of [a-z0-9_]",
			handler->subtype ? handler->subtype : "");
	if (!handler->open || !handler->close || !handler->submit)
		return reason_refuse(
			reason, -EINVAL, "it has no function %s",
			!handler->open            ? "open"
				: !handler->close ? "close"
						  : "submit");
	if (handler->threading < TCMU_HANDLER_ASYNC || handler->threading > TCMU_HANDLER_PARALLEL)
		return reason_refuse(
			reason, -EINVAL, "its member threading is %d, which is not known",
			(int) handler->threading);
	if (handler->io_priv_size > IO_PRIV_MAX)
		return reason_refuse(
			reason, -EINVAL,
			"it wants %u bytes for each request, at most %u are possible",
			handler->io_priv_size, IO_PRIV_MAX);
	if ((handler->flags & TCMU_HANDLER_RAW_CONFIG) && handler->options &&
	    handler->options[0].name)
		return reason_refuse(
			reason, -EINVAL,
			"it has options, and TCMU_HANDLER_RAW_CONFIG, which takes none");
	return check_counters(handler, reason) < 0 ? -EINVAL
						   : options_check_table(handler->options, reason);
}

int handlers_add(
	struct handlers *handlers, const struct tcmu_handler *theirs, const char *origin,
	struct tcmu_reason *reason)
{
	g_autofree struct tcmu_option *options = NULL;
	g_autofree struct tcmu_counter *counters = NULL;
	struct tcmu_handler handler = {0};
	struct tcmu_sizes sizes;
	struct item *other;
	int r;

	r = copy_handler(theirs, &handler, reason);
	if (r >= 0)
		r = copy_sizes(handler.sizes, &sizes, reason);
	if (r < 0)
		return r;
	handler.sizes = &sizes;
	options = copy_table(handler.options, sizes.option, sizeof(*options));
	handler.options = options;
	counters = copy_table(handler.counters, sizes.counter, sizeof(*counters));
	handler.counters = counters;
	r = check_handler(&handler, reason);
	if (r < 0)
		return r;
	assert(handler.subtype);
	other = find_item(handlers, handler.subtype);
	if (other && other->entry.handler)
		return reason_refuse(
			reason, -EEXIST, "the handler \"%s\" is already loaded, from %s",
			handler.subtype, other->origin);
	r = handler.init ? handler_call_init(&handler, reason) : 0;
	if (r < 0)
		return r;
	add_item(handlers, handler.subtype, &handler, origin, NULL);
	options = NULL; /* the item's now */
	counters = NULL;
	return 0;
}

/* ------- files ------- */

/* The loader's messages mostly begin with the path, which our messages name already. */
static const char *without_path(const char *message, const char *path)
{
	size_t len = strlen(path);

	return strncmp(message, path, len) == 0 && strncmp(message + len, ": ", 2) == 0
		? message + len + 2
		: message;
}

/* Whether only root and our user can change it. A group's write permission is fine for our group,
 * in which others may be by choice. In a sticky directory, files of root stay. */
static bool plugin_is_protected(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return false;
	if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX))
		return true;
	return !(st->st_mode & S_IWOTH) &&
		(!(st->st_mode & S_IWGRP) || st->st_gid == 0 || st->st_gid == getegid());
}

/* A plugin is code of the daemon: neither it nor the directory where it lies may be changed by
 * others. So nobody can exchange it between this check and its loading, either. real: the path
 * without symbolic links. */
static int plugin_check(char *real, struct tcmu_reason *reason)
{
	char *slash = strrchr(real, '/');
	struct stat st;

	assert(slash);
	/* Not opened before it is known to be a file. */
	if (stat(real, &st) < 0)
		return reason_refuse(reason, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return reason_refuse(reason, -ELIBACC, "it is not a regular file");
	if (!plugin_is_protected(&st))
		return reason_refuse(
			reason, -EPERM,
			"others than root may change it: chown root and chmod go-w %s", real);
	*slash = '\0';
	if (stat(slash == real ? "/" : real, &st) < 0)
		return reason_refuse(reason, -errno, "%s", strerror(errno));
	if (!plugin_is_protected(&st))
		return reason_refuse(
			reason, -EPERM,
			"others than root may change its directory: chown root and chmod go-w %s",
			slash == real ? "/" : real);
	*slash = '/';
	return 0;
}

static int load_plugin(struct handlers *handlers, const char *path, struct tcmu_reason *reason)
{
	tcmu_handler_entry_fn *entry;
	const struct tcmu_handler *theirs;
	char real[PATH_MAX];
	void *library;
	int r;

	if (!realpath(path, real))
		return reason_refuse(reason, -errno, "%s", strerror(errno));
	r = plugin_check(real, reason);
	if (r < 0)
		return r;
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return reason_refuse(reason, -ELIBACC, "%s", without_path(dlerror(), path));
	entry = (tcmu_handler_entry_fn *) dlsym(library, TCMU_HANDLER_ENTRY);
	theirs = entry ? entry() : NULL;
	if (theirs)
		r = handlers_add(handlers, theirs, path, reason);
	else if (entry)
		r = reason_refuse(reason, -EINVAL, "it describes no handler");
	else if (dlsym(library, PEER_ENTRY))
		r = reason_refuse(
			reason, -EINVAL,
			"it is a plugin of tcmu-runner: build it with tcmud-compat-dev");
	else
		r = reason_refuse(reason, -EINVAL, "it has no function " TCMU_HANDLER_ENTRY);
	if (r < 0)
		(void) dlclose(library);
	return r;
}

int handlers_load_file(struct handlers *handlers, const char *path, struct tcmu_reason *reason)
{
	int r = load_plugin(handlers, path, reason);

	assert(r <= 0);
	return r;
}

/* Records the subtype in the file's name as known but not usable, unless it has a handler. */
static void note_problem(
	struct handlers *handlers, const char *path, const char *name,
	const struct tcmu_reason *reason)
{
	size_t len = strlen(name) - strlen(FILE_PREFIX FILE_SUFFIX);
	char subtype[NAME_SIZE], problem[PROBLEM_MAX];
	struct item *item;

	assert(strlen(name) > strlen(FILE_PREFIX FILE_SUFFIX));
	if (len >= sizeof(subtype))
		return;
	memcpy(subtype, name + strlen(FILE_PREFIX), len);
	subtype[len] = '\0';
	item = find_item(handlers, subtype);
	if (!options_subtype_valid(subtype) || (item && item->entry.handler))
		return;
	(void) snprintf(
		problem, sizeof(problem), "the %s handler is not usable: %s: %s", subtype, path,
		reason->text);
	add_item(handlers, subtype, NULL, path, problem);
}

static int is_plugin(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(FILE_PREFIX FILE_SUFFIX) &&
		strncmp(entry->d_name, FILE_PREFIX, strlen(FILE_PREFIX)) == 0 &&
		strcmp(entry->d_name + len - strlen(FILE_SUFFIX), FILE_SUFFIX) == 0;
}

static bool load_file(struct handlers *handlers, const char *directory, const char *name)
{
	struct tcmu_reason reason = {""};
	char path[PATH_MAX];
	int r;

	(void) snprintf(path, sizeof(path), "%s/%s", directory, name);
	r = load_plugin(handlers, path, &reason);
	if (r >= 0) {
		log_debug("loaded %s", path);
		return true;
	}
	log_full(
		TCMU_LOG_ERROR, NULL, NULL, LOG_ID_HANDLER_REFUSED, "cannot use the handler %s: %s",
		path, reason.text);
	note_problem(handlers, path, name, &reason);
	return false;
}

static void log_loaded(const struct handlers *handlers, const char *directory)
{
	const struct item *item;
	char names[256] = "";
	size_t used = 0;

	for (size_t i = 0; (item = item_at(handlers, i)) && used < sizeof(names); i++)
		if (item->entry.handler)
			used += (size_t) snprintf(
				names + used, sizeof(names) - used, " %s", item->subtype);
	log_info("loaded handlers from %s:%s", directory, used ? names : " none");
}

int handlers_load(struct handlers *handlers, const char *directory)
{
	struct dirent **files;
	int cnt, loaded = 0;

	assert(thread_is_main());
	cnt = scandir(directory, &files, is_plugin, alphasort);
	if (cnt < 0) {
		cnt = -errno;
		log_error("cannot load handlers from %s: %s", directory, strerror(-cnt));
		return cnt;
	}
	for (int i = 0; i < cnt; i++) {
		loaded += load_file(handlers, directory, files[i]->d_name);
		free(files[i]);
	}
	free(files);
	log_loaded(handlers, directory);
	return loaded;
}

/* ------- finding ------- */

const struct handlers_entry *handlers_lookup(const struct handlers *handlers, const char *subtype)
{
	const struct item *item = find_item(handlers, subtype);

	assert(!item || !item->entry.handler == !!item->entry.problem);
	return item ? &item->entry : NULL;
}

const struct tcmu_handler *handlers_find(const struct handlers *handlers, const char *subtype)
{
	const struct handlers_entry *entry = handlers_lookup(handlers, subtype);

	return entry ? entry->handler : NULL;
}

const struct handlers_entry *handlers_entry(const struct handlers *handlers, size_t index)
{
	const struct item *item = item_at(handlers, index);

	return item ? &item->entry : NULL;
}

unsigned handlers_given_up(const struct handlers *handlers)
{
	const struct item *item;
	unsigned cnt = 0;

	for (size_t i = 0; (item = item_at(handlers, i)); i++)
		if (item->entry.handler && item->entry.handler->given_up)
			cnt += item->entry.handler->given_up();
	return cnt;
}
