/* SPDX-License-Identifier: Apache-2.0 */
#include "device/marks.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tcmu/configfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/format.h"

#define MODES_GROUP   "mode parameters"
#define STORE_GROUP   "backstore"
#define FORMAT_PREFIX "format-"
#define NOTES_PREFIX  "notes-"
#define STORE_PREFIX  "store-"
#define SERVED_PREFIX "served-"
#define MODES_PREFIX  "mode-"
#define ESCAPED       "-escaped"

/* g_file_set_contents() appends this to a name, for the file that it then renames. */
#define TEMPORARY_SUFFIX ".XXXXXX"

/* mark: how it is called; loss: what follows from its absence. Both for the log. */
static int marks_write(
	const struct tcmu_name *name, const char *path, const char *text, const char *mark,
	const char *loss)
{
	g_autofree char *label = g_strdup_printf("user_%u/%s", name->hba, name->name);
	g_autoptr(GError) error = NULL;

	assert(text[0]);
	if (g_file_set_contents(path, text, -1, &error))
		return 0;
	log_dev_warning(label, "cannot write the %s mark: %s; %s", mark, error->message, loss);
	return -EIO;
}

/* The file of a text that is no name of a file: called by its checksum. */
static char *marks_sum_path(const char *directory, const char *prefix, const char *text)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	assert(directory);
	return g_strdup_printf("%s/%s%s", directory, prefix, sum);
}

/* The file of a device: called by the backstore, unless that leaves no room in the name of a file.
 */
static char *marks_device_path(
	const char *run_dir, const char *prefix, const struct tcmu_name *name)
{
	g_autofree char *label = g_strdup_printf("user_%u-%s", name->hba, name->name);

	assert(run_dir);
	if (strlen(prefix) + strlen(label) + strlen(TEMPORARY_SUFFIX) > NAME_MAX)
		return marks_sum_path(run_dir, prefix, label);
	return g_strdup_printf("%s/%s%s", run_dir, prefix, label);
}

/* Removes the newline of a mark's only line, and no space before it: a config may end with one. */
static void marks_end_line(char *text)
{
	if (g_str_has_suffix(text, "\n"))
		text[strlen(text) - 1] = '\0';
}

static bool marks_absent(const GError *error)
{
	return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
		g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOTDIR);
}

/* ------- how many are kept ------- */

/* Each name or serial that there ever was has a file that outlives the backstore. Its time is that
 * of the last change or use, ns. One that is not there any more is the oldest. */
static uint64_t marks_time(const char *path)
{
	struct stat stat;

	if (lstat(path, &stat) < 0)
		return 0;
	return (uint64_t) stat.st_mtim.tv_sec * CLOCK_NS_PER_SEC + (uint64_t) stat.st_mtim.tv_nsec;
}

/* The name of the next file with the prefix; NULL: there is none. */
static const char *marks_next(GDir *dir, const char *prefix)
{
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, prefix))
			return name;
	return NULL;
}

static unsigned marks_count(const char *directory, const char *prefix)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	unsigned count = 0;

	while (marks_next(dir, prefix))
		count++;
	return count;
}

