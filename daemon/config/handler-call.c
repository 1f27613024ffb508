/* SPDX-License-Identifier: Apache-2.0 */
/* See config/handler-call.h. */
#include "config/handler-call.h"

#include <assert.h>
#include <string.h>

#include <glib.h>

#define ALIGNMENT 16u

struct handler_call {
	int (*check_config)(const struct tcmu_config *config, struct tcmu_reason *reason);
	struct tcmu_config *config;
	struct tcmu_backend_info *info;
	struct tcmu_reason *reason;
};

const struct tcmu_sizes handler_call_sizes = TCMU_SIZES;

const struct tcmu_sizes *handler_call_sizes_of(const struct tcmu_handler *handler)
{
	assert(!handler->sizes || handler->sizes->size == sizeof(struct tcmu_sizes));
	return handler->sizes ? handler->sizes : &handler_call_sizes;
}

static size_t handler_call_room(size_t theirs, size_t ours)
{
	size_t size = theirs > ours ? theirs : ours;

	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t handler_call_option_count(const struct tcmu_handler *handler)
{
	size_t count = 0;

	while (handler->options && handler->options[count].name)
		count++;
	return count;
}

/* Copies count of our values to the plugin's, which are stride bytes long and cleared. */
static void handler_call_copy_values(
	void *theirs, size_t stride, const struct tcmu_option_value *ours, size_t count)
{
	size_t size = stride < sizeof(*ours) ? stride : sizeof(*ours);

	assert(count == 0 || ours);
	for (size_t i = 0; i < count; i++)
		memcpy((char *) theirs + i * stride, &ours[i], size);
}

struct handler_call *handler_call_new(
	const struct tcmu_handler *handler, const struct tcmu_config *config)
{
	const struct tcmu_sizes *sizes = handler_call_sizes_of(handler);
	size_t count = config ? handler_call_option_count(handler) : 0;
	size_t call_size = handler_call_room(sizeof(struct handler_call), 0);
	size_t config_size = handler_call_room(sizes->config, sizeof(struct tcmu_config));
	size_t info_size = handler_call_room(sizes->backend_info, sizeof(struct tcmu_backend_info));
	size_t reason_size = handler_call_room(sizes->reason, sizeof(struct tcmu_reason));
	char *memory = g_malloc0(
		call_size + config_size + info_size + reason_size + count * sizes->option_value);
	struct handler_call *call = (struct handler_call *) memory;
	void *values;

	memory += call_size;
	call->check_config = handler->check_config;
	call->config = (struct tcmu_config *) memory;
	memory += config_size;
	call->info = (struct tcmu_backend_info *) memory;
	memory += info_size;
	call->reason = (struct tcmu_reason *) memory;
	values = memory + reason_size;
	if (config) {
		*call->config = *config;
		handler_call_copy_values(values, sizes->option_value, config->values, count);
		call->config->values = values;
	}
	return call;
}

void handler_call_free(struct handler_call *call)
{
	g_free(call);
}

static void handler_call_take_reason(const struct handler_call *call, struct tcmu_reason *reason)
{
	*reason = *call->reason;
	reason->text[sizeof(reason->text) - 1] = '\0';
}

int handler_call_check(struct handler_call *call, struct tcmu_reason *reason)
{
	int r = call->check_config(call->config, call->reason);

	handler_call_take_reason(call, reason);
	return r;
}

int handler_call_claim(
	const struct tcmu_handler *handler, const struct tcmu_config *config, char *claim,
	size_t size, struct tcmu_reason *reason)
{
	struct handler_call *call = handler_call_new(handler, config);
	int r = handler->claim(call->config, claim, size, call->reason);

	handler_call_take_reason(call, reason);
	handler_call_free(call);
	return r;
}

int handler_call_open(
	const struct tcmu_handler *handler, const struct tcmu_config *config,
	const struct tcmu_host *host, struct tcmu_host_device *dev, struct tcmu_backend_info *info,
	void **backend, struct tcmu_reason *reason)
{
	struct handler_call *call = handler_call_new(handler, config);
	int r = handler->open(call->config, host, dev, call->info, backend, call->reason);

	*info = *call->info;
	info->claim[sizeof(info->claim) - 1] = '\0';
	handler_call_take_reason(call, reason);
	handler_call_free(call);
	return r;
}

int handler_call_resize(
	const struct tcmu_handler *handler, void *backend, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	struct handler_call *call = handler_call_new(handler, config);
	int r;

	*call->info = *info;
	r = handler->resize(backend, call->config, call->info, call->reason);
	*info = *call->info;
	info->claim[sizeof(info->claim) - 1] = '\0';
	handler_call_take_reason(call, reason);
	handler_call_free(call);
	return r;
}

int handler_call_lock(
	const struct tcmu_handler *handler, void *backend, uint16_t tag, struct tcmu_reason *reason)
{
	struct handler_call *call = handler_call_new(handler, NULL);
	int r = handler->lock(backend, tag, call->reason);

	handler_call_take_reason(call, reason);
	handler_call_free(call);
	return r;
}
