/* SPDX-License-Identifier: Apache-2.0 */
#include "device/configfs.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include <tcmu/configfs.h>
#include <tcmu/mappings.h>
#include <tcmu/port-groups.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/reason.h"
#include "base/scarce.h"

#define MAX_SECTORS_DEFAULT 128u /* the kernel's */
#define DATA_AREA_COMMANDS  16u  /* commands of the largest size fit in the data area */
#define DEFAULT_GROUP       "default_tg_pt_gp" /* the target core's, for ports without a group */

/* ------- attributes ------- */

static int configfs_refuse_attribute(const char *attribute, int error, struct tcmu_reason *reason)
{
	return reason_refuse(
		reason, error, "cannot read its attribute %s: %s", attribute, strerror(-error));
}

static int configfs_require(
	const struct tcmu_name *name, const char *attribute, uint64_t *value,
	struct tcmu_reason *reason)
{
	int r = tcmu_configfs_get(name, attribute, value);

	return r < 0 ? configfs_refuse_attribute(attribute, r, reason) : 0;
}

/* Whether an attribute could not be read. One that is there is not taken for one that the kernel
 * does not have. */
static bool configfs_is_unread(int r)
{
	return r < 0 && r != -ENOENT;
}

/* Reads attributes that the kernel may not have; *value stays then. */
static int configfs_optional(
	const struct tcmu_name *name, const char *attribute, uint64_t *value,
	struct tcmu_reason *reason)
{
	uint64_t found;
	int r = tcmu_configfs_get(name, attribute, &found);

	if (configfs_is_unread(r))
		return configfs_refuse_attribute(attribute, r, reason);
	if (r >= 0)
		*value = found;
	return 0;
}

/* The kernel's default of hw_max_sectors makes large transfers slow. It can be raised only while
 * nobody uses the device. */
static void configfs_raise_max_sectors(
	const struct tcmu_name *name, uint64_t max_transfer, struct device_attributes *attributes)
{
	uint64_t area = 0;
	uint32_t sectors;

	if (attributes->max_sectors != MAX_SECTORS_DEFAULT || !attributes->block_size ||
	    tcmu_configfs_get(name, "max_data_area_mb", &area) < 0)
		return;
	area = area * 1024 * 1024 / DATA_AREA_COMMANDS;
	sectors = (uint32_t) (MIN(max_transfer, area) / attributes->block_size);
	if (sectors > attributes->max_sectors && tcmu_configfs_set_max_sectors(name, sectors) == 0)
		attributes->max_sectors = sectors;
}

/* The kernel's default of the attribute is 0, and the write cache is on. A creation makes the
 * attribute say so, before anybody can write it: a 0 is an administrator's from then on. Without
 * replies the creation does not wait. */
static int configfs_show_write_cache(
	const struct tcmu_name *name, struct device_attributes *attributes,
	struct tcmu_reason *reason)
{
	uint64_t write_cache = 1;
	int r;

	attributes->write_cache_shown = attributes->replies &&
		tcmu_configfs_set_before_enable(name, "emulate_write_cache", "1") == 0;
	r = configfs_optional(name, "emulate_write_cache", &write_cache, reason);
	attributes->write_cache = write_cache != 0;
	return r;
}

/* Without replies the creation does not wait, and an initiator may have reserved already. */
static int configfs_show_reservations(
	const struct tcmu_name *name, struct device_attributes *attributes,
	struct tcmu_reason *reason)
{
	uint64_t reservations = 1;
	int r = 0;

	if (attributes->no_reservations)
		r = attributes->replies ? tcmu_configfs_set_before_enable(name, "emulate_pr", "0")
					: -EOPNOTSUPP;
	if (r < 0)
		log_warning(
			"user_%u/%s: cannot make its attribute emulate_pr 0: %s; initiators may "
			"reserve it, and other gateways do not know that",
			name->hba, name->name, strerror(-r));
	r = configfs_optional(name, "emulate_pr", &reservations, reason);
	attributes->no_reservations = reservations == 0;
	return r;
}

static int configfs_read_creation(
	const struct tcmu_name *name, struct device_attributes *attributes,
	struct tcmu_reason *reason)
{
	int r = tcmu_configfs_enabled(name);

	if (r < 0)
		return reason_refuse(
			reason, r, "cannot read its state in configfs: %s", strerror(-r));
	attributes->configured = r > 0;
	r = tcmu_configfs_device_id(name, &attributes->id);
	if (r < 0)
		return reason_refuse(
			reason, r, "cannot read its number in configfs: %s", strerror(-r));
	return 0;
}

