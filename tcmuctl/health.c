/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <assert.h>
#include <string.h>

#include "members.h"

#define FDS_MAX_PART 0.9
#define STATE_MAX_S  10 /* in a state that ends by itself */

static const char *const severity_names[] = {
	[HEALTH_FINE] = "fine",
	[HEALTH_ATTENTION] = "attention",
	[HEALTH_OUTAGE] = "outage",
};

static void add_finding(
	json_t *findings, enum health_severity severity, const char *subject, const char *state,
	double seconds, const char *problem, const char *advice)
{
	(void) json_array_append_new(
		findings,
		json_pack(
			"{ss ss ss sf ss ss}", "subject", subject, "severity",
			severity_names[severity], "state", state, "seconds", seconds, "problem",
			problem, "advice", advice));
}

/* ------- devices ------- */

bool health_is_well(const json_t *device)
{
	return !*member_text(device, "problem") &&
		strcmp(member_text(device, "state"), "LIVE") == 0;
}

/* The meaning of each state that lasts. */
static const struct state_health {
	const char *state;
	enum health_severity severity;
	const char *problem; /* if the daemon gives none */
	const char *advice;
} state_table[] = {
	{"FAULTED", HEALTH_OUTAGE, "its backend has failed",
	 "check its storage; the daemon reopens it from time to time, 'tcmuctl reopen' at once"},
	{"FAILING", HEALTH_OUTAGE, "its ring is broken",
	 "see 'journalctl -u tcmud'; its commands in flight are waited for"},
	{"CLOSING", HEALTH_OUTAGE, "its backend is being closed",
	 "check its storage if this lasts"},
	{"FAILED", HEALTH_OUTAGE, "it could not be opened",
	 "correct the problem; the daemon retries from time to time, 'tcmuctl reopen' at once"},
	{"ORPHANED", HEALTH_ATTENTION, "its backend has not returned its last requests",
	 "check its storage; its backing store cannot be used again before"},
	{"OPENING", HEALTH_OUTAGE, "its handler does not return from open", "check its storage"},
	{"ATTACHING", HEALTH_OUTAGE, "its ring is being mapped",
	 "see 'journalctl -u tcmud'; the host may have no memory"},
	{"RESETTING", HEALTH_OUTAGE, "requests from before a reset are still with the backend",
	 "check its storage"},
	{"DRAINING", HEALTH_ATTENTION, "it was deleted, and requests are in flight",
	 "check its storage"},
	{"DETACHED", HEALTH_ATTENTION, "it was deleted, and its handler closes the backend",
	 "check its storage"},
};

/* These last until somebody acts; the others end by themselves in time. */
static bool state_lasts(const char *state)
{
	return strcmp(state, "FAULTED") == 0 || strcmp(state, "FAILED") == 0 ||
		strcmp(state, "ORPHANED") == 0;
}

static void find_in_state(json_t *findings, const json_t *device)
{
	const char *state = member_text(device, "state"), *problem = member_text(device, "problem");
	double seconds = member_number(device, "state_seconds");

	for (size_t i = 0; i < sizeof(state_table) / sizeof(state_table[0]); i++) {
		const struct state_health *health = &state_table[i];

		if (strcmp(state, health->state) != 0)
			continue;
		if (state_lasts(state) || *problem || seconds > STATE_MAX_S)
			add_finding(
				findings, health->severity, member_text(device, "device"), state,
				seconds, *problem ? problem : health->problem, health->advice);
		return;
	}
	if (*problem)
		add_finding(
			findings, HEALTH_ATTENTION, member_text(device, "device"), state, seconds,
			problem, "see 'tcmuctl inflight', and check its storage");
}

static void find_in_device(json_t *findings, const json_t *device)
{
	const char *name = member_text(device, "device"), *state = member_text(device, "state");

	find_in_state(findings, device);
	if (strcmp(member_text(device, "lock"), "not confirmed") == 0)
		add_finding(
			findings, HEALTH_OUTAGE, name, state,
			member_number(device, "state_seconds"),
			"the cluster does not confirm its lock",
			"check the network to the cluster; initiators use the other gateway");
	if (json_is_true(json_object_get(device, "fenced")))
		add_finding(
			findings, HEALTH_ATTENTION, name, state,
			member_number(device, "state_seconds"),
			"its old connection is not closed yet",
			"remove no blocklist entry of this host; 'tcmuctl fenced 60' waits");
}

