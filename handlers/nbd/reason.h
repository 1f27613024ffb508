/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reasons of refusals.
 */
#pragma once

#include <tcmu/handler.h>

/* Formats the reason and returns error. */
__attribute__((format(printf, 3, 4))) int remote_refuse(
	struct tcmu_reason *reason, int error, const char *format, ...);
