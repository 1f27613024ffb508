/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that the file handler opens, creates, resizes and refuses, and its reasons.
 */
#include "file-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint8_t data[FILE_SIZE];
static uint8_t got[FILE_SIZE];

static bool file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void open_refused(int r, int error, const struct fake_host *host, const char *words)
{
	if (r != error || !strstr(host->reason.text, words))
		fail_msg(
			"%d instead of %d, without \"%s\": %s", r, error, words, host->reason.text);
}

/* By both, with the same words. */
static void open_refused_by_all(
	struct fake_host *host, const char *config, int error, const char *words)
{
	open_refused(fake_check(host, config, FILE_SIZE, BLOCK_SIZE), error, host, words);
	open_refused(fake_open(host, config, FILE_SIZE, BLOCK_SIZE), error, host, words);
}

/* ------- creating ------- */

static void a_missing_file_is_created_sparse(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct stat st;

	(void) umask(0);
	assert_int_equal(fake_check(fixture->host, fixture->path, FILE_SIZE, BLOCK_SIZE), 0);
	assert_false(file_exists(fixture->path));
	(void) file_opened(state, "");
	assert_int_equal(stat(fixture->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_size, FILE_SIZE);
	assert_int_equal(st.st_blocks, 0);
}

static void a_missing_file_is_not_created_when_not_wanted(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	char config[256];

	(void) snprintf(config, sizeof(config), "%s;create=0", fixture->path);
	open_refused_by_all(fixture->host, config, -ENOENT, "create=0");
	assert_false(file_exists(fixture->path));
	fixture->host->read_only = true;
	open_refused_by_all(fixture->host, fixture->path, -ENOENT, "read-only");
	assert_false(file_exists(fixture->path));
}

/* Each condition of a store: a creation may create and extend it, whatever resumes
 * a LUN (a start, a reopen, a retry, a restore) may not. */
static void only_a_creation_creates(void **state)
{
	static const struct {
		const char *name;   /* below the directory, or a path */
		const char *option; /* ";grow=1", or "" */
		size_t length;      /* of the file; 0: missing */
		int creates, resumes;
		const char *words; /* of the resumption's reason */
	} cases[] = {
		{"missing.img", "", 0, 0, -ENOENT, "the backing store is missing"},
		{"missing.img", ";create=0", 0, -ENOENT, -ENOENT, "the backing store is missing"},
		{"none/missing.img", "", 0, -ENOENT, -ENOENT, "cannot access the directory"},
		{"whole.img", "", FILE_SIZE, 0, 0, ""},
		{"smaller.img", "", FILE_SIZE - 512, -EINVAL, -EINVAL,
		 "it is another one, or was cut"},
		{"smaller.img", ";grow=1", FILE_SIZE - 512, 0, -EINVAL,
		 "it is another one, or was cut"},
		{"/dev/not-there", "", 0, -ENOENT, -ENOENT, "the backing store is missing"},
		{"/dev/mapper/not-there", "", 0, -ENOENT, -ENOENT, ""},
		{"/dev/shm/not-there", "", 0, -ENOENT, -ENOENT, ""},
		{"/proc/not-there", "", 0, -ENOENT, -ENOENT, "the backing store is missing"},
		{"/sys/not-there", "", 0, -ENOENT, -ENOENT, "the backing store is missing"},
	};
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = fixture->host;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool elsewhere = cases[i].name[0] == '/';
		const char *path = elsewhere ? cases[i].name : file_in(fixture, cases[i].name);
		char config[256], claim[128] = "";
		int r;

		(void) snprintf(config, sizeof(config), "%s%s", path, cases[i].option);
		for (int resumes = 1; resumes >= 0; resumes--) {
			if (!elsewhere)
				(void) unlink(path);
			if (cases[i].length)
				file_make(path, cases[i].length);
			host->must_exist = resumes;
			r = fake_open(host, config, FILE_SIZE, BLOCK_SIZE);
			if (r != (resumes ? cases[i].resumes : cases[i].creates))
				fail_msg(
					"%s %s: %d: %s", resumes ? "resuming" : "creating", config,
					r, host->reason.text);
			assert_int_equal(
				file_exists(path), cases[i].length || (!resumes && r == 0));
			if (r == 0)
				fake_close(host);
			else if (resumes && !strstr(host->reason.text, cases[i].words))
				fail_msg("%s: %s", config, host->reason.text);
			else if (file_exists(path))
				assert_int_equal(file_length(path), cases[i].length);
		}
		host->must_exist = true;
		if (!elsewhere && cases[i].length == 0) {
			(void) unlink(path);
			assert_int_equal(fake_claim(host, config, claim, sizeof(claim)), -ENOENT);
		}
		host->must_exist = false;
	}
}

