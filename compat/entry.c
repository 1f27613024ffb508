/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin's entry: what the handler's handler_init() registers, as tcmud's struct tcmu_handler
 *
 * The daemon calls it once, when it loads the plugin.
 */
#include "entry.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "log.h"
#include "request.h"

static struct tcmur_handler *registered;

int tcmur_register_handler(struct tcmur_handler *handler)
{
	if (registered)
		return -EEXIST;
	if (!handler->subtype || !handler->open || !handler->close)
		return -EINVAL;
	registered = handler;
	return 0;
}

bool tcmur_unregister_handler(struct tcmur_handler *handler)
{
	if (!handler || registered != handler)
		return false;
	registered = NULL;
	return true;
}

static int entry_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	char text[COMPAT_CONFIG_SIZE];
	char *why = NULL;
	bool valid;

	assert(registered && registered->check_config);
	(void) snprintf(text, sizeof(text), "%s/%s", registered->subtype, config->target);
	log_enter(NULL);
	valid = registered->check_config(text, &why);
	log_leave();
	if (!valid && why)
		(void) snprintf(reason->text, sizeof(reason->text), "%s", why);
	else if (!valid)
		log_reason(reason, "the handler refuses it", -EINVAL);
	free(why);
	return valid ? 0 : -EINVAL;
}

static int entry_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *host_device, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	struct tcmu_device *dev = NULL;
	int r;

	assert(registered);
	r = device_open(registered, config, host, host_device, info, &dev, reason);
	*backend = dev;
	return r;
}

static void entry_close(void *backend)
{
	device_close(backend);
}

static void entry_submit(void *backend, struct tcmu_io *io)
{
	request_submit(backend, io);
}

static int entry_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	return device_resize(backend, config, info, reason);
}

static int entry_init(struct tcmu_reason *reason)
{
	int r;

	assert(registered);
	if (!registered->read && !registered->handle_cmd) {
		(void) snprintf(
			reason->text, sizeof(reason->text),
			"it has neither a function read nor handle_cmd");
		return -EINVAL;
	}
	if (!registered->init)
		return 0;
	log_enter(NULL);
	r = registered->init();
	log_leave();
	if (r == 0)
		return 0;
	log_reason(reason, "its function init fails", r < 0 ? r : -EIO);
	return r < 0 ? r : -EIO;
}

static void entry_fini(void)
{
	if (registered->destroy)
		registered->destroy();
}

/* A handler of raw CDBs alone that has no threads blocks. */
static enum tcmu_handler_threading entry_threading(const struct tcmur_handler *handler)
{
	int threads = handler->nr_threads;

	assert(handler == registered);
	if (threads <= 0)
		return device_falls_back(handler) ? TCMU_HANDLER_ASYNC : TCMU_HANDLER_SERIAL;
	return threads == 1 ? TCMU_HANDLER_SERIAL : TCMU_HANDLER_PARALLEL;
}

const struct tcmu_handler *tcmu_handler_entry(void)
{
	static const struct tcmu_sizes sizes = TCMU_SIZES;
	static struct tcmu_handler handler;

	if (!registered && (handler_init() != 0 || !registered))
		return NULL;
	assert(registered->subtype);
	handler = (struct tcmu_handler){
		.abi = TCMU_HANDLER_ABI,
		.size = sizeof(handler),
		.subtype = registered->subtype,
		.name = registered->name,
		.config_desc = registered->cfg_desc,
		.threading = entry_threading(registered),
		.workers = registered->nr_threads > 1 ? (uint32_t) registered->nr_threads : 0,
		.flags = TCMU_HANDLER_RAW_CONFIG | TCMU_HANDLER_REOPENS,
		.io_priv_size = (uint32_t) request_size(),
		.check_config = registered->check_config ? entry_check_config : NULL,
		.open = entry_open,
		.close = entry_close,
		.submit = entry_submit,
		.resize = registered->reconfig ? entry_resize : NULL,
		.init = entry_init,
		.fini = entry_fini,
		.sizes = &sizes,
	};
	return &handler;
}
