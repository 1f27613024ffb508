/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of scsi.h that answer simple commands for a handler with handle_cmd. */
#include <stdlib.h>
#include <string.h>

#include <be_byteshift.h>
#include <scsi.h>

#include "device.h"

#define EVPD                0x01 /* INQUIRY, byte 1 */
#define PAGE_SUPPORTED      0x00
#define PAGE_SERIAL         0x80
#define PAGE_CODE(cdb)      ((cdb)[2] & 0x3f)
#define PAGE_CACHING        0x08
#define PAGE_ALL            0x3f
#define PAGES_MAX           64
#define CACHING_WCE         0x04
#define DEVICE_PARAMETER_WP 0x80
#define MODE_SENSE_6        0x1a
#define MODE_SELECT_6       0x15

/* Data-in of at most allocated bytes. */
static int emulate_answer(
	struct iovec *iovec, size_t iov_cnt, void *data, size_t length, size_t allocated)
{
	(void) tcmu_memcpy_into_iovec(
		iovec, iov_cnt, data, length < allocated ? length : allocated);
	return TCMU_STS_OK;
}

/* SPC-5, 6.7 and 7.7: the standard data, the list of pages, and the serial number. */
int tcmu_emulate_inquiry(
	struct tcmu_device *dev, struct tgt_port *port, uint8_t *cdb, struct iovec *iovec,
	size_t iov_cnt)
{
	size_t allocated = get_unaligned_be16(cdb + 3);
	uint8_t data[256] = {0};
	char *serial;
	size_t length;

	(void) port;
	if (!(cdb[1] & EVPD)) {
		if (cdb[2])
			return TCMU_STS_INVALID_CDB;
		data[2] = 0x05; /* SPC-3 */
		data[3] = 0x02;
		data[4] = 36 - 5; /* bytes that follow */
		data[7] = 0x02;   /* CMDQUE */
		memcpy(data + 8, "LIO-ORG TCMU device     0002", 28);
		return emulate_answer(iovec, iov_cnt, data, 36, allocated);
	}
	data[1] = cdb[2];
	if (cdb[2] == PAGE_SUPPORTED) {
		data[3] = 2;
		data[4] = PAGE_SUPPORTED;
		data[5] = PAGE_SERIAL;
		return emulate_answer(iovec, iov_cnt, data, 6, allocated);
	}
	if (cdb[2] != PAGE_SERIAL)
		return TCMU_STS_INVALID_CDB;
	serial = tcmu_cfgfs_dev_get_wwn(dev);
	length = serial ? strnlen(serial, sizeof(data) - 4) : 0;
	memcpy(data + 4, serial ? serial : "", length);
	data[3] = (uint8_t) length;
	free(serial);
	return emulate_answer(iovec, iov_cnt, data, length + 4, allocated);
}

int tcmu_emulate_start_stop(struct tcmu_device *dev, uint8_t *cdb)
{
	(void) dev;
	if ((cdb[4] >> 4) & 0x0f) /* a power condition */
		return TCMU_STS_INVALID_CDB;
	/* The medium can neither be stopped nor ejected. */
	return cdb[4] & 0x01 ? TCMU_STS_OK : TCMU_STS_INVALID_CDB;
}

int tcmu_emulate_test_unit_ready(uint8_t *cdb, struct iovec *iovec, size_t iov_cnt)
{
	(void) cdb;
	(void) iovec;
	(void) iov_cnt;
	return TCMU_STS_OK;
}

/* SBC-4, 5.20 */
int tcmu_emulate_read_capacity_10(
	uint64_t num_lbas, uint32_t block_size, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt)
{
	uint8_t data[8];
	uint64_t last = num_lbas - 1;

	(void) cdb;
	put_unaligned_be32(last < UINT32_MAX ? (uint32_t) last : UINT32_MAX, data);
	put_unaligned_be32(block_size, data + 4);
	return emulate_answer(iovec, iov_cnt, data, sizeof(data), sizeof(data));
}

/* SBC-4, 5.21 */
int tcmu_emulate_read_capacity_16(
	uint64_t num_lbas, uint32_t block_size, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt)
{
	uint8_t data[32] = {0};

	put_unaligned_be64(num_lbas - 1, data);
	put_unaligned_be32(block_size, data + 8);
	return emulate_answer(iovec, iov_cnt, data, sizeof(data), get_unaligned_be32(cdb + 10));
}

/* SPC-5, 7.5: the header and the caching page, which is the one that there is. Returns its length;
 * 0: there is no such page. */
static size_t emulate_mode_data(struct tcmu_device *dev, const uint8_t *cdb, uint8_t *data)
{
	size_t header = cdb[0] == MODE_SENSE_6 ? 4 : 8;
	uint8_t *page = data + header;
	size_t length = header + 20;
	bool changeable = (cdb[2] >> 6) == 1;
	uint8_t protect = tcmu_dev_get_write_protect_enabled(dev) ? DEVICE_PARAMETER_WP : 0;

	if (PAGE_CODE(cdb) != PAGE_CACHING && PAGE_CODE(cdb) != PAGE_ALL)
		return 0;
	memset(data, 0, length);
	page[0] = PAGE_CACHING;
	page[1] = 18;
	page[2] = !changeable && tcmu_dev_get_write_cache_enabled(dev) ? CACHING_WCE : 0;
	if (cdb[0] == MODE_SENSE_6) {
		data[0] = (uint8_t) (length - 1);
		data[2] = protect;
	} else {
		put_unaligned_be16((uint16_t) (length - 2), data);
		data[3] = protect;
	}
	return length;
}

int tcmu_emulate_mode_sense(
	struct tcmu_device *dev, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt)
{
	size_t allocated = tcmu_cdb_get_xfer_length(cdb);
	uint8_t data[PAGES_MAX];
	size_t length = emulate_mode_data(dev, cdb, data);

	if ((cdb[2] >> 6) == 3)
		return TCMU_STS_NOTSUPP_SAVE_PARAMS;
	return length ? emulate_answer(iovec, iov_cnt, data, length, allocated)
		      : TCMU_STS_INVALID_CDB;
}

/* SPC-5, 6.10: nothing can be changed, so the page must be as MODE SENSE reports it. */
int tcmu_emulate_mode_select(
	struct tcmu_device *dev, uint8_t *cdb, struct iovec *iovec, size_t iov_cnt)
{
	uint8_t sense[10] = {cdb[0] == MODE_SELECT_6 ? MODE_SENSE_6 : MODE_SENSE_10, 0, PAGE_ALL};
	size_t length = tcmu_cdb_get_xfer_length(cdb);
	size_t header = cdb[0] == MODE_SELECT_6 ? 4 : 8;
	uint8_t expected[PAGES_MAX], given[PAGES_MAX];
	size_t size = emulate_mode_data(dev, sense, expected);

	if (!(cdb[1] & 0x10) || (cdb[1] & 0x01)) /* PF, SP */
		return TCMU_STS_INVALID_CDB;
	if (length == 0)
		return TCMU_STS_OK;
	if (length != size || tcmu_memcpy_from_iovec(given, size, iovec, iov_cnt) != size)
		return TCMU_STS_INVALID_PARAM_LIST_LEN;
	return memcmp(given + header, expected + header, size - header) == 0
		? TCMU_STS_OK
		: TCMU_STS_INVALID_PARAM_LIST;
}
