/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vital product data (SPC-4 7.8, SBC-3 6.6).
 *
 * The pages 80h and 83h identify the logical unit: if a byte changed, initiators would see
 * another logical unit. So for the same serial they are what tcmu-runner has always sent,
 * trailing NULs included. The serial is set in configfs after the device was created; so it must
 * be fresh whenever a command reports it.
 */
#include "vpd.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "lu.h"
#include "sense.h"
#include "xcopy.h"

#define T10_VENDOR     "LIO-ORG "
#define DESIGNATOR_MAX 255u /* of the one-byte DESIGNATOR LENGTH */

/* ASSOCIATION, in the byte of the DESIGNATOR TYPE; 0 is the logical unit. */
#define TARGET_PORT   0x10
#define TARGET_DEVICE 0x20

/* A page's function puts the bytes after the header and returns their number. */
struct vpd_page {
	uint8_t code;
	bool has_serial;
	bool needs_xcopy; /* supported with lu->max_xcopies */
	unsigned (*put)(const struct scsi_lu *lu, uint8_t *p);
};

static unsigned put_supported_pages(const struct scsi_lu *lu, uint8_t *p);

/* A string with its NUL in at most max bytes. Returns the length, NUL included. */
static unsigned put_string(uint8_t *p, const char *text, size_t max)
{
	size_t length = strnlen(text, max - 1);

	memcpy(p, text, length);
	p[length] = 0;
	return (unsigned) length + 1;
}

/* Unit serial number. Blanks if it is not set yet (SPC-4 7.8). */
static unsigned put_serial(const struct scsi_lu *lu, uint8_t *p)
{
	assert(lu->lu_info_fresh);
	if (lu->serial[0])
		return put_string(p, lu->serial, sizeof(lu->serial));
	memset(p, ' ', 4);
	return 4;
}

/* ------- device identification ------- */

static unsigned put_designator_header(uint8_t *p, uint8_t code_set, uint8_t type, unsigned length)
{
	assert(length > 0 && length <= DESIGNATOR_MAX);
	p[0] = code_set;
	p[1] = type;
	p[2] = 0;
	p[3] = (uint8_t) length;
	return 4 + length;
}

static unsigned put_t10_vendor(const struct scsi_lu *lu, uint8_t *p)
{
	memcpy(p + 4, T10_VENDOR, 8);
	return put_designator_header(
		p, 0x02, 0x01, 8 + put_string(p + 12, lu->serial, DESIGNATOR_MAX - 8));
}

static unsigned put_naa(const struct scsi_lu *lu, uint8_t *p)
{
	assert(lu->serial[0]);
	scsi_naa(lu, p + 4);
	return put_designator_header(p, 0x01, 0x03, SCSI_NAA_LENGTH);
}

/* The config string, as tcmu-runner sends it, or the serial, which reports nothing of the host. */
static unsigned put_vendor_specific(const struct scsi_lu *lu, uint8_t *p)
{
	const char *text = lu->config[0] ? lu->config : lu->serial;

	return text[0]
		? put_designator_header(p, 0x02, 0x00, put_string(p + 4, text, DESIGNATOR_MAX))
		: 0;
}

/* A relative target port identifier, a target port group or a logical unit group (SPC-4 7.8.6.7
 * to 7.8.6.9). */
static unsigned put_number(uint8_t *p, uint8_t type, uint16_t number)
{
	put_be32(p + 4, number);
	return put_designator_header(p, 0x01, type, 4);
}

/* SCSI name strings of the iSCSI target port and of its target device (SPC-4 7.8.6.11, RFC
 * 7143 13.18): UTF-8 with one to four NULs at its end. */
static unsigned put_iscsi_names(const struct scsi_lu *lu, uint8_t *p)
{
	const struct scsi_ports *ports = &lu->ports;
	unsigned total = 0;

	for (unsigned device = 0; device < 2; device++) {
		char *name = (char *) p + total + 4;
		int length = device ? snprintf(name, DESIGNATOR_MAX, "%s", ports->iscsi_name)
				    : snprintf(
					      name, DESIGNATOR_MAX, "%s,t,0x%04x",
					      ports->iscsi_name, ports->tag);
		unsigned padded = ((unsigned) length / 4 + 1) * 4;

		assert(length > 0 && padded <= DESIGNATOR_MAX);
		memset(name + length, 0, padded - (unsigned) length);
		total += put_designator_header(
			p + total, 0x03, device ? TARGET_DEVICE | 0x08 : TARGET_PORT | 0x08,
			padded);
	}
	return total;
}

/* The ports and groups of the logical unit, as far as they are the same for every port. */
static unsigned put_ports(const struct scsi_lu *lu, uint8_t *p)
{
	const struct scsi_ports *ports = &lu->ports;
	unsigned length = 0;

	if (ports->port_known)
		length += put_number(p, TARGET_PORT | 0x04, ports->port);
	if (ports->group_known && lu->has_port_groups)
		length += put_number(p + length, TARGET_PORT | 0x05, ports->group);
	if (ports->lu_group_known && lu->has_port_groups)
		length += put_number(p + length, 0x06, ports->lu_group);
	if (ports->iscsi_name[0])
		length += put_iscsi_names(lu, p + length);
	return length;
}

