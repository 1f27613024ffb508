/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Config strings, "<subtype>/<target>[;name=value]...", as typed values. Two tables of options
 * decode them: the daemon's own, for every device, and the handler's.
 *
 * Pure functions over strings; any thread. A struct options owns copies of everything that it
 * points to except the handler's table, which must outlive it. Running out of memory aborts (glib).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <tcmu/handler.h>

#include "base/rate-limit.h"
#include "config/filter-list.h"

struct options;

/* Decodes a config string for a handler, whose subtype it must have. 0 with *options, to be freed;
 * or -EINVAL or -ENAMETOOLONG (more than TCMU_CONFIG_MAX bytes) with a reason and *options
 * untouched. The caller sets size and block_size of the config; they are 0. */
int options_parse(
	const char *text, const struct tcmu_handler *handler, struct options **options,
	struct tcmu_reason *reason);
void options_free(struct options *options); /* takes NULL */

/* Valid until options_free(), like all strings below. */
const struct tcmu_config *options_config(const struct options *options);

/* The option share: other devices that have it, too, may serve the same backing store. */
bool options_share(const struct options *options);

/* The strings of the standard INQUIRY data (SPC-4 6.4.2): printable ASCII of at most 8, 16 and 4
 * characters, not padded. */
const char *options_vendor(const struct options *options);
const char *options_product(const struct options *options);
const char *options_revision(const struct options *options);

/* The option sanitize: commands that change the medium without data-out are supported. */
bool options_sanitize(const struct options *options);

/* The option designator: the config string is not reported to initiators. */
bool options_neutral_designator(const struct options *options);

/* The options iops, bps and burst. */
void options_limits(const struct options *options, struct rate_limits *limits);

/* Whether two config strings are the same except for iops, bps and burst. */
bool options_differ_in_limits_only(const char *a, const char *b);

/* The options filter, the outermost first. */
const struct filter_list *options_filters(const struct options *options);

/* The option tcmur_cmd_time_out: seconds after which a command is logged as late; 0: never. */
unsigned options_command_timeout(const struct options *options);

/* Refuses strings that the kernel, targetcli or its save file would cut, refuse or change: more
 * than TCMU_CONFIG_MAX bytes, a comma, ':', a blank or a control character. For strings of devices
 * that are to be created, not of devices that exist. 0, -EINVAL or -ENAMETOOLONG with a reason. */
int options_check_text(const char *text, struct tcmu_reason *reason);

/* Copies the subtype of a config string. False: it has none, or it does not fit. */
bool options_subtype(const char *text, char *subtype, size_t size);

/* Whether a handler may have this subtype: 1 to 63 characters of [a-z0-9_]. */
bool options_subtype_valid(const char *subtype);

/* Whether an option or a counter may have this name: 1 to 31 characters of [a-z0-9_]. */
bool options_name_valid(const char *name);

/* Checks a handler's table: names, types and defaults are valid, and no name is taken. 0, or
 * -EINVAL with a reason. */
int options_check_table(const struct tcmu_option *table, struct tcmu_reason *reason);

/* The text of ConfigDesc: the handler's description and all options. To be freed by g_free(). */
char *options_describe(const struct tcmu_handler *handler);
