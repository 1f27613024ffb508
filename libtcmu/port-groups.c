/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target port groups of a device in configfs (alua/), and their ports. Each number has a
 * file. The members of a group are lines "<fabric>/<target>/tpgt_<tag>/lun_<n>", each followed by
 * a NUL; further properties of a port are in the directories of its fabric. No state; any thread
 * that may block.
 */
#include <tcmu/port-groups.h>

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-file.h"

#define TARGET_ROOT  "/sys/kernel/config/target"
#define MEMBERS_SIZE 4352         /* a page and a little */
#define MEMBERS_FULL (4096 - 256) /* the kernel lists no further member that may not fit */

static const struct {
	const char *file;
	uint8_t bit;
} supports[] = {
	{"alua_support_transitioning", 0x80},    {"alua_support_unavailable", 0x08},
	{"alua_support_standby", 0x04},          {"alua_support_active_nonoptimized", 0x02},
	{"alua_support_active_optimized", 0x01},
};

/* ------- files ------- */

__attribute__((format(printf, 3, 4))) static int read_text(
	char *text, size_t size, const char *format, ...)
{
	char path[TCMU_PATH_SIZE], below[TCMU_PATH_SIZE];
	va_list arguments;
	int length, r;

	va_start(arguments, format);
	length = vsnprintf(below, sizeof(below), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t) length >= sizeof(below))
		return -ENAMETOOLONG;
	r = tcmu_path(path, TARGET_ROOT "/%s", below);
	return r < 0 ? r : tcmu_file_read(path, text, size);
}

static int read_group_text(
	const struct tcmu_name *name, const char *group, const char *file, char *text, size_t size)
{
	return read_text(
		text, size, "core/user_%u/%s/alua/%s/%s", name->hba, name->name, group, file);
}

/* 0 for a file that is missing or holds no number. */
static unsigned read_group_number(const struct tcmu_name *name, const char *group, const char *file)
{
	char text[64];
	uint64_t value;

	if (read_group_text(name, group, file, text, sizeof(text)) < 0 ||
	    tcmu_parse_unsigned(text, &value) < 0)
		return 0;
	return (unsigned) value;
}

/* ------- ports ------- */

/* Reads the port's enable file. Some fabrics write their name with capitals; their directory has
 * small letters. */
static bool find_enabled(struct tcmu_port *port, char *text, size_t size)
{
	int r = read_text(
		text, size, "%s/%s/tpgt_%u/enable", port->fabric, port->target, port->tag);

	if (r >= 0)
		return text[0] == '1';
	for (char *c = port->fabric; *c; c++)
		*c = (char) tolower((unsigned char) *c);
	r = read_text(text, size, "%s/%s/tpgt_%u/enable", port->fabric, port->target, port->tag);
	return r < 0 || text[0] == '1';
}

/* Cuts "<text>/" off a line. False: there is none, or it does not fit. */
static bool take_part(const char **line, char *part, size_t size)
{
	size_t length = strcspn(*line, "/");

	if ((*line)[length] != '/' || length == 0 || length >= size)
		return false;
	memcpy(part, *line, length);
	part[length] = '\0';
	*line += length + 1;
	return true;
}

/* Parses "<label><number>". */
static bool parse_part(const char *part, const char *label, uint64_t max, uint64_t *number)
{
	size_t length = strlen(label);

	return strncmp(part, label, length) == 0 &&
		tcmu_parse_unsigned(part + length, number) == 0 && *number <= max;
}

/* Reads the port that a line of members names. False: the line names none. */
static bool read_port(const char *line, struct tcmu_port *port)
{
	char text[64];
	uint64_t tag, lun, id;

	if (!take_part(&line, port->fabric, sizeof(port->fabric)) ||
	    !take_part(&line, port->target, sizeof(port->target)) ||
	    !take_part(&line, text, sizeof(text)) || !parse_part(text, "tpgt_", UINT16_MAX, &tag) ||
	    !parse_part(line, "lun_", UINT32_MAX, &lun))
		return false;
	port->tag = (uint16_t) tag;
	port->enabled = find_enabled(port, text, sizeof(text));
	if (read_text(
		    text, sizeof(text), "%s/%s/tpgt_%u/lun/lun_%u/statistics/scsi_port/indx",
		    port->fabric, port->target, port->tag, (unsigned) lun) < 0 ||
	    tcmu_parse_unsigned(text, &id) < 0 || id > UINT16_MAX)
		id = 0;
	port->id = (uint16_t) id;
	return true;
}

/* Reads the ports that the text of members names; ends each line. */
static void read_members(char *text, size_t length, struct tcmu_port_group *group, unsigned max)
{
	for (char *line = text, *end; line < text + length; line = end + 1) {
		end = memchr(line, '\n', (size_t) (text + length - line));
		if (!end)
			end = text + length;
		*end = '\0';
		while (line < end && !*line)
			line++;
		assert(group->port_cnt < max);
		if (read_port(line, &group->ports[group->port_cnt]))
			group->port_cnt++;
		else if (*line)
			group->incomplete = true;
	}
}

static int read_ports(const struct tcmu_name *name, struct tcmu_port_group *group)
{
	char *text = malloc(MEMBERS_SIZE);
	int length = text ? read_group_text(name, group->name, "members", text, MEMBERS_SIZE)
			  : -ENOMEM;
	unsigned lines = 1;

	group->incomplete = length < 0 || length > MEMBERS_FULL;
	if (length < 0) {
		free(text);
		return length == -ENOMEM ? length : 0;
	}
	for (int i = 0; i < length; i++)
		lines += text[i] == '\n';
	group->ports = calloc(lines, sizeof(*group->ports));
	if (group->ports)
		read_members(text, (size_t) length, group, lines);
	free(text);
	return group->ports ? 0 : -ENOMEM;
}