/* Another file in the place of the one that was served is served; its claim is another one. */
static void another_file_has_another_claim(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	char before[128], after[128];

	file_make(file_in(fixture, "other"), FILE_SIZE);
	(void) file_opened(state, "");
	(void) snprintf(before, sizeof(before), "%s", fixture->host->info.claim);
	fake_close(fixture->host);
	assert_int_equal(rename(file_in(fixture, "other"), fixture->path), 0);
	fixture->host->must_exist = true;
	(void) file_opened(state, "");
	(void) snprintf(after, sizeof(after), "%s", fixture->host->info.claim);
	assert_string_not_equal(before, after);
}

static void a_file_that_was_there_stays_when_its_open_is_refused(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);

	file_make(fixture->path, 1000);
	open_refused_by_all(fixture->host, fixture->path, -EINVAL, "1000 bytes");
	assert_int_equal(file_length(fixture->path), 1000);
}

/* ------- existing files ------- */

static void a_file_of_the_right_size_is_served_as_it_is(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);

	file_make(fixture->path, FILE_SIZE);
	(void) file_opened(state, "");
	assert_int_equal(fake_read(fixture->host, 0, got, FILE_SIZE), 0);
	file_pattern(data, 0, FILE_SIZE);
	assert_memory_equal(got, data, FILE_SIZE);
}

static void a_larger_file_is_served_from_its_beginning(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);

	file_make(fixture->path, FILE_SIZE + 4097);
	assert_int_equal(fake_check(fixture->host, fixture->path, FILE_SIZE, BLOCK_SIZE), 0);
	(void) file_opened(state, "");
	assert_int_equal(fake_read(fixture->host, 0, got, FILE_SIZE), 0);
	assert_int_equal(file_length(fixture->path), FILE_SIZE + 4097);
}

static void a_smaller_file_is_refused_unless_it_may_grow(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	char config[256];

	file_make(fixture->path, FILE_SIZE - 512);
	open_refused_by_all(
		fixture->host, fixture->path, -EINVAL,
		"1048064 bytes, too few for a device of 1048576; grow=1");
	(void) snprintf(config, sizeof(config), "%s;grow=1", fixture->path);
	fixture->host->read_only = true;
	open_refused_by_all(
		fixture->host, config, -EINVAL, "1048064 bytes, too few for a device of 1048576: ");
	fixture->host->read_only = false;
	assert_int_equal(fake_check(fixture->host, config, FILE_SIZE, BLOCK_SIZE), 0);
	assert_int_equal(file_length(fixture->path), FILE_SIZE - 512);
	(void) file_opened(state, ";grow=1");
	assert_int_equal(file_length(fixture->path), FILE_SIZE);
	assert_int_equal(fake_read(fixture->host, 0, got, FILE_SIZE), 0);
	file_pattern(data, 0, FILE_SIZE);
	assert_memory_equal(got, data, FILE_SIZE - 512);
	assert_true(file_is_zero(got + FILE_SIZE - 512, 512));
}

static void without_a_size_the_size_is_not_judged(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);

	file_make(fixture->path, 1000);
	assert_int_equal(fake_check(fixture->host, fixture->path, 0, 0), 0);
}

