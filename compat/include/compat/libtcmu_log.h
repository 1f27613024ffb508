/* SPDX-License-Identifier: Apache-2.0 */
/* Logging. The daemon writes the lines to its own log, under the device's name. A line without a
 * device is logged under the one that the calling function serves. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_device;

/* The levels of tcmu.conf. tcmud's own header names others so; its numbers do not reach a handler
 * that is built with this one. */
#define TCMU_LOG_CRIT           0
#define TCMU_LOG_ERROR          1
#define TCMU_LOG_WARN           2
#define TCMU_LOG_INFO           3
#define TCMU_LOG_DEBUG          4
#define TCMU_LOG_DEBUG_SCSI_CMD 5

#define TCMU_LOG_DIR_DEFAULT    "/var/log"

void tcmu_crit_message(
	struct tcmu_device *dev, const char *function, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void tcmu_err_message(
	struct tcmu_device *dev, const char *function, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void tcmu_warn_message(
	struct tcmu_device *dev, const char *function, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void tcmu_info_message(
	struct tcmu_device *dev, const char *function, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void tcmu_dbg_message(
	struct tcmu_device *dev, const char *function, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void tcmu_dbg_scsi_cmd_message(
	struct tcmu_device *dev, const char *function, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define tcmu_dev_crit(dev, ...) tcmu_crit_message(dev, __func__, __LINE__, __VA_ARGS__)
#define tcmu_dev_err(dev, ...)  tcmu_err_message(dev, __func__, __LINE__, __VA_ARGS__)
#define tcmu_dev_warn(dev, ...) tcmu_warn_message(dev, __func__, __LINE__, __VA_ARGS__)
#define tcmu_dev_info(dev, ...) tcmu_info_message(dev, __func__, __LINE__, __VA_ARGS__)
#define tcmu_dev_dbg(dev, ...)  tcmu_dbg_message(dev, __func__, __LINE__, __VA_ARGS__)
#define tcmu_dev_dbg_scsi_cmd(dev, ...) \
	tcmu_dbg_scsi_cmd_message(dev, __func__, __LINE__, __VA_ARGS__)

#define tcmu_crit(...)         tcmu_crit_message(NULL, __func__, __LINE__, __VA_ARGS__)
#define tcmu_err(...)          tcmu_err_message(NULL, __func__, __LINE__, __VA_ARGS__)
#define tcmu_warn(...)         tcmu_warn_message(NULL, __func__, __LINE__, __VA_ARGS__)
#define tcmu_info(...)         tcmu_info_message(NULL, __func__, __LINE__, __VA_ARGS__)
#define tcmu_dbg(...)          tcmu_dbg_message(NULL, __func__, __LINE__, __VA_ARGS__)
#define tcmu_dbg_scsi_cmd(...) tcmu_dbg_scsi_cmd_message(NULL, __func__, __LINE__, __VA_ARGS__)

/* TCMU_LOG_DEBUG while the daemon logs such lines, else TCMU_LOG_INFO. */
unsigned int tcmu_get_log_level(void);
/* path: PATH_MAX bytes. The absolute path of a file in the directory of the daemon's default log.
 * 0, or -errno. */
int tcmu_make_absolute_logfile(char *path, const char *name);

#ifdef __cplusplus
}
#endif
