/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode pages (SPC-4 7.5, SBC-3 6.5) by one table: MODE SENSE puts the current, changeable, default
 * or saved values of a page. MODE SELECT accepts a page that differs from the current values in
 * changeable bits only. Values can be saved if the caller can store them. Where the medium is
 * read-only, no initiator changes anything: nothing is changeable, and nothing is saved.
 */
#include "mode.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "data-out.h"
#include "lu.h"
#include "sbc.h"
#include "sense.h"

/* PC, page control */
enum page_values {
	VALUES_CURRENT,
	VALUES_CHANGEABLE,
	VALUES_DEFAULT,
	VALUES_SAVED,
};

#define ALL_PAGES    0x3f
#define ALL_SUBPAGES 0xff
#define PAGE_MAX     32u

struct mode_page {
	uint8_t code;
	uint8_t subcode; /* 0: of the page_0 format */
	uint8_t length;  /* all of it */
	/* Puts the changeable values into a page that is zero except for its header. NULL: there
	 * are none. */
	void (*put)(const struct scsi_mode_values *values, uint8_t *p);
	/* Puts the constant values; not called for PC 1 (changeable). NULL: there are none. */
	void (*put_fixed)(uint8_t *p);
	/* Reads the changeable values from a page. NULL if put is NULL. */
	void (*take)(struct scsi_mode_values *values, const uint8_t *p);
};

/* ------- the pages ------- */

static void put_caching(const struct scsi_mode_values *values, uint8_t *p)
{
	p[2] = values->write_cache ? 0x04 : 0; /* WCE */
}

static void take_caching(struct scsi_mode_values *values, const uint8_t *p)
{
	values->write_cache = p[2] & 0x04;
}

static void put_control(const struct scsi_mode_values *values, uint8_t *p)
{
	p[2] = values->descriptor_sense ? 0x04 : 0;       /* D_SENSE */
	p[4] = values->software_write_protect ? 0x08 : 0; /* SWP */
}

static void put_control_fixed(uint8_t *p)
{
	p[2] |= 0x02; /* GLTSD */
	p[3] = 0x10;  /* QUEUE ALGORITHM MODIFIER: unrestricted reordering */
	p[5] = 0x40;  /* TAS: the target core reports aborted tasks to other initiators */
	put_be16(p + 8, 0xffff); /* BUSY TIMEOUT PERIOD: unlimited */
}

static void take_control(struct scsi_mode_values *values, const uint8_t *p)
{
	values->descriptor_sense = p[2] & 0x04;
	values->software_write_protect = p[4] & 0x08;
}

static void put_exceptions_fixed(uint8_t *p)
{
	p[2] = 0x08; /* DEXCPT: none are reported */
}

/* In the order in which "all pages" returns them. */
static const struct mode_page pages[] = {
	{0x01, 0x00, 12, NULL, NULL, NULL}, /* read-write error recovery: done by the backend */
	{0x08, 0x00, 20, put_caching, NULL, take_caching},
	{0x0a, 0x00, 12, put_control, put_control_fixed, take_control},
	{0x0a, 0x01, 32, NULL, NULL, NULL}, /* control extension */
	{0x1c, 0x00, 12, NULL, put_exceptions_fixed, NULL},
};

#define PAGE_CNT (sizeof(pages) / sizeof(pages[0]))

/* The length of a page's header in bytes. */
static unsigned page_header(const struct mode_page *page)
{
	return page->subcode ? 4 : 2;
}

static struct scsi_mode_values current_values(const struct scsi_lu *lu)
{
	return (struct scsi_mode_values){
		.write_cache = lu->write_cache,
		.descriptor_sense = lu->descriptor_sense,
		.software_write_protect = lu->software_write_protect,
	};
}

static struct scsi_mode_values values_of(const struct scsi_lu *lu, enum page_values values)
{
	switch (values) {
	case VALUES_CHANGEABLE:
		if (lu->read_only)
			return (struct scsi_mode_values){0};
		return (struct scsi_mode_values){lu->write_cache_changeable, true, true};
	case VALUES_DEFAULT:
		return (struct scsi_mode_values){
			.write_cache = lu->write_cache_changeable || lu->write_cache};
	case VALUES_SAVED:
		return lu->saved;
	default:
		return current_values(lu);
	}
}

