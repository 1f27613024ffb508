/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Target port groups and their asymmetric access states (SPC-4 5.15, 6.37, 6.45), and the update
 * of a logical unit with new LU info.
 *
 * The target core keeps the states: it refuses a command that the state of a group does not
 * allow, and reports a changed state to every initiator. This file reports the states and decodes
 * changes, which the caller carries out.
 */
#include "alua.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "data-out.h"
#include "mode.h"
#include "sbc.h"
#include "sense.h"

#define STATES_HEADER    4u
#define STATE_DESCRIPTOR 4u
#define LIST_MAX         (STATES_HEADER + STATE_DESCRIPTOR * SCSI_PORT_GROUPS_MAX)

/* The bit of a state among the supported ones (SPC-4 6.37, table 299). OFFLINE is a state of
 * ports, and TRANSITIONING cannot be requested. */
static uint8_t supported_bit(uint8_t state)
{
	switch (state) {
	case SCSI_ACTIVE_OPTIMIZED:
		return 0x01;
	case SCSI_ACTIVE_NONOPTIMIZED:
		return 0x02;
	case SCSI_STANDBY:
		return 0x04;
	case SCSI_UNAVAILABLE:
		return 0x08;
	default:
		return 0;
	}
}

/* ------- REPORT TARGET PORT GROUPS ------- */

static unsigned put_group(const struct scsi_port_group *group, uint8_t *p)
{
	assert(group->port_cnt <= SCSI_GROUP_PORTS_MAX);
	memset(p, 0, 8);
	p[0] = (group->preferred ? 0x80 : 0) | (group->state & 0x0f); /* PREF */
	p[1] = group->supported;
	put_be16(p + 2, group->id);
	p[5] = group->status;
	p[7] = (uint8_t) group->port_cnt;
	for (unsigned i = 0; i < group->port_cnt; i++)
		put_be32(p + 8 + (size_t) 4 * i, group->ports[i]);
	return 8 + 4 * group->port_cnt;
}

/* SPC-4 6.37, with the length only or the extended header. */
enum scsi_verdict scsi_report_port_groups(struct scsi_call *call)
{
	const struct scsi_ports *ports = &call->lu->ports;
	bool extended = call->cdb[1] & 0x20;
	uint8_t *data = call->result->data;
	unsigned length = extended ? 8 : 4;

	assert(ports->group_cnt <= SCSI_PORT_GROUPS_MAX);
	memset(data, 0, length);
	if (extended) {
		data[4] = 0x10;
		data[5] = ports->transition_seconds;
	}
	for (unsigned i = 0; i < ports->group_cnt; i++)
		length += put_group(&ports->groups[i], data + length);
	put_be32(data, length - 4);
	return scsi_good_data(call, length, get_be32(call->cdb + 6));
}

/* ------- SET TARGET PORT GROUPS ------- */

static const struct scsi_port_group *find_group(const struct scsi_lu *lu, uint16_t id)
{
	for (unsigned i = 0; i < lu->ports.group_cnt; i++)
		if (lu->ports.groups[i].id == id)
			return &lu->ports.groups[i];
	return NULL;
}

/* SPC-4 6.45. An invalid list changes nothing. */
enum scsi_verdict scsi_set_port_groups(struct scsi_call *call)
{
	uint32_t length = get_be32(call->cdb + 6);
	struct scsi_group_states *states = &call->result->states;
	uint8_t list[LIST_MAX];

	if (length == 0)
		return scsi_good(call);
	if (length < STATES_HEADER || (length - STATES_HEADER) % STATE_DESCRIPTOR ||
	    length > sizeof(list) || !scsi_data_out(call->task, 0, list, length))
		return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	states->cnt = 0;
	for (unsigned at = STATES_HEADER; at < length; at += STATE_DESCRIPTOR) {
		uint8_t state = list[at] & 0x0f;
		const struct scsi_port_group *group = find_group(call->lu, get_be16(list + at + 2));

		if (!group || !(group->access & SCSI_ACCESS_EXPLICIT))
			return scsi_refuse_list(call, at + 2, NO_BIT);
		if (!(group->supported & supported_bit(state)))
			return scsi_refuse_list(call, at, 3);
		assert(states->cnt < SCSI_PORT_GROUPS_MAX);
		states->to[states->cnt].id = group->id;
		states->to[states->cnt++].state = state;
	}
	return states->cnt ? scsi_plan(call, SCSI_PLAN_SET_GROUPS, 0, 0, 0) : scsi_good(call);
}

void scsi_groups_end(int error, struct scsi_result *result)
{
	assert(error <= 0);
	if (error == -EAGAIN || error == -ESHUTDOWN)
		result->status = SCSI_BUSY;
	else
		scsi_plan_end(result, error ? SENSE_SET_PORT_GROUPS_FAILED : 0);
}

/* ------- LU info ------- */

void scsi_set_lu_info(struct scsi_lu *lu, const struct scsi_lu_info *info)
{
	bool first = !lu->can_save && info->serial[0];

	assert(info->ports.group_cnt <= SCSI_PORT_GROUPS_MAX);
	assert(memchr(info->serial, '\0', sizeof(info->serial)));
	memcpy(lu->serial, info->serial, sizeof(lu->serial));
	lu->ports = info->ports;
	lu->can_save = info->serial[0];
	if (first)
		scsi_mode_set_saved(lu, info->has_saved ? &info->saved : NULL);
}
