/* SPDX-License-Identifier: Apache-2.0 */
/* See config/stack.h. */
#include "config/stack.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/container-of.h"
#include "base/reason.h"
#include "config/handler-call.h"
#include "config/handlers.h"
#include "config/options.h"
#include "filters/chain.h"

struct stack {
	struct handler_made made;
	const struct tcmu_handler *base;
	struct options *options;
	const struct filter_list *filters; /* of the options */
	unsigned stores; /* the outermost filter that stores; their number: none does */
	GPtrArray *counter_names;
	GArray *counters; /* struct tcmu_counter: the handler's, then those of the filters */
	unsigned first_counter[FILTERS_MAX];
};

static const struct stack *stack_of(const struct handler_made *made)
{
	return container_of((void *) (uintptr_t) made, struct stack, made);
}

/* ------- the functions of the handler ------- */

static int stack_claim(
	const struct handler_made *made, const struct tcmu_config *config, char *claim, size_t size,
	struct tcmu_reason *reason)
{
	const struct stack *stack = stack_of(made);
	const struct filter_list *list = stack->filters;

	if (stack->stores < list->cnt)
		return list->filters[stack->stores]->claim(
			list->values[stack->stores], claim, size, reason);
	return handler_call_claim(stack->base, config, claim, size, reason);
}

static int stack_open(
	const struct handler_made *made, const struct tcmu_config *config,
	const struct tcmu_host *host, struct tcmu_host_device *dev, struct tcmu_backend_info *info,
	void **backend, struct tcmu_reason *reason)
{
	const struct stack *stack = stack_of(made);
	const struct filter_list *list = stack->filters;
	struct tcmu_config below = *config;
	struct filter_chain *chain;
	int r = chain_new(
		stack->base, list->filters, (const struct tcmu_option_value *const *) list->values,
		list->cnt, host, dev, &chain);

	if (r < 0)
		return reason_refuse(reason, r, "the filters cannot be set up: %s", strerror(-r));
	for (unsigned i = 0; i < list->cnt; i++)
		chain->layers[i].counter = stack->first_counter[i];
	below.read_only |= stack->stores < list->cnt;
	below.must_exist |= stack->stores < list->cnt;
	r = handler_call_open(
		stack->base, &below, &chain->host, dev, info, &chain->backend, reason);
	if (r >= 0) {
		r = chain_open_filters(chain, config, info, reason);
		if (r < 0)
			stack->base->close(chain->backend);
	}
	if (r < 0) {
		chain_free(chain);
		return r;
	}
	*backend = chain;
	return r;
}

static void stack_close(void *backend)
{
	struct filter_chain *chain = backend;

	chain->handler->close(chain->backend);
	chain_close_filters(chain);
	chain_free(chain);
}

static int stack_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct filter_chain *chain = backend;

	return handler_call_resize(chain->handler, chain->backend, config, info, reason);
}

static int stack_lock(void *backend, uint16_t tag, struct tcmu_reason *reason)
{
	struct filter_chain *chain = backend;

	return handler_call_lock(chain->handler, chain->backend, tag, reason);
}

static int stack_unlock(void *backend)
{
	struct filter_chain *chain = backend;

	return chain->handler->unlock(chain->backend);
}

static int stack_lock_state(void *backend, bool *ours, uint16_t *tag)
{
	struct filter_chain *chain = backend;

	return chain->handler->lock_state(chain->backend, ours, tag);
}

static void stack_abandon(void *backend)
{
	struct filter_chain *chain = backend;

	chain->handler->abandon(chain->backend);
}

/* ------- its properties ------- */