static void a_check_changes_nothing(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct stat before, after;
	char config[256];

	file_make(fixture->path, FILE_SIZE - 512);
	assert_int_equal(utimensat(AT_FDCWD, fixture->path, long_ago, 0), 0);
	assert_int_equal(stat(fixture->path, &before), 0);
	(void) snprintf(config, sizeof(config), "%s;grow=1", fixture->path);
	assert_int_equal(fake_check(fixture->host, config, FILE_SIZE, BLOCK_SIZE), 0);
	assert_int_equal(stat(fixture->path, &after), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
	assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
	assert_int_equal(before.st_size, after.st_size);
}

/* ------- refusals ------- */

static void other_kinds_of_files_are_refused(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = fixture->host;

	open_refused_by_all(
		host, fixture->directory, -EISDIR,
		"is a directory; a regular file or a block device is expected: /");
	open_refused_by_all(host, "/dev/null", -ENOTBLK, "a character device");
	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	open_refused_by_all(
		host, fixture->path, -ENOTBLK, "neither a regular file nor a block device");
}

static void a_path_that_leads_nowhere_is_refused(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = fixture->host;
	char name[300];

	open_refused_by_all(
		host, "/no/such/directory/x.img", -ENOENT,
		"No such file or directory: /no/such/directory");
	file_make(fixture->path, 1);
	open_refused_by_all(host, file_in(fixture, "disk.img/x.img"), -ENOTDIR, "Not a directory");
	assert_int_equal(symlink("nowhere", file_in(fixture, "link")), 0);
	open_refused_by_all(
		host, file_in(fixture, "link"), -ENOENT,
		"the target of the symbolic link does not exist");
	assert_int_equal(symlink("endless", file_in(fixture, "endless")), 0);
	open_refused_by_all(host, file_in(fixture, "endless"), -ELOOP, "cannot access the file");
	assert_false(file_exists(file_in(fixture, "nowhere")));
	open_refused_by_all(host, "", -EINVAL, "a path is expected");
	open_refused_by_all(host, "x.img", -EINVAL, "must start with '/'");
	open_refused_by_all(host, "/srv/x/", -EISDIR, "ends with '/'");
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[299] = '\0';
	open_refused_by_all(host, name, -ENAMETOOLONG, "255");
}

static void a_long_path_keeps_the_cause_in_the_reason(void **state)
{
	struct fake_host *host = file_fixture_of(state)->host;
	char name[251];

	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[4] = '/';
	name[250] = '\0';
	open_refused_by_all(
		host, name, -ENOENT,
		"cannot access the directory: No such file or directory: /xxx");
}

static void views_of_the_kernels_state_are_refused(void **state)
{
	static const char *const paths[] = {
		"/proc/self/mem",         "/proc/self/environ",        "/proc/version",
		"/proc/self/maps",        "/proc/sys/kernel/hostname", "/sys/kernel/uevent_seqnum",
		"/proc/thread-self/stat", "/proc/self/mountinfo"};
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = fixture->host;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!file_exists(paths[i]))
			fail_msg("%s is missing: are /proc and /sys mounted?", paths[i]);
		open_refused_by_all(host, paths[i], -ENOTBLK, "keeps no data");
		host->read_only = true;
		open_refused_by_all(host, paths[i], -ENOTBLK, "keeps no data");
		host->read_only = false;
		/* By another name, too. */
		assert_int_equal(symlink(paths[i], fixture->path), 0);
		open_refused_by_all(host, fixture->path, -ENOTBLK, "keeps no data");
		assert_int_equal(unlink(fixture->path), 0);
	}
}

static void characters_that_would_be_lost_are_refused_by_the_check(void **state)
{
	static const struct {
		const char *config, *words;
	} cases[] = {
		{"/srv/x,y.img",
		 "comma, which the kernel would cut there; with decode=1 write %2C"},
		{"/srv/x:y.img", "colon, which targetcli cannot keep; with decode=1 write %3A"},
		{"/srv/x y.img", "blank, which targetcli cannot keep; with decode=1 write %20"},
		{"/srv/x\ty.img", "the byte 0x09"},
		{"/srv/x\ny.img", "the byte 0x0A"},
		{"/srv/x\177y.img", "the byte 0x7F"},
		{"/srv/\303\244.img", "the byte 0xC3"},
	};
	struct fake_host *host = file_fixture_of(state)->host;
	char name[252] = "/srv/";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		open_refused(
			fake_check(host, cases[i].config, 0, 0), -EINVAL, host, cases[i].words);
	memset(name + 5, 'x', sizeof(name) - 6);
	open_refused(
		fake_check(host, name, 0, 0), -ENAMETOOLONG, host,
		"256 bytes; the kernel keeps 255");
}

