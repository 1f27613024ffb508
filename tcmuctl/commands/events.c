/* SPDX-License-Identifier: Apache-2.0 */
/* See events.h. */
#include "commands/events.h"

#include <string.h>
#include <time.h>

/* The same as in base/log.h of the daemon, in the catalog and in tcmud-events(7); a test compares
 * them. */
static const struct {
	const char *id;
	const char *name;
} kinds[] = {
	{"ccd308d830a14300b6b5477f1103acba", "daemon-ready"},
	{"19cd5f008a5e4f6b960c6f762147d0d1", "daemon-stopped"},
	{"2b562a1fcac2449dbaa109f72dc68d8f", "device-state"},
	{"9192da7fe18d42c5b546339f3cce32d8", "device-failed"},
	{"3723b79d0c644e2184f959b08b3b1f8a", "device-orphaned"},
	{"a3d9f0b5c46e4c7f8f2c1d6be0795e13", "backend-error"},
	{"e306d683c20e4d69a168799d4c76c279", "commands-late"},
	{"ea116c2e45194500ab8ca633425f6834", "handler-refused"},
	{"ed723791ecff4deba886eabdd0c419f8", "settings-changed"},
};

static const char *const levels[] = {
	"critical", "critical", "critical", "error", "warning", "info", "info", "debug",
};

const char *event_id_at(size_t i)
{
	return i < sizeof(kinds) / sizeof(kinds[0]) ? kinds[i].id : NULL;
}

static const char *event_level(const struct event *event)
{
	return event->priority >= 0 && event->priority < 8 ? levels[event->priority] : "info";
}

const char *event_name(const struct event *event)
{
	for (size_t i = 0; event->message_id && event_id_at(i); i++)
		if (strcmp(kinds[i].id, event->message_id) == 0)
			return kinds[i].name;
	return event_level(event);
}

int event_is_of(const struct event *event, const char *device)
{
	const char *slash = event->device ? strchr(event->device, '/') : NULL;

	if (!device)
		return 1;
	return event->device &&
		(strcmp(event->device, device) == 0 || (slash && strcmp(slash + 1, device) == 0));
}

/* Control characters of a message do not reach the terminal. */
static void event_print_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char) *text < ' ' || *text == 0x7f ? '?' : *text, out);
}

void event_show(FILE *out, const struct event *event)
{
	time_t seconds = (time_t) (event->time_us / 1000000);
	struct tm tm = {0};
	char text[32];

	(void) localtime_r(&seconds, &tm);
	(void) strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(out, "%s %-16s ", text, event_name(event));
	event_print_text(out, event->message ? event->message : "");
	fputc('\n', out);
}

/* NULL, and what is no UTF-8, is null. */
static json_t *event_text(const char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	return value ? value : json_null();
}

json_t *event_to_json(const struct event *event)
{
	return json_pack(
		"{sf ss ss so so so so so}", "time_seconds", (double) event->time_us / 1e6, "event",
		event_name(event), "level", event_level(event), "device", event_text(event->device),
		"handler", event_text(event->handler), "message", event_text(event->message),
		"message_id", event_text(event->message_id), "cursor", event_text(event->cursor));
}
