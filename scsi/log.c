/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOG SENSE (SPC-4 6.8, 7.3): the pages that list the pages; the results of self-tests, of which
 * there are none, because the default self-test has no result to keep; and informational
 * exceptions, which never occur.
 */
#include "log.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "sense.h"

#define ALL_SUBPAGES 0xff

struct log_page {
	uint8_t code;
	uint8_t subcode;
	unsigned (*put)(uint8_t *p); /* puts the bytes after the header; returns their number */
};

static unsigned put_pages(uint8_t *p);
static unsigned put_pages_and_subpages(uint8_t *p);

/* One parameter: no exception, no temperature. */
static unsigned put_exceptions(uint8_t *p)
{
	static const uint8_t parameter[] = {0x00, 0x00, 0x23, 4, 0x00, 0x00, 0xff, 0x00};

	memcpy(p, parameter, sizeof(parameter));
	return sizeof(parameter);
}

#define SELF_TESTS          20u
#define SELF_TEST_PARAMETER 20u

/* A parameter for each of the last tests, all of whose fields are 0 when it has not taken place. */
static unsigned put_self_tests(uint8_t *p)
{
	memset(p, 0, (size_t) SELF_TESTS * SELF_TEST_PARAMETER);
	for (unsigned i = 0; i < SELF_TESTS; i++, p += SELF_TEST_PARAMETER) {
		put_be16(p, (uint16_t) (i + 1));
		p[2] = 0x03; /* FORMAT AND LINKING: a list in binary format */
		p[3] = SELF_TEST_PARAMETER - 4;
	}
	return SELF_TESTS * SELF_TEST_PARAMETER;
}

static const struct log_page pages[] = {
	{0x00, 0x00, put_pages},
	{0x00, ALL_SUBPAGES, put_pages_and_subpages},
	{0x10, 0x00, put_self_tests},
	{0x2f, 0x00, put_exceptions},
};

#define PAGE_CNT (sizeof(pages) / sizeof(pages[0]))

static unsigned put_pages(uint8_t *p)
{
	unsigned length = 0;

	for (size_t i = 0; i < PAGE_CNT; i++)
		if (pages[i].subcode == 0)
			p[length++] = pages[i].code;
	return length;
}

static unsigned put_pages_and_subpages(uint8_t *p)
{
	unsigned length = 0;

	for (size_t i = 0; i < PAGE_CNT; i++) {
		p[length++] = pages[i].code;
		p[length++] = pages[i].subcode;
	}
	return length;
}

/* PC selects between values that are all equal here. PARAMETER POINTER has to be 0. */
enum scsi_verdict scsi_log_sense(struct scsi_call *call)
{
	uint8_t code = call->cdb[2] & 0x3f, subcode = call->cdb[3];
	uint8_t *data = call->result->data;
	bool code_known = false;

	for (size_t i = 0; i < PAGE_CNT; i++) {
		unsigned length;

		code_known |= pages[i].code == code;
		if (pages[i].code != code || pages[i].subcode != subcode)
			continue;
		if (get_be16(call->cdb + 5))
			return scsi_refuse_cdb(call, 5, NO_BIT);
		length = pages[i].put(data + 4);
		assert(length <= UINT16_MAX && 4 + length <= SCSI_DATA_MAX);
		data[0] = code | (subcode ? 0x40 : 0); /* SPF */
		data[1] = subcode;
		put_be16(data + 2, (uint16_t) length);
		return scsi_good_data(call, 4 + length, get_be16(call->cdb + 7));
	}
	return code_known ? scsi_refuse_cdb(call, 3, NO_BIT) : scsi_refuse_cdb(call, 2, 5);
}