static unsigned put_page(
	const struct scsi_lu *lu, const struct mode_page *page, enum page_values values, uint8_t *p)
{
	struct scsi_mode_values reported = values_of(lu, values);

	assert(page->length <= PAGE_MAX);
	assert(!page->put == !page->take);
	memset(p, 0, page->length);
	p[0] = page->code | (scsi_lu_can_save(lu) && page->put ? 0x80 : 0); /* PS */
	if (page->subcode) {
		p[0] |= 0x40; /* SPF */
		p[1] = page->subcode;
		put_be16(p + 2, page->length - 4);
	} else {
		p[1] = page->length - 2;
	}
	if (page->put)
		page->put(&reported, p);
	if (page->put_fixed && values != VALUES_CHANGEABLE)
		page->put_fixed(p);
	return page->length;
}

/* ------- MODE SENSE ------- */

/* The differences between the 6-byte and the 10-byte MODE SENSE and MODE SELECT. */
struct mode_layout {
	unsigned header;      /* bytes of the mode parameter header */
	unsigned parameter;   /* offset of DEVICE-SPECIFIC PARAMETER */
	unsigned list_length; /* value of the CDB's length field */
};

static struct mode_layout layout_of(const struct scsi_call *call)
{
	if (call->cdb_length == 6)
		return (struct mode_layout){
			.header = 4, .parameter = 2, .list_length = call->cdb[4]};
	return (struct mode_layout){
		.header = 8, .parameter = 3, .list_length = get_be16(call->cdb + 7)};
}

/* SBC-3 6.5.2: the short or the long LBA mode parameter block descriptor. */
static unsigned put_block_descriptor(const struct scsi_lu *lu, bool long_lba, uint8_t *p)
{
	if (long_lba) {
		memset(p, 0, 16);
		put_be64(p, lu->blocks);
		put_be32(p + 12, lu->block_size);
		return 16;
	}
	put_be32(p, lu->blocks < UINT32_MAX ? (uint32_t) lu->blocks : UINT32_MAX);
	p[4] = 0;
	put_be24(p + 5, lu->block_size);
	return 8;
}

static bool page_wanted(const struct mode_page *page, uint8_t code, uint8_t subcode)
{
	if (code != ALL_PAGES && code != page->code)
		return false;
	return subcode == ALL_SUBPAGES || subcode == page->subcode;
}

/* Refuses a page code or a subpage code that no page has. With the code for all pages, only two
 * subpage codes are valid. */
static bool pages_known(struct scsi_call *call, uint8_t code, uint8_t subcode)
{
	bool code_known = code == ALL_PAGES;
	bool subcode_known = code == ALL_PAGES ? subcode == 0 || subcode == ALL_SUBPAGES : false;

	for (size_t i = 0; i < PAGE_CNT; i++) {
		code_known |= pages[i].code == code;
		subcode_known |= code != ALL_PAGES && page_wanted(&pages[i], code, subcode);
	}
	if (!code_known)
		scsi_refuse_cdb(call, 2, 5);
	else if (!subcode_known)
		scsi_refuse_cdb(call, 3, NO_BIT);
	return code_known && subcode_known;
}

enum scsi_verdict scsi_mode_sense(struct scsi_call *call)
{
	const struct scsi_lu *lu = call->lu;
	struct mode_layout layout = layout_of(call);
	enum page_values values = call->cdb[2] >> 6;
	uint8_t code = call->cdb[2] & 0x3f, subcode = call->cdb[3];
	bool no_descriptors = call->cdb[1] & 0x08, long_lba = call->cdb[1] & 0x10;
	uint8_t *data = call->result->data;
	unsigned length = layout.header;

