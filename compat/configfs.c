/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of libtcmu_common.h that read the device's files in configfs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include <libtcmu_common.h>

#define FILE_SIZE 4096

/* Reads a file of configfs into text, of FILE_SIZE bytes. 0 or -errno. */
static int configfs_read_text(const char *path, char *text)
{
	FILE *file = fopen(path, "re");
	size_t length;
	int r = 0;

	if (!file)
		return -errno;
	length = fread(text, 1, FILE_SIZE - 1, file);
	if (ferror(file))
		r = -EIO;
	text[length] = '\0';
	(void) fclose(file);
	return r;
}

/* The same for a file of the device. */
static int configfs_read_device(struct tcmu_device *dev, const char *name, char *text)
{
	char path[PATH_MAX];

	if (!TCMU_HOST_HAS(dev->host, name))
		return -ENOSYS;
	(void) snprintf(
		path, sizeof(path), CFGFS_CORE "/%s/%s", dev->host->name(dev->host_device), name);
	return configfs_read_text(path, text);
}

int tcmu_cfgfs_get_int(const char *path)
{
	char text[FILE_SIZE];
	int r = configfs_read_text(path, text);

	return r < 0 ? r : (int) strtol(text, NULL, 0);
}

char *tcmu_cfgfs_get_str(const char *path)
{
	char text[FILE_SIZE];

	if (configfs_read_text(path, text) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return strdup(text);
}

int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name)
{
	char text[FILE_SIZE], file[256];
	int r;

	if (strcmp(name, "hw_block_size") == 0)
		return (int) dev->block_size;
	(void) snprintf(file, sizeof(file), "attrib/%s", name);
	r = configfs_read_device(dev, file, text);
	return r < 0 ? r : (int) strtol(text, NULL, 0);
}

uint64_t tcmu_cfgfs_dev_get_info_u64(struct tcmu_device *dev, const char *name, int *ret)
{
	char text[FILE_SIZE], word[128];
	const char *found;
	char *end;
	uint64_t value;

	*ret = 0;
	if (strcmp(name, "Size") == 0)
		return dev->num_lbas * dev->block_size;
	*ret = configfs_read_device(dev, "info", text);
	if (*ret < 0)
		return 0;
	(void) snprintf(word, sizeof(word), "%s: ", name);
	found = strstr(text, word);
	value = found ? strtoull(found + strlen(word), &end, 0) : 0;
	if (found && end > found + strlen(word))
		return value;
	*ret = -EINVAL;
	return 0;
}

char *tcmu_cfgfs_dev_get_wwn(struct tcmu_device *dev)
{
	char text[FILE_SIZE];
	const char *serial;

	if (configfs_read_device(dev, "wwn/vpd_unit_serial", text) < 0)
		return NULL;
	serial = strstr(text, ": ");
	if (!serial)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return strdup(serial + 2);
}
