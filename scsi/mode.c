/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode pages (SPC-4 7.5, SBC-3 6.5) by one table: MODE SENSE puts a page's current, changeable or default values,
 * MODE SELECT compares what comes with the current values under the changeable ones and then takes it over. Nothing is
 * saved: values last as long as the logical unit.
 */
#include "scsi-private.h"

#include <string.h>

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
	/* Puts values into a page that is cleared but for its header. */
	void (*put)(const struct scsi_lu *lu, enum page_values values, uint8_t *p);
	/* Takes over values that differ in changeable bits only; NULL: there are none. Says whether data that is in
	 * the cache has to be written. */
	bool (*take)(struct scsi_lu *lu, const uint8_t *p);
};

/* ------- the pages ------- */

static bool pick(enum page_values values, bool current, bool changeable, bool initial)
{
	if (values == VALUES_CURRENT)
		return current;
	return values == VALUES_CHANGEABLE ? changeable : initial;
}

/* Nothing in it can be set and all of it is zero: recovery is the backend's matter. */
static void put_error_recovery(const struct scsi_lu *lu, enum page_values values, uint8_t *p)
{
	(void) lu;
	(void) values;
	(void) p;
}

static void put_caching(const struct scsi_lu *lu, enum page_values values, uint8_t *p)
{
	bool changeable = lu->write_cache_changeable;

	if (pick(values, lu->write_cache, changeable, changeable || lu->write_cache))
		p[2] = 0x04; /* WCE */
}

static bool take_caching(struct scsi_lu *lu, const uint8_t *p)
{
	bool was = lu->write_cache;

	lu->write_cache = p[2] & 0x04;
	return was && !lu->write_cache;
}

static void put_control(const struct scsi_lu *lu, enum page_values values, uint8_t *p)
{
	if (pick(values, lu->descriptor_sense, true, false))
		p[2] |= 0x04; /* D_SENSE */
	if (pick(values, lu->software_write_protect, true, false))
		p[4] |= 0x08; /* SWP */
	if (values == VALUES_CHANGEABLE)
		return;
	p[2] |= 0x02;            /* GLTSD */
	p[3] = 0x10;             /* QUEUE ALGORITHM MODIFIER: unrestricted reordering */
	p[5] = 0x40;             /* TAS: the target core tells aborted tasks of other initiators */
	put_be16(p + 8, 0xffff); /* BUSY TIMEOUT PERIOD: unlimited */
}

static bool take_control(struct scsi_lu *lu, const uint8_t *p)
{
	lu->descriptor_sense = p[2] & 0x04;
	lu->software_write_protect = p[4] & 0x08;
	return false;
}

static void put_control_extension(const struct scsi_lu *lu, enum page_values values, uint8_t *p)
{
	(void) lu;
	(void) values;
	(void) p;
}

static void put_exceptions(const struct scsi_lu *lu, enum page_values values, uint8_t *p)
{
	(void) lu;
	if (values != VALUES_CHANGEABLE)
		p[2] = 0x08; /* DEXCPT: none are reported */
}

/* In the order in which "all pages" returns them. */
static const struct mode_page pages[] = {
	{0x01, 0x00, 12, put_error_recovery, NULL},  {0x08, 0x00, 20, put_caching, take_caching},
	{0x0a, 0x00, 12, put_control, take_control}, {0x0a, 0x01, 32, put_control_extension, NULL},
	{0x1c, 0x00, 12, put_exceptions, NULL},
};

#define PAGE_CNT (sizeof(pages) / sizeof(pages[0]))

/* How many bytes a page's header has. */
static unsigned page_header(const struct mode_page *page)
{
	return page->subcode ? 4 : 2;
}

static unsigned put_page(
	const struct scsi_lu *lu, const struct mode_page *page, enum page_values values, uint8_t *p)
{
	memset(p, 0, page->length);
	p[0] = page->code;
	if (page->subcode) {
		p[0] |= 0x40; /* SPF */
		p[1] = page->subcode;
		put_be16(p + 2, page->length - 4);
	} else {
		p[1] = page->length - 2;
	}
	page->put(lu, values, p);
	return page->length;
}

