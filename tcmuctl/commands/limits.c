/* SPDX-License-Identifier: Apache-2.0 */
/* See limits.h. */
#include "commands/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "members.h"
#include "table.h"

#define CONFIG_MAX 255 /* of the kernel */

/* Whether an option of the config string, up to its ';', is the one that a change sets. */
static bool limits_same_option(const char *option, const char *change)
{
	size_t length = strcspn(change, "=") + 1;

	return strncmp(option, change, length) == 0;
}

/* A name, '=' and a number, which only for bytes may have a unit. */
static bool limits_valid(const char *change)
{
	static const char *const names[] = {"iops=", "bps=", "burst="};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = change + strlen(names[i]);
		size_t digits;

		if (strncmp(change, names[i], strlen(names[i])) != 0)
			continue;
		digits = strspn(value, "0123456789");
		value += digits;
		if (strncmp(change, "bps=", 4) == 0 && *value && strchr("KMGT", *value))
			value++;
		return digits > 0 && digits < 19 && !*value;
	}
	return false;
}

/* A limit of 0 is none, and its option is left out. */
static bool limits_is_none(const char *change)
{
	const char *value = strchr(change, '=') + 1;

	return value[strspn(value, "0KMGT")] == '\0';
}

int limits_config(
	const char *config, char *const *changes, int cnt, char *changed, size_t size,
	const char **wrong)
{
	size_t used = strcspn(config, ";");

	for (int i = 0; i < cnt; i++) {
		*wrong = changes[i];
		if (!limits_valid(changes[i]))
			return -EINVAL;
	}
	if (used >= size)
		return -ENAMETOOLONG;
	memcpy(changed, config, used);
	changed[used] = '\0';
	for (const char *option = config + used; *option;) {
		size_t length = 1 + strcspn(option + 1, ";");
		bool kept = true;

		for (int i = 0; i < cnt; i++)
			kept &= !limits_same_option(option + 1, changes[i]);
		if (kept && used + length >= size)
			return -ENAMETOOLONG;
		if (kept) {
			memcpy(changed + used, option, length);
			used += length;
			changed[used] = '\0';
		}
		option += length;
	}
	for (int i = 0; i < cnt; i++) {
		bool last = true;
		int n;

		for (int later = i + 1; later < cnt; later++)
			last &= !limits_same_option(changes[later], changes[i]);
		if (!last || limits_is_none(changes[i]))
			continue;
		n = snprintf(changed + used, size - used, ";%s", changes[i]);
		if (n < 0 || (size_t) n >= size - used)
			return -ENAMETOOLONG;
		used += (size_t) n;
	}
	return used > CONFIG_MAX ? -ENAMETOOLONG : 0;
}

int limits_write(const char *core, const char *device, const char *config)
{
	char path[PATH_MAX];
	int fd, r = 0;

	if (snprintf(path, sizeof(path), "%s/%s/attrib/dev_config", core, device) >=
	    (int) sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, config, strlen(config)) < 0)
		r = -errno;
	(void) close(fd);
	return r;
}

void limits_show(FILE *out, const json_t *status)
{
	const json_t *limits = json_object_get(status, "limits");
	double iops = member_number(limits, "iops"), bps = member_number(limits, "bps");
	double burst = member_number(limits, "burst");
	char text[TABLE_TEXT_SIZE];

	fprintf(out, "%s: ", member_text(status, "device"));
	if (iops <= 0 && bps <= 0) {
		fputs("no limits\n", out);
		return;
	}
	if (iops > 0)
		fprintf(out, "%.0f commands/s", iops);
	if (bps > 0)
		fprintf(out, "%s%.0f bytes/s (%s/s)", iops > 0 ? ", " : "", bps,
			table_size(bps, text));
	if (burst > 0)
		fprintf(out, ", bursts of %.0f s", burst);
	fputc('\n', out);
}
