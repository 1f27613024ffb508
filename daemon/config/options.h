/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Config strings, "<subtype>/<target>[;name=value]...", as typed values, by the tables of options
 * that the daemon has for every device and that the handler has for its own.
 *
 * Pure functions over strings; any thread. A struct options owns copies of everything it points to,
 * but for the handler, which must outlive it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <tcmu/handler.h>

#include "base/rate-limit.h"

struct options;

/* Decodes text for a handler whose subtype it must have. 0 with *options, or with *options
 * untouched and a reason: -EINVAL, -ENAMETOOLONG (over TCMU_CONFIG_MAX bytes), -ENOMEM.
 * config->size and block_size are 0: the caller's. */
int options_parse(
	const char *text, const struct tcmu_handler *handler, struct options **options,
	struct tcmu_reason *reason);
void options_free(struct options *options); /* takes NULL */

/* Valid until options_free(). */
const struct tcmu_config *options_config(const struct options *options);

/* INQUIRY's strings, printable ASCII of at most 8, 16 and 4 characters, not padded. */
const char *options_vendor(const struct options *options);
const char *options_product(const struct options *options);
const char *options_revision(const struct options *options);

/* iops, bps and burst. */
void options_limits(const struct options *options, struct rate_limits *limits);

/* Whether two config strings are the same but for iops, bps and burst. */
bool options_differ_in_limits_only(const char *a, const char *b);

/* tcmur_cmd_time_out: seconds after which a command counts as late; 0: none does. */
unsigned options_command_timeout(const struct options *options);

/* What the kernel, targetcli or its save file would cut, refuse or garble on the way here: over
 * TCMU_CONFIG_MAX bytes, a comma, ':', a blank or a control character. For strings that a person is
 * about to create a device with; not for those of devices that exist. 0, or -errno with a reason.
 */
int options_check_text(const char *text, struct tcmu_reason *reason);

/* The subtype of text, copied; false if it has none or it does not fit. */
bool options_subtype(const char *text, char *subtype, size_t size);

/* Whether a subtype may be a handler's: [a-z0-9_]+, at most 63 characters. */
bool options_subtype_valid(const char *subtype);

/* Whether a handler's table makes sense and hides none of the daemon's options. 0, or -EINVAL with
 * a reason. */
int options_check_table(const struct tcmu_option *table, struct tcmu_reason *reason);

/* For ConfigDesc: the handler's description and all options. To be freed with free(); NULL: out of
 * memory. */
char *options_describe(const struct tcmu_handler *handler);