/* ------- MODE SENSE ------- */

/* What MODE SENSE and MODE SELECT of 6 and of 10 bytes differ in. */
struct mode_layout {
	unsigned header;      /* bytes of the mode parameter header */
	unsigned parameter;   /* where DEVICE-SPECIFIC PARAMETER is */
	unsigned list_length; /* of the CDB's length field */
};

static struct mode_layout layout_of(const struct scsi_call *call)
{
	if (call->entry->operation.cdb_length == 6)
		return (struct mode_layout){.header = 4, .parameter = 2, .list_length = call->cdb[4]};
	return (struct mode_layout){.header = 8, .parameter = 3, .list_length = get_be16(call->cdb + 7)};
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

/* Refuses a page code or a subpage code that no page has; for all pages only two subpage codes mean something. */
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
	if (values == VALUES_SAVED)
		return scsi_refuse(call, SENSE_SAVING_PARAMETERS_NOT_SUPPORTED);
	memset(data, 0, layout.header);
	data[layout.parameter] = (lu_write_protected(lu) ? 0x80 : 0) | 0x10; /* WP, DPOFUA */
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
	if (layout.header == 4)
		data[0] = (uint8_t) (length - 1);
	else
		put_be16(data, (uint16_t) (length - 2));
	return scsi_good_data(call, length, layout.list_length);
}

/* ------- MODE SELECT ------- */

#define LIST_MAX 512u /* longer than any list that could be right */

/* A parameter list under way. */
struct mode_list {
	uint8_t bytes[LIST_MAX];
	unsigned length;
	unsigned at; /* the next byte to be looked at */
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

static int first_difference(uint8_t a, uint8_t b)
{
	int bit = 7;

	while (!((a ^ b) & (1u << bit)))
		bit--;
	return bit;
}

/* The header. MODE DATA LENGTH, WP and DPOFUA are reserved here, but initiators send back what they were given. */
static bool list_header(struct scsi_call *call, const struct mode_layout *layout, struct mode_list *list)
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
				call, list->at + i, first_difference(list->bytes[list->at + i], ours[i]));
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

	put_page(call->lu, page, VALUES_CURRENT, current);
	put_page(call->lu, page, VALUES_CHANGEABLE, changeable);
	for (unsigned i = page_header(page); i < page->length; i++) {
		uint8_t bad = (uint8_t) ((p[i] ^ current[i]) & ~changeable[i]);

		if (bad)
			return refuse_list(call, list->at + i, first_difference(bad, 0));
	}
	return true;
}

/* Two passes, so that a list with anything wrong in it changes nothing. */
enum scsi_verdict scsi_mode_select(struct scsi_call *call)
{
	struct mode_layout layout = layout_of(call);
	struct mode_list list = {.length = layout.list_length};
	const struct mode_page *page;
	bool flush = false;
	unsigned start;

	if (list.length == 0)
		return scsi_good(call);
	if (!(call->cdb[1] & 0x10)) /* PF: without it, the list would be vendor specific */
		return scsi_refuse_cdb(call, 1, 4);
	if (list.length > LIST_MAX || !scsi_data_out(call->task, 0, list.bytes, list.length))
		return scsi_refuse(call, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	if (!list_header(call, &layout, &list))
		return SCSI_ANSWERED;
	start = list.at;
	for (; list.at < list.length; list.at += page->length) {
		page = list_page(call, &list);
		if (!page || !page_acceptable(call, page, &list))
			return SCSI_ANSWERED;
	}
	for (list.at = start; list.at < list.length; list.at += page->length) {
		page = list_page(call, &list);
		if (page->take)
			flush |= page->take(call->lu, list.bytes + list.at);
	}
	/* SBC-3 6.5.5: what is in the cache that is turned off is written before the command ends. */
	return flush ? scsi_plan(call, SCSI_PLAN_FLUSH, 0, 0, 0) : scsi_good(call);
}
