/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seeds of the fuzz target cdb reach every function of the table, so that what is made of them
 * does, too.
 */
#include <fcntl.h>
#include <scsi/optable.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>
#include <setjmp.h>

#include <cmocka.h>

#include "fuzz-cdb.h"

static void give_seed(int directory, const char *name)
{
	static uint8_t input[65536];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	assert_true(fd >= 0);
	length = read(fd, input, sizeof(input));
	assert_true(length > 0 && (size_t) length < sizeof(input));
	close(fd);
	LLVMFuzzerTestOneInput(input, (size_t) length);
}

static void every_operation_of_the_table_is_carried_out(void **state)
{
	const struct scsi_operation *operation;
	unsigned missed = 0;
	struct dirent *entry;
	DIR *directory = opendir(SEEDS);

	(void) state;
	assert_non_null(directory);
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			give_seed(dirfd(directory), entry->d_name);
	closedir(directory);
	for (unsigned i = 0; (operation = scsi_operation_at(i)); i++) {
		if (fuzz_cdb_carried_out(i) != operation->by_target_core)
			continue;
		print_error("%s\n", operation->name);
		missed++;
	}
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_of_the_table_is_carried_out),
	};

	return cmocka_run_group_tests_name("scsi-seeds", tests, NULL, NULL);
}