static int marks_compare_times(const void *a, const void *b)
{
	const uint64_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

/* The oldest first. count: how many there may be. */
static GArray *marks_times(const char *directory, const char *prefix, unsigned count)
{
	GArray *times = g_array_sized_new(FALSE, FALSE, sizeof(uint64_t), count);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *name;

	while ((name = marks_next(dir, prefix))) {
		g_autofree char *path = g_strdup_printf("%s/%s", directory, name);
		uint64_t time = marks_time(path);

		g_array_append_val(times, time);
	}
	g_array_sort(times, marks_compare_times);
	return times;
}

/* Removes the oldest of these files, so that so many are left, and those that are needed (NULL:
 * none). An eighth more may be there: the times are not read for each. */
static void marks_keep_newest(
	const char *directory, const char *prefix, unsigned kept,
	bool (*is_needed)(const char *path, const void *context), const void *context)
{
	g_autoptr(GArray) times = NULL;
	g_autoptr(GDir) dir = NULL;
	unsigned count = marks_count(directory, prefix), old;
	const char *name;

	if (count <= kept + kept / 8)
		return;
	times = marks_times(directory, prefix, count);
	if (times->len <= kept)
		return;
	old = times->len - kept;
	dir = g_dir_open(directory, 0, NULL);
	while (old && (name = marks_next(dir, prefix))) {
		g_autofree char *path = g_strdup_printf("%s/%s", directory, name);

		if (marks_time(path) > g_array_index(times, uint64_t, times->len - kept - 1))
			continue;
		old--;
		if (!is_needed || !is_needed(path, context))
			(void) unlink(path);
	}
	/* Else the daemon stays as large as the list of a directory made it. */
	(void) malloc_trim(0);
}

/* It is among the newest now. */
static void marks_touch(const char *path)
{
	(void) utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* ------- clean stops ------- */

static char *marks_clean_path(const char *run_dir, unsigned minor)
{
	assert(run_dir);
	return g_strdup_printf("%s/clean-uio%u", run_dir, minor);
}

static char *marks_clean_text(const struct tcmu_name *name)
{
	return g_strdup_printf("user_%u/%s %s\n", name->hba, name->name, name->config);
}

int marks_set_clean(const char *run_dir, const struct tcmu_name *name, unsigned minor)
{
	g_autofree char *path = marks_clean_path(run_dir, minor);
	g_autofree char *text = marks_clean_text(name);

	return marks_write(
		name, path, text, "clean-stop", "commands will be retried after the next start");
}

bool marks_take_clean(const char *run_dir, const struct tcmu_name *name, unsigned minor)
{
	g_autofree char *path = marks_clean_path(run_dir, minor);
	g_autofree char *expected = marks_clean_text(name);
	g_autofree char *found = NULL;

	/* One that cannot be read goes as well: it would be taken for clean at a later start. */
	(void) g_file_get_contents(path, &found, NULL, NULL);
	(void) unlink(path);
	return found && strcmp(found, expected) == 0;
}

/* ------- formats ------- */

int marks_set_format(const char *run_dir, const struct tcmu_name *name, unsigned format_state)
{
	g_autofree char *path = marks_device_path(run_dir, FORMAT_PREFIX, name);
	g_autofree char *text = g_strdup_printf("%u %s\n", format_state, name->config);

	if (format_state)
		return marks_write(
			name, path, text, "format",
			"after the next start a format that was cut short will go unnoticed");
	(void) unlink(path);
	return 0;
}

unsigned marks_get_format(const char *run_dir, const struct tcmu_name *name)
{
	g_autofree char *path = marks_device_path(run_dir, FORMAT_PREFIX, name);
	g_autofree char *found = NULL;
	g_autoptr(GError) error = NULL;
	char *config;
	unsigned long format_state;

	/* There only is a mark if a format was cut short. */
	if (!g_file_get_contents(path, &found, NULL, &error))
		return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)
			? 0
			: FORMAT_STATE_FORMAT;
	format_state = strtoul(found, &config, 10);
	marks_end_line(config);
	return *config == ' ' && strcmp(config + 1, name->config) == 0 ? (unsigned) format_state
								       : 0;
}

/* ------- notes ------- */

struct notes *marks_open_notes(
	const char *run_dir, const struct tcmu_name *name, unsigned minor, const char *claim)
{
	g_autofree char *path = marks_device_path(run_dir, NOTES_PREFIX, name);
	g_autofree char *label = g_strdup_printf("user_%u/%s", name->hba, name->name);
	g_autofree char *device = g_strdup_printf(
		"uio%u %s %s %s", minor, label, claim, name->config);
	struct notes *notes = NULL;
	int r = notes_open(path, device, &notes);

	if (r < 0)
		log_dev_warning(
			label,
			"cannot open %s: %s; a COMPARE AND WRITE that a crash interrupts may "
			"miscompare when it is sent again",
			path, strerror(-r));
	return notes;
}

struct marks_devices {
	const char *run_dir;
	const struct tcmu_scan_entry *entries;
	int cnt;
	const char *prefix;
};

/* is_needed of marks_keep_newest(): a device has this file. */
static bool marks_has_device(const char *path, const void *context)
{
	const struct marks_devices *devices = context;

	for (int i = 0; i < devices->cnt; i++) {
		g_autofree char *expected = marks_device_path(
			devices->run_dir, devices->prefix, &devices->entries[i].name);

		if (strcmp(path, expected) == 0)
			return true;
	}
	return false;
}

void marks_sweep(const char *run_dir, const struct tcmu_scan_entry *entries, int cnt)
{
	struct marks_devices devices = {
		.run_dir = run_dir,
		.entries = entries,
		.cnt = cnt,
		.prefix = NOTES_PREFIX,
	};

	marks_keep_newest(run_dir, devices.prefix, 0, marks_has_device, &devices);
	devices.prefix = STORE_PREFIX;
	marks_keep_newest(run_dir, devices.prefix, MARKS_STORES_KEPT, marks_has_device, &devices);
}

void marks_forget(const char *run_dir, const struct tcmu_name *name)
{
	g_autofree char *path = marks_device_path(run_dir, NOTES_PREFIX, name);

	(void) unlink(path);
	(void) marks_set_format(run_dir, name, 0);
}

/* ------- backing stores ------- */

/* A text of any bytes, as the kernel takes them for names and config strings. A key file takes
 * UTF-8 only, so another text is escaped, and its key says so. */
static void marks_set_text(GKeyFile *file, const char *key, const char *text)
{
	g_autofree char *escaped = g_utf8_validate(text, -1, NULL) ? NULL : g_strescape(text, NULL);
	g_autofree char *escaped_key = g_strconcat(key, ESCAPED, NULL);

	g_key_file_set_string(
		file, STORE_GROUP, escaped ? escaped_key : key, escaped ? escaped : text);
}

/* NULL: there is none. */
static char *marks_get_text(GKeyFile *file, const char *key)
{
	g_autofree char *escaped_key = g_strconcat(key, ESCAPED, NULL);
	g_autofree char *escaped = g_key_file_get_string(file, STORE_GROUP, escaped_key, NULL);

	return escaped ? g_strcompress(escaped)
		       : g_key_file_get_string(file, STORE_GROUP, key, NULL);
}

/* Options are left out: to change one of them is to serve the same store. */
static char *marks_store_text(const struct tcmu_name *name)
{
	return g_strdup_printf(
		"user_%u/%s %.*s", name->hba, name->name, (int) strcspn(name->config, ";"),
		name->config);
}

void marks_get_store(const char *run_dir, const struct tcmu_name *name, struct marks_store *store)
{
	g_autofree char *path = marks_device_path(run_dir, STORE_PREFIX, name);
	g_autofree char *expected = marks_store_text(name);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *of = NULL;
	g_autofree char *claim = NULL;

	*store = (struct marks_store){.deleted = false};
	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
		return;
	of = marks_get_text(file, "store");
	if (!of || strcmp(of, expected) != 0)
		return;
	store->deleted = g_key_file_get_boolean(file, STORE_GROUP, "deleted", NULL);
	store->write_cache_set = g_key_file_has_key(file, STORE_GROUP, "write_cache", NULL);
	store->write_cache = g_key_file_get_boolean(file, STORE_GROUP, "write_cache", NULL);
	claim = marks_get_text(file, "claim");
	if (claim)
		g_strlcpy(store->claim, claim, sizeof(store->claim));
}

int marks_set_store(
	const char *run_dir, const struct tcmu_name *name, const struct marks_store *store)
{
	g_autofree char *path = marks_device_path(run_dir, STORE_PREFIX, name);
	g_autofree char *of = marks_store_text(name);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *text = NULL;

	marks_set_text(file, "store", of);
	g_key_file_set_boolean(file, STORE_GROUP, "deleted", store->deleted);
	if (store->write_cache_set)
		g_key_file_set_boolean(file, STORE_GROUP, "write_cache", store->write_cache);
	if (store->claim[0])
		marks_set_text(file, "claim", store->claim);
	text = g_key_file_to_data(file, NULL, NULL);
	return marks_write(
		name, path, text, "store",
		"after the next start its write cache has its default, and another store in its "
		"place will go unnoticed");
}

static char *marks_served_path(const char *state_dir, const struct tcmu_name *name)
{
	g_autofree char *label = g_strdup_printf("user_%u/%s", name->hba, name->name);

	return marks_sum_path(state_dir, SERVED_PREFIX, label);
}

bool marks_was_served(const char *state_dir, const struct tcmu_name *name)
{
	g_autofree char *path = marks_served_path(state_dir, name);
	g_autofree char *expected = marks_store_text(name);
	g_autofree char *found = NULL;
	g_autoptr(GError) error = NULL;

	/* A mark that cannot be read is none only if it is not there: a store must not be created
	 * in the place of one that is not seen. */
	if (!g_file_get_contents(path, &found, NULL, &error))
		return !marks_absent(error);
	marks_end_line(found);
	return strcmp(found, expected) == 0;
}

/* is_needed of marks_keep_newest(): the kernel has this backstore, or may have it. A name may
 * contain spaces, and ends with one here. */
static bool marks_served_exists(const char *path, const void *context)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	struct tcmu_name name = {.hba = 0};
	char *begin;

	(void) context;
	if (!g_file_get_contents(path, &text, NULL, &error))
		return !marks_absent(error);
	if (!g_str_has_prefix(text, "user_"))
		return false;
	name.hba = (uint32_t) strtoul(text + strlen("user_"), &begin, 10);
	if (*begin++ != '/')
		return false;
	for (const char *end = strchr(begin, ' '); end; end = strchr(end + 1, ' ')) {
		uint64_t value;

		if ((size_t) (end - begin) >= sizeof(name.name))
			return false;
		g_strlcpy(name.name, begin, (size_t) (end - begin) + 1);
		if (tcmu_configfs_get(&name, "hw_block_size", &value) != -ENOENT)
			return true;
	}
	return false;
}