/* ------- the daemon ------- */

/* Whether the kernel has a device of this handler that is not served. */
static bool health_handler_is_missed(const json_t *others, const char *handler)
{
	const json_t *device;
	size_t i;

	member_each (others, i, device) {
		const char *config = member_text(device, "config");

		if (strncmp(config, handler, strlen(handler)) == 0 &&
		    config[strlen(handler)] == '/')
			return true;
	}
	return false;
}

/* A handler of another package that nobody needs here is no fault. */
static void find_in_handler(json_t *findings, const json_t *handler, const json_t *others)
{
	if (json_is_null(json_object_get(handler, "file")) &&
	    !health_handler_is_missed(others, member_text(handler, "handler")))
		return;
	if (*member_text(handler, "problem"))
		add_finding(
			findings, HEALTH_ATTENTION, member_text(handler, "handler"), "", 0,
			member_text(handler, "problem"),
			"install what is missing and restart tcmud, or remove the plugin");
}

static void find_in_daemon(json_t *findings, const json_t *process)
{
	double most = member_number(process, "max_fds");

	if (most > 0 && member_number(process, "open_fds") > FDS_MAX_PART * most)
		add_finding(
			findings, HEALTH_ATTENTION, "tcmud", "", 0,
			"it runs out of file descriptors", "raise LimitNOFILE of tcmud.service");
}

static enum health_severity finding_severity(const json_t *finding)
{
	const char *name = member_text(finding, "severity");

	return strcmp(name, severity_names[HEALTH_OUTAGE]) == 0 ? HEALTH_OUTAGE : HEALTH_ATTENTION;
}

/* The worst first; those of one severity stay in their order. */
static json_t *sort_findings(const json_t *findings)
{
	json_t *sorted = json_array(), *finding;
	size_t i;

	for (int severity = HEALTH_OUTAGE; severity > HEALTH_FINE; severity--)
		member_each (findings, i, finding)
			if ((int) finding_severity(finding) == severity)
				(void) json_array_append(sorted, finding);
	return sorted;
}

json_t *health_of(const json_t *dump)
{
	json_t *findings = json_array(), *sorted, *each;
	size_t i;

	member_each (json_object_get(dump, "devices"), i, each)
		find_in_device(findings, each);
	member_each (json_object_get(dump, "handlers"), i, each)
		find_in_handler(findings, each, json_object_get(dump, "others"));
	find_in_daemon(findings, json_object_get(dump, "process"));
	sorted = sort_findings(findings);
	json_decref(findings);
	return json_pack(
		"{ss sI so}", "status",
		severity_names
			[json_array_size(sorted) ? finding_severity(json_array_get(sorted, 0))
						 : HEALTH_FINE],
		"devices", (json_int_t) json_array_size(json_object_get(dump, "devices")),
		"findings", sorted);
}

enum health_severity health_severity(const json_t *health)
{
	const json_t *findings = json_object_get(health, "findings");

	return json_array_size(findings) ? finding_severity(json_array_get(findings, 0))
					 : HEALTH_FINE;
}

/* ------- for people ------- */

/* Control characters of names do not reach the terminal. */
static void print_text(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char) *text < ' ' || *text == 0x7f ? '?' : *text, out);
}

static void show_since(FILE *out, double seconds)
{
	if (seconds < 120)
		fprintf(out, " for %.0f s", seconds);
	else if (seconds < 7200)
		fprintf(out, " for %.0f min", seconds / 60);
	else
		fprintf(out, " for %.0f h", seconds / 3600);
}

static void show_finding(FILE *out, const json_t *finding)
{
	print_text(out, member_text(finding, "subject"));
	if (*member_text(finding, "state")) {
		fprintf(out, " is %s", member_text(finding, "state"));
		show_since(out, member_number(finding, "seconds"));
	}
	fputs(": ", out);
	print_text(out, member_text(finding, "problem"));
	fputs("\n    ", out);
	print_text(out, member_text(finding, "advice"));
	fputc('\n', out);
}

void health_show(FILE *out, const json_t *health)
{
	const json_t *findings = json_object_get(health, "findings"), *finding;
	double devices = member_number(health, "devices");
	size_t i;

	if (json_array_size(findings) == 0)
		fprintf(out, "nothing is wrong: %.0f device%s\n", devices, devices == 1 ? "" : "s");
	member_each (findings, i, finding)
		show_finding(out, finding);
}
