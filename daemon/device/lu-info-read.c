/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stateless. A file of saved mode parameters is called by a checksum of the serial, for a serial
 * may be any text; the serial itself is in it.
 */
#include "device/lu-info-read.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include <tcmu/configfs.h>
#include <tcmu/port-groups.h>

#include "base/log.h"

#define SAVED_GROUP "mode parameters"
#define DEFAULT_GROUP \
	"default_tg_pt_gp" /* of the target core: what was not put elsewhere is in it */

/* ------- ports ------- */

/* The kernel changes a state at our word only where it may be changed implicitly: what only
 * initiators may change cannot be changed at all. */
static uint8_t access_of(const struct tcmu_port_group *group)
{
	return group->access & SCSI_ACCESS_IMPLICIT ? group->access : 0;
}

static void take_group(struct scsi_ports *ports, const struct tcmu_port_group *from)
{
	struct scsi_port_group *group = &ports->groups[ports->group_cnt++];

	*group = (struct scsi_port_group){
		.id = from->id,
		.state = from->state,
		.supported = from->supported,
		.status = from->status,
		.access = access_of(from),
		.preferred = from->preferred,
	};
	for (unsigned i = 0; i < from->port_cnt && i < SCSI_GROUP_PORTS_MAX; i++)
		group->ports[group->port_cnt++] = from->ports[i].id;
	if (from->transition_seconds > ports->transition_seconds)
		ports->transition_seconds = from->transition_seconds;
}

/* What commands can come through: what is the same for all of it is known. */
struct reach {
	unsigned ports;
	unsigned groups;
	const struct tcmu_port *port;
	uint16_t group;
};

static void add_reach(struct reach *reach, const struct tcmu_port_group *group)
{
	unsigned before = reach->ports;

	for (unsigned i = 0; i < group->port_cnt; i++) {
		if (!group->ports[i].enabled)
			continue;
		reach->ports++;
		reach->port = &group->ports[i];
	}
	if (reach->ports == before)
		return;
	reach->groups++;
	reach->group = group->id;
}

static void take_reach(struct scsi_ports *ports, const struct reach *reach)
{
	ports->group_known = reach->groups == 1;
	ports->group = reach->group;
	ports->port_known = reach->ports == 1;
	if (!ports->port_known)
		return;
	ports->port = reach->port->id;
	if (strcmp(reach->port->fabric, "iscsi") != 0)
		return;
	ports->tag = reach->port->tag;
	g_strlcpy(ports->iscsi_name, reach->port->target, sizeof(ports->iscsi_name));
}

/* Whoever has made a group and put ports in it means to have more than one way to the medium, and
 * other hosts at the ends of the others. */
static void take_owner(
	struct scsi_ports *ports, const struct tcmu_port_group *group, const struct reach *before,
	const struct reach *after)
{
	if (strcmp(group->name, DEFAULT_GROUP) == 0 || !group->access)
		return;
	ports->shared = true;
	ports->by_initiators |= (access_of(group) & SCSI_ACCESS_EXPLICIT) != 0;
	if (!ports->host_group && after->ports > before->ports)
		ports->host_group = group->id;
}

static void read_ports(const struct tcmu_name *name, struct scsi_ports *ports)
{
	struct tcmu_port_group *groups = NULL;
	struct reach reach = {0};
	int cnt = tcmu_port_groups_read(name, &groups);

	ports->lu_group_known = tcmu_port_groups_lu_group(name, &ports->lu_group) == 0;
	if (cnt < 0)
		return;
	for (int i = 0; i < cnt && ports->group_cnt < SCSI_PORT_GROUPS_MAX; i++) {
		struct reach before = reach;

		if (!groups[i].port_cnt)
			continue;
		take_group(ports, &groups[i]);
		add_reach(&reach, &groups[i]);
		take_owner(ports, &groups[i], &before, &reach);
	}
	take_reach(ports, &reach);
	tcmu_port_groups_free(groups, cnt);
}

int lu_info_set_groups(const struct tcmu_name *name, const struct scsi_group_states *states)
{
	struct tcmu_port_group *groups = NULL;
	int cnt = tcmu_port_groups_read(name, &groups);
	int r = cnt < 0 ? cnt : 0;

	for (unsigned i = 0; i < states->cnt && r >= 0; i++) {
		int at = 0;

		while (at < cnt && groups[at].id != states->to[i].id)
			at++;
		r = at < cnt ? tcmu_port_groups_set_state(
				       name, groups[at].name, states->to[i].state, true)
			     : -ENODEV;
	}
	tcmu_port_groups_free(groups, cnt < 0 ? 0 : cnt);
	return r;
}

/* ------- saved mode parameters ------- */

static const struct {
	const char *key;
	size_t offset;
} saved_values[] = {
	{"write_cache", offsetof(struct scsi_mode_values, write_cache)},
	{"descriptor_sense", offsetof(struct scsi_mode_values, descriptor_sense)},
	{"software_write_protect", offsetof(struct scsi_mode_values, software_write_protect)},
};

#define SAVED_CNT (sizeof(saved_values) / sizeof(saved_values[0]))

static char *saved_path(const char *state_dir, const char *serial)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, serial, -1);

	return g_strdup_printf("%s/mode-%s", state_dir, sum);
}

/* False: nothing was saved, or what is there is not what we have written. */
static bool load(const char *state_dir, const char *serial, struct scsi_mode_values *values)
{
	g_autofree char *path = saved_path(state_dir, serial);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) error = NULL;

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error)) {
		if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			log_warning(
				"mode parameters that were saved are not used: %s: %s", path,
				error->message);
		return false;
	}
	for (size_t i = 0; i < SAVED_CNT && !error; i++)
		*(bool *) ((char *) values + saved_values[i].offset) = g_key_file_get_boolean(
			file, SAVED_GROUP, saved_values[i].key, &error);
	if (error)
		log_warning(
			"mode parameters that were saved are not used: %s: %s", path,
			error->message);
	return !error;
}

int lu_info_save(const char *state_dir, const char *serial, const struct scsi_mode_values *values)
{
	g_autofree char *path = saved_path(state_dir, serial);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	gsize length;

	g_key_file_set_string(file, SAVED_GROUP, "serial", serial);
	for (size_t i = 0; i < SAVED_CNT; i++)
		g_key_file_set_boolean(
			file, SAVED_GROUP, saved_values[i].key,
			*(const bool *) ((const char *) values + saved_values[i].offset));
	text = g_key_file_to_data(file, &length, NULL);
	if (g_mkdir_with_parents(state_dir, 0755) < 0)
		return -errno;
	if (g_file_set_contents_full(
		    path, text, (gssize) length,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, &error))
		return 0;
	log_error("mode parameters cannot be saved: %s", error->message);
	return -EIO;
}

void lu_info_read(
	const struct tcmu_name *name, const char *state_dir, struct scsi_lu_info *identity)
{
	memset(identity, 0, sizeof(*identity));
	if (tcmu_configfs_unit_serial(name, identity->serial, sizeof(identity->serial)) < 0)
		identity->serial[0] = '\0';
	else if (identity->serial[0])
		identity->has_saved = load(state_dir, identity->serial, &identity->saved);
	read_ports(name, &identity->ports);
}
