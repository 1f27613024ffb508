/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler of tcmu-runner, as tcmud serves it
 *
 * handler_init() registers the one handler of the plugin. nr_threads > 0: the functions for I/O run
 * on so many threads, may block, and return the command's result. 0: they run on the device's I/O
 * thread and must not block; TCMU_STS_OK means that tcmur_cmd_complete() follows. docs/compat.md
 * says what is different from tcmu-runner.
 */
#pragma once

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#include "alua.h"
#include "ccan/list/list.h"
#include "libtcmu.h"
#include "libtcmu_common.h"
#include "libtcmu_log.h"
#include "scsi.h"
#include "scsi_defs.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tcmur_cmd {
	struct tcmulib_cmd *lib_cmd;
	struct iovec *iovec;
	size_t iov_cnt;
	void *iov_base_copy;
	void *cmd_state;  /* the handler's */
	size_t requested; /* bytes */
	struct list_node cmds_list_entry;
	struct timespec start_time;
	bool timed_out;
	void (*done)(struct tcmu_device *dev, struct tcmur_cmd *cmd, int ret);
};

enum tcmur_event {
	TCMUR_EVT_LOCK_LOST,
	TCMUR_EVT_CONN_LOST,
	TCMUR_EVT_CMD_TIMED_OUT,
};

/* Functions that are NULL are not there. */
struct tcmur_handler {
	const char *name;
	const char *subtype; /* [a-z0-9_]+ */
	const char *cfg_desc;
	void *opaque; /* the handler's */

	/* reason: allocated; the caller frees it */
	bool (*check_config)(const char *cfgstring, char **reason);
	int (*reconfig)(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg);
	int (*open)(struct tcmu_device *dev, bool reopen); /* -errno */
	void (*close)(struct tcmu_device *dev);

	int nr_threads;
	int (*handle_cmd)(struct tcmu_device *dev, struct tcmur_cmd *cmd);

	int (*write)(
		struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec, size_t iov_cnt,
		size_t len, off_t off);
	int (*read)(
		struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iovec, size_t iov_cnt,
		size_t len, off_t off);
	int (*flush)(struct tcmu_device *dev, struct tcmur_cmd *cmd);
	int (*unmap)(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len);
	int (*writesame)(
		struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		struct iovec *iovec, size_t iov_cnt);
	int (*caw)(
		struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		struct iovec *iovec, size_t iov_cnt);

	int (*report_event)(struct tcmu_device *dev);
	int (*lock)(struct tcmu_device *dev, uint16_t tag);
	int (*unlock)(struct tcmu_device *dev);
	int (*get_lock_tag)(struct tcmu_device *dev, uint16_t *tag);
	int (*get_lock_state)(struct tcmu_device *dev);

	bool _is_dbus_handler;
	bool (*update_logdir)(void);
	int (*init)(void); /* 0 or -errno */
	void (*destroy)(void);
};

/* 0, or -errno: it is incomplete, or the plugin has registered one already. */
int tcmur_register_handler(struct tcmur_handler *handler);
bool tcmur_unregister_handler(struct tcmur_handler *handler);

/* Ends a command. Any thread, once. cmd: the struct tcmur_cmd; sts: TCMU_STS_ */
void tcmur_cmd_complete(struct tcmu_device *dev, void *cmd, int sts);

/* The plugin's entry, which it defines. */
int handler_init(void);

#ifdef __cplusplus
}
#endif
