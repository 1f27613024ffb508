/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler gets to see of a device and of a command, and small helpers. */
#pragma once

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_device;

#define CFGFS_ROOT           "/sys/kernel/config/target"
#define CFGFS_CORE           CFGFS_ROOT "/core"

#define SENSE_BUFFERSIZE     96
#define TCMU_THREAD_NAME_LEN 16

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif
#ifndef min
#define min(a, b) \
	({ \
		__typeof__(a) min_a = (a); \
		__typeof__(b) min_b = (b); \
		min_a < min_b ? min_a : min_b; \
	})
#endif
#ifndef max
#define max(a, b) \
	({ \
		__typeof__(a) max_a = (a); \
		__typeof__(b) max_b = (b); \
		max_a > max_b ? max_a : max_b; \
	})
#endif
/* multiples of y, which is a power of two */
#ifndef round_down
#define round_down(x, y) ((x) & ~((__typeof__(x)) (y) -1))
#endif
#ifndef round_up
#define round_up(x, y) ((((x) -1) | ((__typeof__(x)) (y) -1)) + 1)
#endif

/* How a command ends. */
enum {
	TCMU_STS_ASYNC_HANDLED = -2, /* tcmur_cmd_complete() will end it */
	TCMU_STS_NOT_HANDLED = -1,
	TCMU_STS_OK = 0,
	TCMU_STS_NO_RESOURCE,
	TCMU_STS_PASSTHROUGH_ERR, /* the handler has filled the sense buffer */
	TCMU_STS_BUSY,
	TCMU_STS_WR_ERR,
	TCMU_STS_RD_ERR,
	TCMU_STS_MISCOMPARE,
	TCMU_STS_INVALID_CMD,
	TCMU_STS_INVALID_CDB,
	TCMU_STS_INVALID_PARAM_LIST,
	TCMU_STS_INVALID_PARAM_LIST_LEN,
	TCMU_STS_TIMEOUT,
	TCMU_STS_FENCED,
	TCMU_STS_HW_ERR,
	TCMU_STS_RANGE,
	TCMU_STS_FRMT_IN_PROGRESS,
	TCMU_STS_CAPACITY_CHANGED,
	TCMU_STS_NOTSUPP_SAVE_PARAMS,
	TCMU_STS_WR_ERR_INCOMPAT_FRMT,
	TCMU_STS_TRANSITION,
	TCMU_STS_IMPL_TRANSITION_ERR,
	TCMU_STS_EXPL_TRANSITION_ERR,
	TCMU_STS_NO_LOCK_HOLDERS,
	TCMU_STS_NOTSUPP_SEG_DESC_TYPE,
	TCMU_STS_NOTSUPP_TGT_DESC_TYPE,
	TCMU_STS_CP_TGT_DEV_NOTCONN,
	TCMU_STS_INVALID_CP_TGT_DEV_TYPE,
	TCMU_STS_TOO_MANY_SEG_DESC,
	TCMU_STS_TOO_MANY_TGT_DESC,
};

struct tcmulib_cmd {
	uint16_t cmd_id;
	uint8_t *cdb;
	struct iovec *iovec;
	size_t iov_cnt;
	uint8_t sense_buf[SENSE_BUFFERSIZE];
	void *hm_private; /* the handler's */
};

/* ------- the device ------- */

/* The structure of tcmur_device.h. */
void *tcmu_dev_get_private(struct tcmu_device *dev);
/* "<subtype>/<config>". Valid until close has returned. */
char *tcmu_dev_get_cfgstring(struct tcmu_device *dev);

/* Blocks and bytes of the kernel's device. The numbers that open sets are compared with them. */
uint64_t tcmu_dev_get_num_lbas(struct tcmu_device *dev);
void tcmu_dev_set_num_lbas(struct tcmu_device *dev, uint64_t num_lbas);
uint32_t tcmu_dev_get_block_size(struct tcmu_device *dev);
void tcmu_dev_set_block_size(struct tcmu_device *dev, uint32_t block_size);