static void stack_add_counters(struct stack *stack)
{
	const struct filter_list *list = stack->filters;
	size_t own = handlers_counter_count(stack->base);

	stack->counter_names = g_ptr_array_new_with_free_func(g_free);
	stack->counters = g_array_new(TRUE, TRUE, sizeof(struct tcmu_counter));
	g_array_append_vals(stack->counters, stack->base->counters, (guint) own);
	for (unsigned i = 0; i < list->cnt; i++) {
		const struct tcmu_counter *counter = list->filters[i]->counters;

		stack->first_counter[i] = stack->counters->len;
		for (; counter && counter->name; counter++) {
			struct tcmu_counter named = *counter;

			named.name = g_strdup_printf(
				"%s_%s", list->values[i][0].string, counter->name);
			g_ptr_array_add(stack->counter_names, (char *) named.name);
			g_array_append_val(stack->counters, named);
		}
	}
	assert(stack->counters->len >= own);
}

/* The index of the outermost filter that stores. */
static unsigned stack_find_store(const struct filter_list *list)
{
	unsigned i = 0;

	while (i < list->cnt && !(list->filters[i]->flags & FILTER_STORES))
		i++;
	assert(i == list->cnt || list->filters[i]->claim);
	return i;
}

/* The store is the filter's: it has one size, no other host shares it, and what a failed flush has
 * lost does not come back by opening it again. */
static void stack_describe_store(struct tcmu_handler *handler)
{
	assert(handler->open == handler_made_open);
	handler->claim = handler_made_claim;
	handler->resize = NULL;
	handler->lock = NULL;
	handler->unlock = NULL;
	handler->lock_state = NULL;
	handler->abandon = NULL;
	handler->flags &= ~TCMU_HANDLER_REOPENS;
}

/* Everything that the daemon reads of a handler's table. A filter neither touches a buffer nor
 * blocks, and holds answers only; so the handler's way of being called, and what its flags promise,
 * hold for the stack. Claims, sizes and capabilities come from open, through the filters. */
static void stack_describe(struct stack *stack)
{
	const struct tcmu_handler *base = stack->base;
	struct tcmu_handler *handler = &stack->made.handler;

	*handler = *base;
	handler->check_config = NULL;
	handler->init = NULL;
	handler->fini = NULL;
	handler->given_up = NULL;
	handler->io_priv_size = chain_request_size(
		base, stack->filters->filters, stack->filters->cnt);
	handler->open = handler_made_open;
	handler->close = stack_close;
	handler->submit = filter_chain_submit;
	handler->cancel = filter_chain_cancel;
	handler->resize = base->resize ? stack_resize : NULL;
	handler->claim = base->claim ? handler_made_claim : NULL;
	handler->lock = base->lock ? stack_lock : NULL;
	handler->unlock = base->unlock ? stack_unlock : NULL;
	handler->lock_state = base->lock_state ? stack_lock_state : NULL;
	handler->abandon = base->abandon ? stack_abandon : NULL;
	if (stack->stores < stack->filters->cnt)
		stack_describe_store(handler);
	stack_add_counters(stack);
	handler->counters = stack->counters->len ? (const void *) stack->counters->data : NULL;
	stack->made.open = stack_open;
	stack->made.claim = stack_claim;
	assert(handler->io_priv_size > base->io_priv_size);
	assert(handler->threading == base->threading && !(handler->flags & ~base->flags));
	assert(!handler->lock == !handler->unlock && !handler->lock == !handler->lock_state);
}

/* ------- its life ------- */

struct stack *stack_new(const struct tcmu_handler *handler, const char *text)
{
	struct tcmu_reason reason;
	struct options *options;
	struct stack *stack;

	assert(!handler_is_made(handler));
	if (!strchr(text, ';') || options_parse(text, handler, &options, &reason) < 0)
		return NULL;
	if (!options_filters(options)->cnt) {
		options_free(options);
		return NULL;
	}
	stack = g_new0(struct stack, 1);
	stack->base = handler;
	stack->options = options;
	stack->filters = options_filters(options);
	stack->stores = stack_find_store(stack->filters);
	stack_describe(stack);
	return stack;
}

const struct tcmu_handler *stack_handler(const struct stack *stack)
{
	assert(handler_is_made(&stack->made.handler));
	return &stack->made.handler;
}

void stack_free(struct stack *stack)
{
	if (!stack)
		return;
	g_array_unref(stack->counters);
	g_ptr_array_unref(stack->counter_names);
	options_free(stack->options);
	g_free(stack);
}