	if (!pages_known(call, code, subcode))
		return SCSI_ANSWERED;
	if (values == VALUES_SAVED && !scsi_lu_can_save(lu))
		return scsi_refuse(call, SENSE_SAVING_PARAMETERS_NOT_SUPPORTED);
	memset(data, 0, layout.header);
	data[layout.parameter] = (scsi_lu_write_protected(lu) ? 0x80 : 0) | 0x10; /* WP, DPOFUA */
	if (!no_descriptors)
		length += put_block_descriptor(lu, long_lba, data + length);
	if (layout.header == 4) {
		data[3] = (uint8_t) (length - layout.header);
	} else {
		data[4] = long_lba && !no_descriptors ? 0x01 : 0; /* LONGLBA */
		put_be16(data + 6, (uint16_t) (length - layout.header));
	}
	for (size_t i = 0; i < PAGE_CNT; i++)
		if (page_wanted(&pages[i], code, subcode))
			length += put_page(lu, &pages[i], values, data + length);
	if (layout.header == 4) {
		assert(length - 1 <= UINT8_MAX);
		data[0] = (uint8_t) (length - 1);
	} else {
		put_be16(data, (uint16_t) (length - 2));
	}
	return scsi_good_data(call, length, layout.list_length);
}

/* ------- MODE SELECT ------- */

#define LIST_MAX 512u /* longer than any valid list */

/* A parameter list that is being read. */
struct mode_list {
	uint8_t bytes[LIST_MAX];
	unsigned length;
	unsigned at; /* offset of the next byte to read */
};

static bool refuse_list(struct scsi_call *call, unsigned byte, int bit)
{
	scsi_refuse_list(call, byte, bit);
	return false;
}

static bool refuse_length(struct scsi_call *call)
{
	scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	return false;
}

/* The header. MODE DATA LENGTH, WP and DPOFUA are reserved in MODE SELECT, but initiators send
 * back the header that MODE SENSE has returned. */
static bool list_header(
	struct scsi_call *call, const struct mode_layout *layout, struct mode_list *list)
{
	bool long_lba = layout->header == 8 && (list->bytes[4] & 0x01);
	unsigned medium = layout->parameter - 1;
	unsigned descriptors, wanted = long_lba ? 16 : 8;
	static const uint8_t zeros[8];
	uint8_t ours[16];

	if (list->length < layout->header)
		return refuse_length(call);
	if (list->bytes[medium])
		return refuse_list(call, medium, NO_BIT);
	descriptors = layout->header == 8 ? get_be16(list->bytes + 6) : list->bytes[3];
	list->at = layout->header;
	if (descriptors == 0)
		return true;
	if (descriptors != wanted)
		return refuse_list(call, layout->header == 8 ? 6 : 3, NO_BIT);
	if (list->length - list->at < wanted)
		return refuse_length(call);
	put_block_descriptor(call->lu, long_lba, ours);
	if (memcmp(list->bytes + list->at, zeros, wanted / 2) == 0)
		memset(ours, 0, wanted / 2); /* NUMBER OF LOGICAL BLOCKS: as it is */
	for (unsigned i = 0; i < wanted; i++)
		if (list->bytes[list->at + i] != ours[i])
			return refuse_list(
				call, list->at + i,
				scsi_highest_bit(list->bytes[list->at + i] ^ ours[i]));
	assert(list->at + wanted <= list->length);
	list->at += wanted;
	return true;
}

/* The page that begins at list->at; NULL: refused. */
static const struct mode_page *list_page(struct scsi_call *call, const struct mode_list *list)
{
	const uint8_t *p = list->bytes + list->at;
	unsigned left = list->length - list->at;
	bool subpage = p[0] & 0x40;
	uint8_t subcode;

	assert(list->at < list->length && list->length <= LIST_MAX);
	if (left < 2 || (subpage && left < 4)) {
		refuse_length(call);
		return NULL;
	}
	subcode = subpage ? p[1] : 0;
	if (p[0] & 0x80) { /* PS */
		refuse_list(call, list->at, 7);
		return NULL;
	}
	for (size_t i = 0; i < PAGE_CNT; i++) {
		const struct mode_page *page = &pages[i];
		unsigned length;

		if (page->code != (p[0] & 0x3f) || page->subcode != subcode ||
		    (page->subcode != 0) != subpage)
			continue;
		length = subpage ? get_be16(p + 2) + 4u : p[1] + 2u;
		if (length != page->length) {
			refuse_list(call, list->at + (subpage ? 2 : 1), NO_BIT);
			return NULL;
		}
		if (left < length) {
			refuse_length(call);
			return NULL;
		}
		return page;
	}
	refuse_list(call, list->at, 5);
	return NULL;
}

