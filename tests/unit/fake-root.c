/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A temporary folder that libtcmu takes for "/".
 */
#include "fake-root.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tcmu/scan.h>

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

void fake_root_make(struct fake_root *root)
{
	strcpy(root->path, "/tmp/tcmud-test-XXXXXX");
	if (!mkdtemp(root->path))
		die(root->path);
	tcmu_set_root(root->path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st, (void) type, (void) ftw;
	return remove(path);
}

void fake_root_remove(struct fake_root *root)
{
	tcmu_set_root("");
	if (nftw(root->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		die(root->path);
}

const char *fake_root_path(const struct fake_root *root, const char *path)
{
	static char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root->path, path);
	return full;
}

static void make_folders_above(char *full)
{
	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(full, 0777) < 0 && errno != EEXIST)
			die(full);
		*slash = '/';
	}
}

void fake_root_folder(const struct fake_root *root, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s/", root->path, path);
	make_folders_above(full);
}

void fake_root_write(const struct fake_root *root, const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root->path, path);
	make_folders_above(full);
	file = fopen(full, "we");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		die(full);
}

void fake_root_link(const struct fake_root *root, const char *path, const char *target)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root->path, path);
	make_folders_above(full);
	if (symlink(target, full) < 0)
		die(full);
}

const char *fake_root_read(const struct fake_root *root, const char *path)
{
	static char text[4096];
	const char *full = fake_root_path(root, path);
	FILE *file = fopen(full, "re");

	if (!file)
		die(full);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

void fake_root_drop(const struct fake_root *root, const char *path)
{
	const char *full = fake_root_path(root, path);

	if (remove(full) < 0)
		die(full);
}
