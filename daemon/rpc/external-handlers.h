/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External handlers: handlers of other processes, which serve their subtype by themselves and want
 * targetcli to show it. Such a process owns the bus name
 * org.kernel.TCMUService1.HandlerManager1.<subtype>, calls RegisterHandler, and answers CheckConfig
 * under that name. We only forward calls.
 *
 * A registration lasts until another process has its bus name or none has, or until the connection
 * ends.
 *
 * Main thread; no function waits. Running out of memory aborts (glib).
 */
#pragma once

#include <systemd/sd-bus.h>

#include "config/handlers.h"
#include "config/settings.h"
#include "rpc/handler-objects.h"

#define HANDLER_MANAGER_PATH      TCMU_DBUS_ROOT "/HandlerManager1"
#define HANDLER_MANAGER_INTERFACE TCMU_DBUS_NAME ".HandlerManager1"

struct external_handlers;

/* All arguments outlive the result. objects: where registered handlers are shown. */
struct external_handlers *external_handlers_new(
	struct handler_objects *objects, const struct handlers *handlers,
	const struct settings *settings);

/* The handlers must be disconnected. Takes NULL. */
void external_handlers_free(struct external_handlers *external);

/* To be called when the objects are on a new connection. -errno: sd-bus refused. */
int external_handlers_connect(struct external_handlers *external);

/* To be called before the objects leave the connection: ends all registrations, and drops the calls
 * in flight without an answer. */
void external_handlers_disconnect(struct external_handlers *external);

/* Answers a RegisterHandler call, now or later. Returns as an sd-bus method callback. */
int external_handlers_register(struct external_handlers *external, sd_bus_message *call);

/* Answers a CheckConfig call for an object that has a bus name: asks its process, for at most
 * check_timeout_ms. Returns as an sd-bus method callback. */
int external_handlers_check(
	struct external_handlers *external, struct handler_object *object, sd_bus_message *call,
	const char *config);
