/* SPDX-License-Identifier: Apache-2.0 */
#include "units.h"

#include <stdio.h>

const char *units_size(double bytes, char buffer[UNITS_TEXT_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned i = 0;

	while (bytes >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		i++;
	}
	(void) snprintf(
		buffer, UNITS_TEXT_SIZE,
		bytes < 10 && i            ? "%.2f %s"
			: bytes < 100 && i ? "%.1f %s"
					   : "%.0f %s",
		bytes, units[i]);
	return buffer;
}

const char *units_time(double seconds, char buffer[UNITS_TEXT_SIZE])
{
	if (seconds <= 0)
		(void) snprintf(buffer, UNITS_TEXT_SIZE, "0");
	else if (seconds < 1e-3)
		(void) snprintf(buffer, UNITS_TEXT_SIZE, "%.0f us", seconds * 1e6);
	else if (seconds < 1)
		(void) snprintf(buffer, UNITS_TEXT_SIZE, "%.2f ms", seconds * 1e3);
	else
		(void) snprintf(buffer, UNITS_TEXT_SIZE, "%.1f s", seconds);
	return buffer;
}