int configfs_read_command_timeout(
	const struct tcmu_name *name, uint64_t *timeout, struct tcmu_reason *reason)
{
	uint64_t seconds = 0;
	int r = configfs_optional(name, "cmd_time_out", &seconds, reason);

	if (r >= 0)
		*timeout = seconds * CLOCK_NS_PER_SEC;
	return r;
}

int configfs_read_attributes(
	const struct tcmu_name *name, enum device_origin origin, uint64_t max_transfer,
	struct device_attributes *attributes, struct tcmu_reason *reason)
{
	uint64_t block_size, max_sectors, data_pages = 0;
	uint64_t port_groups = 1;
	int64_t replies;
	int r;

	assert(origin < DEVICE_ORIGIN_COUNT);
	if ((r = configfs_require(name, "hw_block_size", &block_size, reason)) < 0 ||
	    (r = configfs_require(name, "dev_size", &attributes->size, reason)) < 0 ||
	    (r = configfs_require(name, "hw_max_sectors", &max_sectors, reason)) < 0 ||
	    (r = configfs_read_command_timeout(name, &attributes->command_timeout, reason)) < 0 ||
	    (r = configfs_optional(name, "data_pages_per_blk", &data_pages, reason)) < 0 ||
	    (r = configfs_optional(name, "alua_support", &port_groups, reason)) < 0)
		return r;
	attributes->data_pages = (uint32_t) data_pages;
	attributes->block_size = (uint32_t) block_size;
	attributes->max_sectors = (uint32_t) max_sectors;
	if (origin == DEVICE_ORIGIN_ADDED)
		configfs_raise_max_sectors(name, max_transfer, attributes);
	attributes->no_port_groups = port_groups == 0;
	/* A kernel without the attribute always waits. */
	r = tcmu_configfs_get_signed(name, "nl_reply_supported", &replies);
	if (configfs_is_unread(r))
		return configfs_refuse_attribute("nl_reply_supported", r, reason);
	attributes->replies = r < 0 || replies == 1;
	if ((r = configfs_show_reservations(name, attributes, reason)) < 0 ||
	    (r = configfs_show_write_cache(name, attributes, reason)) < 0)
		return r;
	attributes->configured = false;
	return origin == DEVICE_ORIGIN_FOUND ? configfs_read_creation(name, attributes, reason) : 0;
}

/* ------- before a device is served ------- */

/* The administration tools may move dbroot until the first fabric module is loaded, so it is read
 * for each device. */
static void configfs_create_directories(void)
{
	static const char *const names[] = {"pr", "alua"};
	char root[256], path[300];

	if (tcmu_configfs_dbroot(root, sizeof(root)) < 0)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		(void) snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		if (g_mkdir_with_parents(path, 0755) < 0)
			log_warning("cannot create %s: %s", path, strerror(errno));
	}
}

void configfs_prepare(const struct tcmu_name *name)
{
	/* Older kernels lack the attribute: there, aborted commands end when their time is up. */
	(void) tcmu_configfs_set(name, "tmr_notification", "1");
	configfs_create_directories();
}

/* A kernel before 4.19 has no actions. */
static int configfs_act(const struct tcmu_name *name, const char *action, unsigned value)
{
	int r = tcmu_configfs_action(name, action, value);

	return r == -ENOENT ? 0 : r;
}

int configfs_block(const struct tcmu_name *name, bool on)
{
	return configfs_act(name, "block_dev", on);
}

int configfs_reset_ring(const struct tcmu_name *name)
{
	return configfs_act(name, "reset_ring", 1);
}

/* ------- ports ------- */

/* The kernel lets the daemon change a state only where implicit changes are allowed. A group that
 * only initiators may change cannot be changed at all. */
static uint8_t ports_access(const struct tcmu_port_group *group)
{
	return group->access & SCSI_ACCESS_IMPLICIT ? group->access : 0;
}

static void ports_add_group(struct scsi_ports *ports, const struct tcmu_port_group *from)
{
	struct scsi_port_group *group;

	assert(ports->group_cnt < SCSI_PORT_GROUPS_MAX);
	group = &ports->groups[ports->group_cnt++];
	*group = (struct scsi_port_group){
		.id = from->id,
		.state = from->state,
		.supported = from->supported,
		.status = from->status,
		.access = ports_access(from),
		.preferred = from->preferred,
	};
	for (unsigned i = 0; i < from->port_cnt && group->port_cnt < SCSI_GROUP_PORTS_MAX; i++)
		if (from->ports[i].id)
			group->ports[group->port_cnt++] = from->ports[i].id;
	if (from->transition_seconds > ports->transition_seconds)
		ports->transition_seconds = from->transition_seconds;
}

/* The enabled ports. A fact that all of them share is known of every command. */
struct reach {
	unsigned ports;
	unsigned groups;
	const struct tcmu_port *port;
	uint16_t group;
};

