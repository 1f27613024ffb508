/* SPDX-License-Identifier: Apache-2.0 */
/* See config/escape.h. */
#include "config/escape.h"

#include <assert.h>
#include <errno.h>

#include <glib.h>

#include "base/reason.h"

int escape_decode(char *text, const char *what, struct tcmu_reason *reason)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		int high, low, byte;

		assert(out <= in);
		if (*in != '%') {
			*out++ = *in;
			continue;
		}
		high = g_ascii_xdigit_value(in[1]);
		low = high < 0 ? -1 : g_ascii_xdigit_value(in[2]);
		if (low < 0)
			return reason_refuse(
				reason, -EINVAL,
				"%s has a '%%' without two hexadecimal digits: write %%25 for a "
				"'%%'",
				what);
		byte = high << 4 | low;
		if (byte < ' ' || byte == 0x7f)
			return reason_refuse(
				reason, -EINVAL, "%s has the control character %%%02X", what, byte);
		*out++ = (char) byte;
		in += 2;
	}
	*out = '\0';
	return 0;
}
