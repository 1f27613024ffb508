/* SPDX-License-Identifier: Apache-2.0 */
/* See config/handler-call.h. */
#include "config/handler-call.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <glib.h>

#include "base/container-of.h"
#include "base/reason.h"
#include "config/secret.h"

#define ALIGNMENT 16u

struct handler_call {
	int (*check_config)(const struct tcmu_config *config, struct tcmu_reason *reason);
	struct tcmu_config *config;
	struct tcmu_backend_info *info;
	struct tcmu_reason *reason;
	char *values; /* count of them, stride bytes long */
	size_t stride;
	size_t count;
	const char **secret_options; /* names of the options of that type; NULL: another type */
	char **secrets;              /* NULL: not read */
};

int handler_made_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	(void) config;
	(void) host;
	(void) dev;
	(void) info;
	(void) backend;
	return reason_refuse(reason, -ENOSYS, "only handler_call_open() opens it");
}

int handler_made_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	(void) config;
	(void) claim;
	(void) size;
	return reason_refuse(reason, -ENOSYS, "only handler_call_claim() reads it");
}

bool handler_is_made(const struct tcmu_handler *handler)
{
	return handler->open == handler_made_open;
}

static const struct handler_made *handler_made_of(const struct tcmu_handler *handler)
{
	assert(handler_is_made(handler));
	return container_of((void *) (uintptr_t) handler, struct handler_made, handler);
}

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

	memory += call_size;
	call->check_config = handler->check_config;
	call->config = (struct tcmu_config *) memory;
	memory += config_size;
	call->info = (struct tcmu_backend_info *) memory;
	memory += info_size;
	call->reason = (struct tcmu_reason *) memory;
	call->values = memory + reason_size;
	call->stride = sizes->option_value;
	call->count = count;
	if (config) {
		*call->config = *config;
		handler_call_copy_values(call->values, call->stride, config->values, count);
		call->config->values = (void *) call->values;
	}
	call->secret_options = g_new0(const char *, count);
	call->secrets = g_new0(char *, count);
	for (size_t i = 0; i < count; i++)
		if (handler->options[i].type == TCMU_OPTION_SECRET)
			call->secret_options[i] = handler->options[i].name;
	return call;
}

void handler_call_free(struct handler_call *call)
{
	if (!call)
		return;
	for (size_t i = 0; i < call->count; i++)
		secret_free(call->secrets[i]);
	g_free(call->secrets);
	g_free(call->secret_options);
	g_free(call);
}

/* Replaces the paths of secrets by the secrets. 0, or -ENOKEY with a reason. */
static int handler_call_read_secrets(struct handler_call *call, struct tcmu_reason *reason)
{
	for (size_t i = 0; i < call->count; i++) {
		struct tcmu_option_value *value = (void *) (call->values + i * call->stride);
		int r;

		if (!call->secret_options[i] || !value->string)
			continue;
		assert(!call->secrets[i]);
		r = secret_read(value->string, call->secret_options[i], &call->secrets[i], reason);
		if (r < 0)
			return r;
		value->string = call->secrets[i];
	}
	return 0;
}

static atomic_uint calls_running;

bool handler_call_any_runs(void)
{
	return atomic_load(&calls_running);
}

static void handler_call_take_reason(const struct handler_call *call, struct tcmu_reason *reason)
{
	*reason = *call->reason;
	reason->text[sizeof(reason->text) - 1] = '\0';
	for (size_t i = 0; i < call->count; i++)
		if (call->secrets[i])
			secret_hide(call->secrets[i], reason->text);
}

int handler_call_check(struct handler_call *call, struct tcmu_reason *reason)
{
	int r = handler_call_read_secrets(call, reason);

	if (r < 0)
		return r;
	atomic_fetch_add(&calls_running, 1);
	r = call->check_config(call->config, call->reason);
	atomic_fetch_sub(&calls_running, 1);
	handler_call_take_reason(call, reason);
	return r;
}

int handler_call_init(const struct tcmu_handler *handler, struct tcmu_reason *reason)
{
	struct handler_call *call = handler_call_new(handler, NULL);
	int r = handler->init(call->reason);

	handler_call_take_reason(call, reason);
	handler_call_free(call);
	if (r < 0 && !reason->text[0])
		return reason_refuse(reason, r, "its init has failed: %s", strerror(-r));
	return r;
}

int handler_call_claim(
	const struct tcmu_handler *handler, const struct tcmu_config *config, char *claim,
	size_t size, struct tcmu_reason *reason)
{
	struct handler_call *call;
	int r;

	if (handler_is_made(handler))
		return handler_made_of(handler)->claim(
			handler_made_of(handler), config, claim, size, reason);
	call = handler_call_new(handler, config);
	r = handler_call_read_secrets(call, reason);
	if (r >= 0) {
		r = handler->claim(call->config, claim, size, call->reason);
		handler_call_take_reason(call, reason);
	}
	handler_call_free(call);
	return r;
}

int handler_call_open(
	const struct tcmu_handler *handler, const struct tcmu_config *config,
	const struct tcmu_host *host, struct tcmu_host_device *dev, struct tcmu_backend_info *info,
	void **backend, struct tcmu_reason *reason)
{
	struct handler_call *call;
	int r;

	if (handler_is_made(handler)) {
		*info = (struct tcmu_backend_info){.caps = 0};
		return handler_made_of(handler)->open(
			handler_made_of(handler), config, host, dev, info, backend, reason);
	}
	call = handler_call_new(handler, config);
	r = handler_call_read_secrets(call, reason);
	if (r >= 0) {
		r = handler->open(call->config, host, dev, call->info, backend, call->reason);
		handler_call_take_reason(call, reason);
	}
	*info = *call->info;
	info->claim[sizeof(info->claim) - 1] = '\0';
	handler_call_free(call);
	return r;
}

int handler_call_resize(
	const struct tcmu_handler *handler, void *backend, const struct tcmu_config *config,
	struct tcmu_backend_info *info, struct tcmu_reason *reason)
{
	struct handler_call *call;
	int r;

	if (handler_is_made(handler))
		return handler->resize(backend, config, info, reason);
	call = handler_call_new(handler, config);
	r = handler_call_read_secrets(call, reason);
	*call->info = *info;
	if (r >= 0) {
		r = handler->resize(backend, call->config, call->info, call->reason);
		handler_call_take_reason(call, reason);
	}
	*info = *call->info;
	info->claim[sizeof(info->claim) - 1] = '\0';
	handler_call_free(call);
	return r;
}

int handler_call_lock(
	const struct tcmu_handler *handler, void *backend, uint16_t tag, struct tcmu_reason *reason)
{
	struct handler_call *call;
	int r;

	if (handler_is_made(handler))
		return handler->lock(backend, tag, reason);
	call = handler_call_new(handler, NULL);
	r = handler->lock(backend, tag, call->reason);
	handler_call_take_reason(call, reason);
	handler_call_free(call);
	return r;
}