/* On stable storage: it is needed after a power cut, too. */
int marks_set_served(const char *state_dir, const struct tcmu_name *name)
{
	g_autofree char *path = marks_served_path(state_dir, name);
	g_autofree char *of = marks_store_text(name);
	g_autofree char *text = g_strdup_printf("%s\n", of);
	g_autofree char *label = g_strdup_printf("user_%u/%s", name->hba, name->name);
	g_autoptr(GError) error = NULL;

	if (marks_was_served(state_dir, name)) {
		marks_touch(path);
		return 0;
	}
	marks_keep_newest(state_dir, SERVED_PREFIX, MARKS_SERVED_KEPT, marks_served_exists, NULL);
	if (g_mkdir_with_parents(state_dir, 0755) == 0 &&
	    g_file_set_contents_full(
		    path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
		    0644, &error))
		return 0;
	log_dev_warning(
		label,
		"cannot write the mark of a served backstore below %s: %s; after a boot a missing "
		"store may be created again, empty",
		state_dir, error ? error->message : strerror(errno));
	return -EIO;
}

/* ------- mode parameters ------- */

static const struct {
	const char *key;
	size_t offset;
} modes_keys[] = {
	{"write_cache", offsetof(struct scsi_mode_values, write_cache)},
	{"descriptor_sense", offsetof(struct scsi_mode_values, descriptor_sense)},
	{"software_write_protect", offsetof(struct scsi_mode_values, software_write_protect)},
};

