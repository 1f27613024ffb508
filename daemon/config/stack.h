/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a device whose config string has filters: a handler that is made of the filters and
 * the device's handler. It is used as any handler; its properties are computed here alone.
 *
 * A stack does not change; any thread may use its handler. Running out of memory aborts (glib).
 */
#pragma once

#include <tcmu/handler.h>

struct stack;

/* The stack of a config string for a handler, which outlives it. NULL: the string has no filter, or
 * it is refused, with the reason that options_parse() gives. */
struct stack *stack_new(const struct tcmu_handler *handler, const char *text);

/* The handler, which is valid until stack_free(). */
const struct tcmu_handler *stack_handler(const struct stack *stack);

/* No backend of it is open. Takes NULL. */
void stack_free(struct stack *stack);
