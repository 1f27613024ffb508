/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door for method calls from the bus: every call passes it before sd-bus finds an
 * object. The bus's policy is the first guard; this is the second, for a policy file that permits
 * more than ours does.
 *
 * - To read is permitted to everybody: the members of the standard interfaces that only read.
 * - Every method of our interfaces is permitted to users that base/trust.h trusts. The bus is
 *   asked once for the user of each sender, without waiting: the call is held meanwhile.
 * - Nothing else reaches sd-bus.
 *
 * Costly reads (all objects at once; the XML of a node) are limited for each user, except trusted
 * ones: a user beyond the limit gets an error, which costs little.
 *
 * Our methods are not in sd-bus's vtables but in tables of this module: a held call must run later,
 * which sd-bus cannot do. The vtables only describe them, for introspection.
 *
 * Main thread; no function waits. Running out of memory aborts (glib).
 */
#pragma once

#include <systemd/sd-bus.h>

struct callers;

/* Answers the call, now or later. Returns as an sd-bus method callback. The path of the call need
 * not name an object that exists. */
typedef int callers_run_fn(void *userdata, sd_bus_message *call, sd_bus_error *error);

struct callers_method {
	const char *interface;
	const char *member;
	const char *signature; /* of the arguments; checked before run() */
	callers_run_fn *run;
};

/* Guards a new connection, which outlives it. -errno: sd-bus refused. */
int callers_new(sd_bus *connection, struct callers **callers);

/* Drops the held calls without an answer. Takes NULL. */
void callers_free(struct callers *callers);

/* Adds methods; an entry without an interface ends the array. Both outlive the callers. */
void callers_add(struct callers *callers, const struct callers_method *methods, void *userdata);

/* The handler of every method in a vtable: refuses the call. It is only reached if the filter of
 * the callers is missing. */
int callers_refuse(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* For run(): there is no object at the path of the call. Returns as an sd-bus method callback. */
int callers_no_object(sd_bus_message *call, sd_bus_error *error);