/* ------- groups ------- */

static uint8_t read_access(const struct tcmu_name *name, const char *group)
{
	char text[64];

	if (read_group_text(name, group, "alua_access_type", text, sizeof(text)) < 0)
		return 0;
	return (strstr(text, "Implicit") ? 1 : 0) | (strstr(text, "Explicit") ? 2 : 0);
}

static uint8_t read_status(const struct tcmu_name *name, const char *group)
{
	char text[64];

	if (read_group_text(name, group, "alua_access_status", text, sizeof(text)) < 0)
		return 0;
	return strstr(text, "Explicit") ? 1 : strstr(text, "Implicit") ? 2 : 0;
}

/* Returns 1: read; 0: the group has no identifier yet, or is gone; or -ENOMEM. */
static int read_group(const struct tcmu_name *name, struct tcmu_port_group *group)
{
	char text[64];
	uint64_t id;
	int r;

	if (read_group_text(name, group->name, "tg_pt_gp_id", text, sizeof(text)) < 0 ||
	    tcmu_parse_unsigned(text, &id) < 0 || id > UINT16_MAX)
		return 0;
	group->id = (uint16_t) id;
	group->state = (uint8_t) read_group_number(name, group->name, "alua_access_state");
	group->status = read_status(name, group->name);
	group->access = read_access(name, group->name);
	group->preferred = read_group_number(name, group->name, "preferred");
	group->transition_seconds = (uint8_t) read_group_number(
		name, group->name, "implicit_trans_secs");
	for (size_t i = 0; i < sizeof(supports) / sizeof(supports[0]); i++)
		if (read_group_number(name, group->name, supports[i].file))
			group->supported |= supports[i].bit;
	assert(!group->ports && group->port_cnt == 0);
	r = read_ports(name, group);
	return r < 0 ? r : 1;
}

static int compare_groups(const void *a, const void *b)
{
	return ((const struct tcmu_port_group *) a)->id - ((const struct tcmu_port_group *) b)->id;
}

/* Adds a group to the array. Returns 0 or -ENOMEM. */
static int add_group(
	const struct tcmu_name *name, const char *directory, struct tcmu_port_group **groups,
	int *cnt)
{
	struct tcmu_port_group *more = realloc(*groups, ((size_t) *cnt + 1) * sizeof(*more));
	int r;

	assert(*cnt >= 0);
	if (!more)
		return -ENOMEM;
	*groups = more;
	more[*cnt] = (struct tcmu_port_group){0};
	if (snprintf(more[*cnt].name, sizeof(more[*cnt].name), "%s", directory) >=
	    (int) sizeof(more[*cnt].name))
		return 0;
	r = read_group(name, &more[*cnt]);
	if (r > 0)
		(*cnt)++;
	return r < 0 ? r : 0;
}

int tcmu_port_groups_read(const struct tcmu_name *name, struct tcmu_port_group **ret)
{
	char path[TCMU_PATH_SIZE];
	struct tcmu_port_group *groups = NULL;
	struct dirent *entry;
	DIR *directory;
	int cnt = 0;
	int r = tcmu_path(path, TARGET_ROOT "/core/user_%u/%s/alua", name->hba, name->name);

	if (r < 0)
		return r;
	(void) tcmu_file_scarce();
	directory = opendir(path);
	if (!directory)
		return -errno;
	while (r >= 0 && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			r = add_group(name, entry->d_name, &groups, &cnt);
	closedir(directory);
	/* A group of which something could not be read is no answer. */
	if (r >= 0)
		r = tcmu_file_scarce();
	if (r < 0) {
		tcmu_port_groups_free(groups, cnt);
		return r;
	}
	if (cnt)
		qsort(groups, (size_t) cnt, sizeof(*groups), compare_groups);
	*ret = groups;
	return cnt;
}

void tcmu_port_groups_free(struct tcmu_port_group *groups, int cnt)
{
	assert(cnt >= 0 && (groups || cnt == 0));
	for (int i = 0; i < cnt; i++)
		free(groups[i].ports);
	free(groups);
}

static int write_group(
	const struct tcmu_name *name, const char *group, const char *file, unsigned value)
{
	char path[TCMU_PATH_SIZE], text[16];
	int r = tcmu_path(
		path, TARGET_ROOT "/core/user_%u/%s/alua/%s/%s", name->hba, name->name, group,
		file);

	snprintf(text, sizeof(text), "%u", value);
	return r < 0 ? r : tcmu_file_write(path, text);
}

int tcmu_port_groups_set_state(
	const struct tcmu_name *name, const char *group, uint8_t state, bool by_initiator)
{
	int r = write_group(name, group, "alua_access_state", state);

	/* The kernel records a written state as its own decision; this corrects it. */
	return r < 0 || !by_initiator ? r : write_group(name, group, "alua_access_status", 1);
}

int tcmu_port_groups_lu_group(const struct tcmu_name *name, uint16_t *id)
{
	static const char label[] = "LU Group ID:";
	char text[512];
	const char *found;
	uint64_t value;
	int r = read_text(text, sizeof(text), "core/user_%u/%s/alua_lu_gp", name->hba, name->name);

	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	found = strstr(text, label);
	if (!found)
		return -ENOENT;
	found += strlen(label);
	while (*found == ' ')
		found++;
	if (tcmu_parse_unsigned(found, &value) < 0 || value > UINT16_MAX)
		return -EBADMSG;
	*id = (uint16_t) value;
	return 0;
}
