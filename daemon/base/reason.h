/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences that say why something was refused.
 */
#pragma once

#include <tcmu/handler.h>

/* Writes the sentence, cut where it is too long. Returns error, for the caller to return. Any
 * thread. */
int reason_refuse(struct tcmu_reason *reason, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
