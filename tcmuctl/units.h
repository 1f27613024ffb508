/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes and times as text for people.
 */
#pragma once

#define UNITS_TEXT_SIZE 24

/* "1.50 GiB". Returns buffer. */
const char *units_size(double bytes, char buffer[UNITS_TEXT_SIZE]);

/* "1.24 ms". Returns buffer. */
const char *units_time(double seconds, char buffer[UNITS_TEXT_SIZE]);