static void percent_sequences_stand_for_bytes_when_asked_for(void **state)
{
	static const char *const wrong[] = {"/x%",   "/x%2",  "/x%2g", "/x%g2",      "/x%00",
					    "/x%0a", "/x%1F", "/x%7f", "/x%\020\020"};
	struct file_fixture *fixture = file_fixture_of(state);
	char config[256];

	file_make(file_in(fixture, "a b,c:d;e%20"), FILE_SIZE);
	(void) snprintf(
		config, sizeof(config), "%s/a%%20b%%2Cc%%3ad%%3Be%%2520;decode=1",
		fixture->directory);
	assert_int_equal(fake_check(fixture->host, config, FILE_SIZE, BLOCK_SIZE), 0);
	assert_int_equal(fake_open(fixture->host, config, FILE_SIZE, BLOCK_SIZE), 0);
	assert_int_equal(fake_read(fixture->host, 0, got, 512), 0);
	assert_int_equal(got[0], file_byte(0));
	fake_close(fixture->host);

	file_make(file_in(fixture, "a%20b"), FILE_SIZE);
	(void) snprintf(config, sizeof(config), "%s/a%%20b;create=0", fixture->directory);
	assert_int_equal(fake_open(fixture->host, config, FILE_SIZE, BLOCK_SIZE), 0);
	fake_close(fixture->host);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		(void) snprintf(config, sizeof(config), "%s;decode=1", wrong[i]);
		open_refused(
			fake_open(fixture->host, config, FILE_SIZE, BLOCK_SIZE), -EINVAL,
			fixture->host, "two hexadecimal digits");
	}
}

/* Runs as a user without permission, also if root runs the test. That user may have no access to
 * the build tree. */
static void a_file_without_permission_is_refused(void **state)
{
	struct fake_host *host = file_fixture_of(state)->host;
	char directory[] = "/tmp/tcmud-file-XXXXXX";
	uid_t self = geteuid();
	char file[64], missing[64];

	assert_non_null(mkdtemp(directory));
	(void) snprintf(file, sizeof(file), "%s/disk.img", directory);
	(void) snprintf(missing, sizeof(missing), "%s/missing.img", directory);
	file_make(file, FILE_SIZE);
	assert_int_equal(chmod(file, 0444), 0);
	assert_int_equal(chmod(directory, 0555), 0);
	if (self == 0)
		assert_int_equal(seteuid(65534), 0);
	open_refused_by_all(host, file, -EACCES, "cannot be written: Permission denied: /tmp/");
	open_refused_by_all(host, missing, -EACCES, "cannot create the file: ");
	host->read_only = true;
	assert_int_equal(fake_check(host, file, FILE_SIZE, BLOCK_SIZE), 0);
	assert_int_equal(seteuid(self), 0);
	assert_int_equal(chmod(file, 0000), 0);
	if (self == 0)
		assert_int_equal(seteuid(65534), 0);
	open_refused_by_all(host, file, -EACCES, "cannot be read: Permission denied: /tmp/");
	assert_int_equal(seteuid(self), 0);
	assert_int_equal(chmod(directory, 0755), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(directory), 0);
}

/* ------- the claim, and properties ------- */

static void the_claim_names_the_file_however_it_is_spelled(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	char claim[sizeof(fixture->host->info.claim)];
	char other[256];

	file_make(fixture->path, FILE_SIZE);
	file_make(file_in(fixture, "other"), FILE_SIZE);
	(void) file_opened(state, "");
	memcpy(claim, fixture->host->info.claim, sizeof(claim));
	assert_int_equal(strncmp(claim, "file:", 5), 0);
	fake_close(fixture->host);

	(void) snprintf(other, sizeof(other), "%s", file_in(fixture, "hard"));
	assert_int_equal(link(fixture->path, other), 0);
	assert_int_equal(fake_open(fixture->host, other, FILE_SIZE, BLOCK_SIZE), 0);
	assert_string_equal(fixture->host->info.claim, claim);
	fake_close(fixture->host);

	assert_int_equal(symlink(fixture->path, file_in(fixture, "soft")), 0);
	assert_int_equal(
		fake_open(fixture->host, file_in(fixture, "soft"), FILE_SIZE, BLOCK_SIZE), 0);
	assert_string_equal(fixture->host->info.claim, claim);
	fake_close(fixture->host);

	assert_int_equal(
		fake_open(fixture->host, file_in(fixture, "other"), FILE_SIZE, BLOCK_SIZE), 0);
	assert_string_not_equal(fixture->host->info.claim, claim);
}