/* Whether a page differs from the current values in changeable bits only. */
static bool page_acceptable(
	struct scsi_call *call, const struct mode_page *page, const struct mode_list *list)
{
	uint8_t current[PAGE_MAX], changeable[PAGE_MAX];
	const uint8_t *p = list->bytes + list->at;

	assert(list->at + page->length <= list->length);
	put_page(call->lu, page, VALUES_CURRENT, current);
	put_page(call->lu, page, VALUES_CHANGEABLE, changeable);
	for (unsigned i = page_header(page); i < page->length; i++) {
		uint8_t bad = (uint8_t) ((p[i] ^ current[i]) & ~changeable[i]);

		if (bad)
			return refuse_list(call, list->at + i, scsi_highest_bit(bad));
	}
	return true;
}

void scsi_mode_set_saved(struct scsi_lu *lu, const struct scsi_mode_values *saved)
{
	assert(lu->can_save);
	lu->saved = saved ? *saved : values_of(lu, VALUES_DEFAULT);
	if (!saved)
		return;
	lu->write_cache = lu->write_cache_changeable ? saved->write_cache : lu->write_cache;
	lu->descriptor_sense = saved->descriptor_sense;
	lu->software_write_protect = saved->software_write_protect;
	lu->saved.write_cache = lu->write_cache;
}

void scsi_save_failed(
	struct scsi_lu *lu, const struct scsi_mode_values *before, struct scsi_result *result)
{
	lu->saved = *before;
	scsi_plan_end(result, SENSE_INTERNAL_TARGET_FAILURE);
}

/* Makes the values current and, with SP, saved. A write cache that is turned off is flushed first
 * (SBC-3 6.5.5): the caller clears WCE when that has succeeded. */
static enum scsi_verdict take_values(struct scsi_call *call, const struct scsi_mode_values *values)
{
	struct scsi_lu *lu = call->lu;
	bool flush = lu->write_cache && !values->write_cache;

	assert(values->write_cache == lu->write_cache || lu->write_cache_changeable);
	assert(!lu->write_cache_ends || lu->write_cache);
	lu->write_cache |= values->write_cache;
	lu->descriptor_sense = values->descriptor_sense;
	lu->software_write_protect = values->software_write_protect;
	if (call->cdb[1] & 0x01) {
		lu->saved = *values;
		lu->saved.write_cache &= !lu->write_cache_ends;
		call->result->save = true;
	}
	return flush ? scsi_plan(call, SCSI_PLAN_FLUSH, SCSI_PLAN_CACHE_OFF, 0, 0)
		     : scsi_good(call);
}

/* An invalid list changes nothing. */
enum scsi_verdict scsi_mode_select(struct scsi_call *call)
{
	struct mode_layout layout = layout_of(call);
	struct mode_list list = {.length = layout.list_length};
	struct scsi_mode_values values = current_values(call->lu);
	const struct mode_page *page;
	bool caching = false;

	if (list.length == 0)
		return scsi_good(call);
	if (!(call->cdb[1] & 0x10)) /* PF: without it, the list would be vendor specific */
		return scsi_refuse_cdb(call, 1, 4);
	if (list.length > LIST_MAX || !scsi_data_out(call->task, 0, list.bytes, list.length))
		return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	if (!list_header(call, &layout, &list))
		return SCSI_ANSWERED;
	for (; list.at < list.length; list.at += page->length) {
		page = list_page(call, &list);
		if (!page || !page_acceptable(call, page, &list))
			return SCSI_ANSWERED;
		if (page->take)
			page->take(&values, list.bytes + list.at);
		caching |= page->take == take_caching;
	}
	/* An initiator wants it on from now on. */
	if (caching && values.write_cache && call->lu->write_cache_changeable)
		call->lu->write_cache_ends = false;
	return take_values(call, &values);
}