/* Properties, to be set in open. Lengths are blocks; 0: no limit. */
uint32_t tcmu_dev_get_max_xfer_len(struct tcmu_device *dev);
void tcmu_dev_set_max_xfer_len(struct tcmu_device *dev, uint32_t length);
uint32_t tcmu_dev_get_opt_xcopy_rw_len(struct tcmu_device *dev);
void tcmu_dev_set_opt_xcopy_rw_len(struct tcmu_device *dev, uint32_t length);
uint32_t tcmu_dev_get_max_unmap_len(struct tcmu_device *dev);
void tcmu_dev_set_max_unmap_len(struct tcmu_device *dev, uint32_t length);
uint32_t tcmu_dev_get_opt_unmap_gran(struct tcmu_device *dev);
void tcmu_dev_set_opt_unmap_gran(struct tcmu_device *dev, uint32_t length, bool split);
uint32_t tcmu_dev_get_unmap_gran_align(struct tcmu_device *dev);
void tcmu_dev_set_unmap_gran_align(struct tcmu_device *dev, uint32_t length);
bool tcmu_dev_get_write_cache_enabled(struct tcmu_device *dev);
void tcmu_dev_set_write_cache_enabled(struct tcmu_device *dev, bool enabled);
bool tcmu_dev_get_write_protect_enabled(struct tcmu_device *dev);
void tcmu_dev_set_write_protect_enabled(struct tcmu_device *dev, bool enabled);
bool tcmu_dev_get_unmap_enabled(struct tcmu_device *dev);
void tcmu_dev_set_unmap_enabled(struct tcmu_device *dev, bool enabled);
bool tcmu_dev_get_solid_state_media(struct tcmu_device *dev);
void tcmu_dev_set_solid_state_media(struct tcmu_device *dev, bool enabled);

uint64_t tcmu_lba_to_byte(struct tcmu_device *dev, uint64_t lba);
uint64_t tcmu_byte_to_lba(struct tcmu_device *dev, uint64_t byte);

/* Names the calling thread. -errno. */
int tcmu_set_thread_name(const char *prefix, struct tcmu_device *dev);
/* Cancels a thread and waits until it has ended. */
void tcmu_thread_cancel(pthread_t thread);

/* ------- configfs ------- */

/* attrib/<name> of the device. -errno. */
int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name);
/* "<name>: NUMBER" of the device's info. *ret: 0 or -errno. */
uint64_t tcmu_cfgfs_dev_get_info_u64(struct tcmu_device *dev, const char *name, int *ret);
/* The serial number. The caller frees it. NULL: there is none. */
char *tcmu_cfgfs_dev_get_wwn(struct tcmu_device *dev);
/* A number, or a line, in a file. The caller frees the text. */
int tcmu_cfgfs_get_int(const char *path);
char *tcmu_cfgfs_get_str(const char *path);

/* ------- commands ------- */

/* bytes; -EINVAL if the operation code does not say */
int tcmu_cdb_get_length(uint8_t *cdb);
uint64_t tcmu_cdb_get_lba(uint8_t *cdb);
/* blocks, or bytes, as the command counts */
uint32_t tcmu_cdb_get_xfer_length(uint8_t *cdb);
uint64_t tcmu_cdb_to_byte(struct tcmu_device *dev, uint8_t *cdb);

/* ------- iovecs ------- */

/* The offset of the first byte that differs from memory; -1: none does. */
off_t tcmu_iovec_compare(void *memory, struct iovec *iovec, size_t size);
/* Moves the start forward. Returns how many elements are used up. */
size_t tcmu_iovec_seek(struct iovec *iovec, size_t count);
void tcmu_iovec_zero(struct iovec *iovec, size_t iov_cnt);
bool tcmu_iovec_zeroed(struct iovec *iovec, size_t iov_cnt);
size_t tcmu_iovec_length(struct iovec *iovec, size_t iov_cnt);
/* Copy as much as there is room for, and return how much that was. */
size_t tcmu_memcpy_into_iovec(struct iovec *iovec, size_t iov_cnt, void *src, size_t len);
size_t tcmu_memcpy_from_iovec(void *dest, size_t len, struct iovec *iovec, size_t iov_cnt);
void tcmu_cmd_seek(struct tcmulib_cmd *cmd, size_t count);

/* ------- sense data, in the fixed format (SPC-5, 4.4.3) ------- */

/* Returns TCMU_STS_PASSTHROUGH_ERR. */
int tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq);
/* The same, but the other bytes stay. */
void __tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq);
void tcmu_sense_set_info(uint8_t *sense_buf, uint32_t info);
void tcmu_sense_set_key_specific_info(uint8_t *sense_buf, uint16_t info);

#ifdef __cplusplus
}
#endif