static void a_created_file_has_the_claim_of_a_found_one(void **state)
{
	char claim[sizeof(((struct tcmu_backend_info *) NULL)->claim)];

	memcpy(claim, file_opened(state, "")->info.claim, sizeof(claim));
	fake_close(file_fixture_of(state)->host);
	assert_string_equal(file_opened(state, "")->info.claim, claim);
}

static void the_claim_is_known_before_it_is_opened(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = fixture->host;
	char claim[sizeof(host->info.claim)];

	assert_int_equal(fake_claim(host, fixture->path, claim, sizeof(claim)), 0);
	assert_string_equal(claim, "");
	assert_false(file_exists(fixture->path));
	open_refused(
		fake_claim(host, fixture->directory, claim, sizeof(claim)), -EISDIR, host,
		"a directory");
	assert_string_equal(claim, "");
	(void) file_opened(state, "");
	assert_int_equal(fake_claim(host, fixture->path, claim, sizeof(claim)), 0);
	assert_string_equal(claim, host->info.claim);
}

static void properties_fit_together(void **state)
{
	const struct tcmu_backend_info *info = &file_opened(state, "")->info;

	assert_true(info->caps & TCMU_IO_CAP(TCMU_IO_READ));
	assert_true(info->caps & TCMU_IO_CAP(TCMU_IO_WRITE));
	assert_true(info->caps & TCMU_IO_CAP(TCMU_IO_FLUSH));
	assert_true(info->caps & TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES));
	assert_true(
		info->physical_block >= 512 &&
		(info->physical_block & (info->physical_block - 1)) == 0);
	assert_true(info->unmap_granularity % info->physical_block == 0);
	assert_int_equal(info->optimal_transfer % info->physical_block, 0);
	assert_int_equal(info->optimal_dio_align, 0);
}

static unsigned open_fds(void)
{
	unsigned cnt = 0;

	for (int fd = 0; fd < 4096; fd++)
		cnt += fcntl(fd, F_GETFD) >= 0;
	return cnt;
}

static void nothing_is_left_open(void **state)
{
	static const char *const options[] = {"", ";discard=0", ";grow=1"};
	struct file_fixture *fixture = file_fixture_of(state);
	unsigned before = open_fds();

	for (unsigned i = 0; i < 3; i++) {
		(void) file_opened(state, options[i]);
		assert_true(open_fds() > before);
		fake_close(fixture->host);
		assert_int_equal(open_fds(), before);
		assert_int_equal(
			fake_check(fixture->host, fixture->path, FILE_SIZE, BLOCK_SIZE), 0);
		open_refused_by_all(fixture->host, fixture->directory, -EISDIR, "a directory");
		open_refused(
			fake_open(fixture->host, fixture->path, FILE_SIZE * 2, BLOCK_SIZE), -EINVAL,
			fixture->host, "too few");
		assert_int_equal(open_fds(), before);
	}
}

/* ------- resize ------- */

static void a_device_grows_with_its_file(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = file_opened(state, "");

	assert_int_equal(fake_resize(host, fixture->path, 2 * FILE_SIZE), 0);
	assert_int_equal(file_length(fixture->path), 2 * FILE_SIZE);
	assert_int_equal(fake_write(host, 2 * FILE_SIZE - 512, data, 512, 0), 0);
	assert_int_equal(fake_resize(host, fixture->path, 2 * FILE_SIZE), 0);
	fake_close(host);
	/* Restored with the size before. */
	(void) file_opened(state, "");
	assert_int_equal(file_length(fixture->path), 2 * FILE_SIZE);
}

