/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Percent-encoding in config strings (RFC 3986 2.1): %XX stands for a byte that the kernel,
 * targetcli or the syntax of the string would not leave as it is.
 *
 * Pure functions; any thread.
 */
#pragma once

#include <tcmu/handler.h>

/* Decodes text in place. what: names the text in the reason. 0; or -EINVAL with a reason if a '%'
 * is not followed by two hexadecimal digits, or if they are a control character. */
int escape_decode(char *text, const char *what, struct tcmu_reason *reason);