static void reach_add(struct reach *reach, const struct tcmu_port_group *group)
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
	assert(reach->groups <= reach->ports);
	reach->group = group->id;
}

static void reach_report(struct scsi_ports *ports, const struct reach *reach)
{
	ports->group_known = reach->groups == 1;
	ports->group = reach->group;
	if (reach->ports != 1)
		return;
	/* 0 is reserved: since Linux 6.5 a port has an identifier only once its TPG is enabled, and
	 * tcm_loop's never is. The names and the group still say which port it is. */
	ports->port_known = reach->port->id != 0;
	ports->port = reach->port->id;
	if (strcmp(reach->port->fabric, "iscsi") != 0)
		return;
	ports->tag = reach->port->tag;
	g_strlcpy(ports->iscsi_name, reach->port->target, sizeof(ports->iscsi_name));
}

/* A group that an administrator made and put ports in means several paths to the medium, with other
 * hosts at the ends of the others. */
static void ports_add_sharing(
	struct scsi_ports *ports, const struct tcmu_port_group *group, const struct reach *before,
	const struct reach *after)
{
	if (strcmp(group->name, DEFAULT_GROUP) == 0 || !group->access)
		return;
	ports->shared = true;
	ports->by_initiators |= (ports_access(group) & SCSI_ACCESS_EXPLICIT) != 0;
	if (!ports->host_group && after->ports > before->ports)
		ports->host_group = group->id;
}

/* Since Linux 5.13 tcm_loop reports commands that a LUN RESET has aborted as done, with GOOD. A
 * port that cannot be read may be one of it. */
static bool ports_may_have_loopback(const struct tcmu_port_group *group)
{
	if (group->incomplete)
		return true;
	for (unsigned i = 0; i < group->port_cnt; i++)
		if (g_ascii_strcasecmp(group->ports[i].fabric, "loopback") == 0)
			return true;
	return false;
}

static int ports_read(const struct tcmu_name *name, struct scsi_ports *ports)
{
	struct tcmu_port_group *groups = NULL;
	struct reach reach = {0};
	bool loopback = false;
	int cnt = tcmu_port_groups_read(name, &groups);
	int r = tcmu_port_groups_lu_group(name, &ports->lu_group);

	ports->lu_group_known = r == 0;
	if (cnt < 0)
		return scarce_error(cnt) ? cnt : r;
	for (int i = 0; i < cnt && ports->group_cnt < SCSI_PORT_GROUPS_MAX; i++) {
		struct reach before = reach;

		loopback |= ports_may_have_loopback(&groups[i]);
		if (!groups[i].port_cnt)
			continue;
		ports_add_group(ports, &groups[i]);
		reach_add(&reach, &groups[i]);
		ports_add_sharing(ports, &groups[i], &before, &reach);
	}
	ports->reset_cancels = ports->group_cnt && ports->group_cnt < SCSI_PORT_GROUPS_MAX &&
		!loopback;
	reach_report(ports, &reach);
	tcmu_port_groups_free(groups, cnt);
	return r;
}

int configfs_set_groups(const struct tcmu_name *name, const struct scsi_group_states *states)
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

int configfs_check_mappings(const struct tcmu_name *name)
{
	struct tcmu_mappings mappings;
	int r = tcmu_mappings_read(name, &mappings);

	if (r == -EROFS || r == -EBUSY || r == -EAGAIN || r == -ESHUTDOWN)
		return -EIO;
	if (r < 0)
		return r;
	return mappings.write_protected ? -EROFS : mappings.reserved ? -EBUSY : 0;
}

int configfs_check_copy(const struct tcmu_name *name, const struct tcmu_name *other, bool writes)
{
	struct tcmu_mappings mappings;
	bool may_read, may_write;

	if (!other->name[0] || tcmu_mappings_compare(name, other, &may_read, &may_write) < 0 ||
	    tcmu_mappings_read(other, &mappings) < 0)
		return -ENODEV;
	return (writes ? may_write : may_read) && !mappings.reserved ? 0 : -ENODEV;
}

int configfs_read_lu_info(const struct tcmu_name *name, struct scsi_lu_info *lu_info)
{
	int r;

	memset(lu_info, 0, sizeof(*lu_info));
	r = tcmu_configfs_unit_serial(name, lu_info->serial, sizeof(lu_info->serial));
	if (r < 0)
		lu_info->serial[0] = '\0';
	if (!scarce_error(r))
		r = ports_read(name, &lu_info->ports);
	if (!scarce_error(r))
		return 0;
	memset(lu_info, 0, sizeof(*lu_info));
	return r;
}