static void a_device_shrinks_only_when_it_may_and_the_file_stays(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = file_opened(state, "");
	char config[256];

	file_pattern(data, 0, FILE_SIZE);
	assert_int_equal(fake_write(host, 0, data, FILE_SIZE, 0), 0);
	open_refused(
		fake_resize(host, fixture->path, FILE_SIZE / 2), -EINVAL, host,
		"the device has 1048576 bytes; it shrinks to 524288 only with shrink=1");
	(void) snprintf(config, sizeof(config), "%s;shrink=1", fixture->path);
	assert_int_equal(fake_resize(host, config, FILE_SIZE / 2), 0);
	assert_int_equal(file_length(fixture->path), FILE_SIZE);
	open_refused(
		fake_resize(host, fixture->path, FILE_SIZE / 4), -EINVAL, host,
		"the device has 524288 bytes");
	assert_int_equal(fake_resize(host, fixture->path, FILE_SIZE), 0);
	assert_int_equal(fake_read(host, 0, got, FILE_SIZE), 0);
	assert_memory_equal(got, data, FILE_SIZE);
}

static void a_read_only_device_does_not_make_its_file_grow(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);

	file_make(fixture->path, FILE_SIZE);
	fixture->host->read_only = true;
	(void) file_opened(state, "");
	open_refused(
		fake_resize(fixture->host, fixture->path, 2 * FILE_SIZE), -EINVAL, fixture->host,
		"too few");
	assert_int_equal(file_length(fixture->path), FILE_SIZE);
}

static void a_device_grows_while_requests_are_in_flight(void **state)
{
	struct file_fixture *fixture = file_fixture_of(state);
	struct fake_host *host = file_opened(state, "");
	struct fake_io *io = fake_io_new(host, TCMU_IO_WRITE, 0, 4096);

	fake_fault(host, TCMU_AIO_WRITEV, 1, FAKE_STICK, 0);
	fake_io_submit(io);
	fake_host_iterate(host);
	assert_int_equal(fake_resize(host, fixture->path, 2 * FILE_SIZE), 0);
	fake_unstick(host);
	assert_int_equal(fake_io_wait(io), 0);
	fake_io_free(io);
}

int main(void)
{
	static const struct file_test tests[] = {
		FILE_TEST(a_missing_file_is_created_sparse),
		FILE_TEST(a_missing_file_is_not_created_when_not_wanted),
		FILE_TEST(only_a_creation_creates),
		FILE_TEST(another_file_has_another_claim),
		FILE_TEST(a_file_that_was_there_stays_when_its_open_is_refused),
		FILE_TEST(a_file_of_the_right_size_is_served_as_it_is),
		FILE_TEST(a_larger_file_is_served_from_its_beginning),
		FILE_TEST(a_smaller_file_is_refused_unless_it_may_grow),
		FILE_TEST(without_a_size_the_size_is_not_judged),
		FILE_TEST(a_check_changes_nothing),
		FILE_TEST(other_kinds_of_files_are_refused),
		FILE_TEST(a_path_that_leads_nowhere_is_refused),
		FILE_TEST(a_long_path_keeps_the_cause_in_the_reason),
		FILE_TEST(views_of_the_kernels_state_are_refused),
		FILE_TEST(characters_that_would_be_lost_are_refused_by_the_check),
		FILE_TEST(percent_sequences_stand_for_bytes_when_asked_for),
		FILE_TEST(a_file_without_permission_is_refused),
		FILE_TEST(the_claim_names_the_file_however_it_is_spelled),
		FILE_TEST(a_created_file_has_the_claim_of_a_found_one),
		FILE_TEST(the_claim_is_known_before_it_is_opened),
		FILE_TEST(properties_fit_together),
		FILE_TEST(nothing_is_left_open),
		FILE_TEST(a_device_grows_with_its_file),
		FILE_TEST(a_device_shrinks_only_when_it_may_and_the_file_stays),
		FILE_TEST(a_read_only_device_does_not_make_its_file_grow),
		FILE_TEST(a_device_grows_while_requests_are_in_flight),
	};

	return file_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
