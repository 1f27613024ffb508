/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of a plugin's functions that take structures of tcmu/handler.h. The plugin may be built
 * with longer or shorter structures than the daemon. So it gets copies with room for both; they are
 * cleared beyond what the daemon has, and arrays have the plugin's stride. All that the plugin
 * wrote is copied back as far as the daemon knows it. Secrets are read from their files for each
 * call, and are overwritten after it.
 *
 * The functions run on the caller's thread and may block as the plugin's do. The handler must have
 * the function. Running out of memory aborts (glib).
 */
#pragma once

#include <stdbool.h>

#include <tcmu/handler.h>

/* A handler that the daemon makes of others (config/stack.h). Its open and claim get itself, and
 * the daemon's own structures, with secrets not read. The table has handler_made_open and, if
 * there is a claim, handler_made_claim, which nobody calls. */
struct handler_made {
	struct tcmu_handler handler;
	int (*open)(
		const struct handler_made *made, const struct tcmu_config *config,
		const struct tcmu_host *host, struct tcmu_host_device *dev,
		struct tcmu_backend_info *info, void **backend, struct tcmu_reason *reason);
	int (*claim)(
		const struct handler_made *made, const struct tcmu_config *config, char *claim,
		size_t size, struct tcmu_reason *reason);
};

int handler_made_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason);
int handler_made_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason);

/* Whether it is a struct handler_made. */
bool handler_is_made(const struct tcmu_handler *handler);

/* The sizes of the daemon's structures. */
extern const struct tcmu_sizes handler_call_sizes;

/* The sizes of the handler's structures; the daemon's if it records none. */
const struct tcmu_sizes *handler_call_sizes_of(const struct tcmu_handler *handler);

/* A reason is given even where the handler gives none. */
int handler_call_init(const struct tcmu_handler *handler, struct tcmu_reason *reason);

int handler_call_claim(
	const struct tcmu_handler *handler, const struct tcmu_config *config, char *claim,
	size_t size, struct tcmu_reason *reason);
int handler_call_open(
	const struct tcmu_handler *handler, const struct tcmu_config *config,
	const struct tcmu_host *host, struct tcmu_host_device *dev, struct tcmu_backend_info *info,
	void **backend, struct tcmu_reason *reason);
int handler_call_resize(
	const struct tcmu_handler *handler, void *backend, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason);
int handler_call_lock(
	const struct tcmu_handler *handler, void *backend, uint16_t tag,
	struct tcmu_reason *reason);

/* Whether a function of a handler runs now, perhaps for ever. Any thread. */
bool handler_call_any_runs(void);

/* A check_config that outlives the handlers: it has its own copy of all but the strings. */
struct handler_call;

/* config: its strings must live until handler_call_free(). */
struct handler_call *handler_call_new(
	const struct tcmu_handler *handler, const struct tcmu_config *config);

/* Any thread. The plugin's result. */
int handler_call_check(struct handler_call *call, struct tcmu_reason *reason);

void handler_call_free(struct handler_call *call); /* takes NULL */
