/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the plugins of the test of config/handlers: functions that do nothing.
 */
#pragma once

#include <tcmu/handler.h>

static inline int plugin_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	(void) config;
	(void) host;
	(void) dev;
	(void) reason;
	info->volatile_cache = true;
	*backend = info;
	return 0;
}

static inline void plugin_close(void *backend)
{
	(void) backend;
}

static inline void plugin_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	tcmu_io_complete(io, 0);
}

#define PLUGIN_FUNCTIONS_BUT_SUBMIT .open = plugin_open, .close = plugin_close
#define PLUGIN_FUNCTIONS            PLUGIN_FUNCTIONS_BUT_SUBMIT, .submit = plugin_submit

/* The entry of a plugin with another description than TCMU_HANDLER() makes. */
#define PLUGIN_ENTRY(description) \
	__attribute__((visibility("default"))) const struct tcmu_handler *tcmu_handler_entry( \
		void); \
	const struct tcmu_handler *tcmu_handler_entry(void) \
	{ \
		return (const struct tcmu_handler *) (description); \
	} \
	_Static_assert(sizeof(struct tcmu_handler) > 0, "a semicolon follows")