/* A serial may be any text, so the file's name is its checksum; the serial itself is inside. */
static char *modes_path(const char *state_dir, const char *serial)
{
	return marks_sum_path(state_dir, MODES_PREFIX, serial);
}

int marks_save_modes(
	const char *state_dir, const char *serial, const struct scsi_mode_values *values)
{
	static struct log_limit limit = LOG_LIMIT(3, 60); /* an initiator may try again and again */
	g_autofree char *path = modes_path(state_dir, serial);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	unsigned more;
	gsize length;

	g_key_file_set_string(file, MODES_GROUP, "serial", serial);
	for (size_t i = 0; i < G_N_ELEMENTS(modes_keys); i++)
		g_key_file_set_boolean(
			file, MODES_GROUP, modes_keys[i].key,
			*(const bool *) ((const char *) values + modes_keys[i].offset));
	text = g_key_file_to_data(file, &length, NULL);
	/* Which serials there are is not known. One that is in use was read when it was opened. */
	marks_keep_newest(state_dir, MODES_PREFIX, MARKS_SERVED_KEPT, NULL, NULL);
	if (g_mkdir_with_parents(state_dir, 0755) < 0)
		return -errno;
	if (g_file_set_contents_full(
		    path, text, (gssize) length,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, &error))
		return 0;
	if (log_limit_pass(&limit, &more))
		log_error("cannot save mode parameters: %s", error->message);
	return -EIO;
}

int marks_load_modes(const char *state_dir, const char *serial, struct scsi_mode_values *values)
{
	g_autofree char *path = modes_path(state_dir, serial);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) error = NULL;

	if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error))
		for (size_t i = 0; i < G_N_ELEMENTS(modes_keys) && !error; i++)
			*(bool *) ((char *) values + modes_keys[i].offset) = g_key_file_get_boolean(
				file, MODES_GROUP, modes_keys[i].key, &error);
	if (!error) {
		marks_touch(path);
		return 1;
	}
	if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_MFILE))
		return -EMFILE;
	if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NFILE))
		return -ENFILE;
	if (!marks_absent(error))
		log_warning(
			"saved mode parameters are ignored: %s: %s; the defaults hold", path,
			error->message);
	return 0;
}