/* Without a serial the T10 and NAA designators would not be unique: they are left out. */
static unsigned put_identification(const struct scsi_lu *lu, uint8_t *p)
{
	unsigned length = 0;

	if (lu->serial[0]) {
		length += put_t10_vendor(lu, p);
		length += put_naa(lu, p + length);
	}
	length += put_vendor_specific(lu, p + length);
	return length + put_ports(lu, p + length);
}

/* ------- features and limits ------- */

/* Extended INQUIRY data (SPC-4 7.8): only SIMPLE, because task attributes are ignored. */
static unsigned put_extended_inquiry(const struct scsi_lu *lu, uint8_t *p)
{
	memset(p, 0, 60);
	p[1] = 0x01;                                                     /* SIMPSUP */
	p[2] = lu->write_cache_changeable || lu->write_cache ? 0x01 : 0; /* V_SUP */
	return 60;
}

/* Mode page policy (SPC-4 7.8): all mode pages are shared by all initiators. */
static unsigned put_mode_page_policy(const struct scsi_lu *lu, uint8_t *p)
{
	(void) lu;
	put_be32(p, 0x3fff0000);
	return 4;
}

/* Block limits (SBC-3 6.6). 0 means no limit, except for unmapping, where it would mean that UNMAP
 * is not supported. */
static unsigned put_block_limits(const struct scsi_lu *lu, uint8_t *p)
{
	uint32_t granularity = lu->optimal_granularity;

	memset(p, 0, 60);
	p[0] = 0x01; /* WSNZ */
	p[1] = lu->max_compare_and_write;
	put_be16(p + 2, granularity < UINT16_MAX ? (uint16_t) granularity : UINT16_MAX);
	put_be32(p + 4, lu->max_transfer);
	put_be32(p + 8, lu->optimal_transfer);
	if (lu->unmap) {
		put_be32(p + 16, scsi_lu_max_unmap(lu));
		put_be32(p + 20, SCSI_UNMAP_DESCRIPTORS_MAX);
		put_be32(p + 24, lu->unmap_granularity);
		put_be32(p + 28, 0x80000000u | (lu->unmap_alignment & 0x7fffffffu)); /* UGAVALID */
	}
	put_be64(p + 32, lu->max_write_same);
	if (lu->max_atomic) {
		put_be32(p + 40, lu->max_atomic);
		put_be32(p + 44, lu->atomic_alignment);
		put_be32(p + 48, lu->atomic_granularity);
	}
	return 60;
}

/* Block device characteristics (SBC-3 6.6). The rotation rate is not known. Blocks can be read
 * after a block erase without a write. */
static unsigned put_characteristics(const struct scsi_lu *lu, uint8_t *p)
{
	memset(p, 0, 60);
	put_be16(p, lu->rotational ? 0x0000 : 0x0001);
	p[3] = lu->dataless ? 0x40 : 0; /* WABEREQ */
	p[4] = 0x03;                    /* FUAB, VBULS */
	return 60;
}

/* Logical block provisioning (SBC-3 6.6). */
static unsigned put_provisioning(const struct scsi_lu *lu, uint8_t *p)
{
	memset(p, 0, 4);
	if (lu->unmap)
		p[1] |= 0xe0; /* LBPU, LBPWS, LBPWS10 */
	if (scsi_lu_provisioned(lu) && lu->unmap_zeroes)
		p[1] |= 0x04; /* LBPRZ */
	if (scsi_lu_provisioned(lu))
		p[2] = lu->thin ? 0x02 : 0x01;
	return 4;
}

/* ------- pages ------- */

static const struct vpd_page pages[] = {
	{.code = 0x00, .put = put_supported_pages},
	{.code = 0x80, .has_serial = true, .put = put_serial},
	{.code = 0x83, .has_serial = true, .put = put_identification},
	{.code = 0x86, .put = put_extended_inquiry},
	{.code = 0x87, .put = put_mode_page_policy},
	{.code = 0x8f, .needs_xcopy = true, .put = scsi_put_third_party_copy},
	{.code = 0xb0, .put = put_block_limits},
	{.code = 0xb1, .put = put_characteristics},
	{.code = 0xb2, .put = put_provisioning},
};

#define PAGE_CNT (sizeof(pages) / sizeof(pages[0]))

static bool page_there(const struct scsi_lu *lu, const struct vpd_page *page)
{
	return !page->needs_xcopy || lu->max_xcopies;
}

static unsigned put_supported_pages(const struct scsi_lu *lu, uint8_t *p)
{
	unsigned cnt = 0;

	for (size_t i = 0; i < PAGE_CNT; i++)
		if (page_there(lu, &pages[i]))
			p[cnt++] = pages[i].code;
	return cnt;
}

enum scsi_verdict scsi_inquiry_vpd(struct scsi_call *call)
{
	uint8_t *data = call->result->data;
	unsigned length;

	for (size_t i = 0; i < PAGE_CNT; i++) {
		if (pages[i].code != call->cdb[2] || !page_there(call->lu, &pages[i]))
			continue;
		if (pages[i].has_serial && !call->lu->lu_info_fresh)
			return SCSI_NEEDS_LU_INFO;
		length = pages[i].put(call->lu, data + 4);
		assert(length <= UINT16_MAX && 4 + length <= SCSI_DATA_MAX);
		data[0] = 0x00; /* a direct access block device is connected */
		data[1] = pages[i].code;
		put_be16(data + 2, (uint16_t) length);
		return scsi_good_data(call, 4 + length, get_be16(call->cdb + 3));
	}
	return scsi_refuse_cdb(call, 2, NO_BIT);
}
