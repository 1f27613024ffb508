/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

struct report {
	const struct cli *cli;
	FILE *out;
	json_t *tests; /* NULL: text */
	unsigned passed;
	unsigned failed;
	unsigned skipped;
};

static const char *const outcome_words[] = {
	[RUNNER_PASSED] = "PASS", [RUNNER_FAILED] = "FAIL", [RUNNER_SKIPPED] = "SKIP"};
static const char *const outcome_members[] = {
	[RUNNER_PASSED] = "passed", [RUNNER_FAILED] = "failed", [RUNNER_SKIPPED] = "skipped"};

struct report *report_new(const struct cli *cli, FILE *out)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		abort();
	report->cli = cli;
	report->out = out;
	report->tests = cli->json ? json_array() : NULL;
	return report;
}

static void report_print(const struct report *report, const struct runner_result *result)
{
	FILE *out = report->out;

	fprintf(out, "%s %-17s %6.2f s  ", outcome_words[result->outcome], result->test->name,
		result->seconds);
	if (result->outcome != RUNNER_PASSED) {
		fprintf(out, "%s\n", result->text);
	} else {
		bool first = true;

		for (unsigned i = 0; i < result->line_cnt; i++) {
			if (result->lines[i].letter != 'N')
				continue;
			fprintf(out, "%s%s", first ? "" : ", ", result->lines[i].text);
			first = false;
		}
		fputc('\n', out);
	}
	for (unsigned i = 0; i < result->line_cnt; i++)
		if (result->lines[i].letter == 'W')
			fprintf(out, "     warning: %s\n", result->lines[i].text);
	(void) fflush(out);
}

/* A number where it is one. */
static json_t *report_value(const char *text)
{
	char *end;
	double number = strtod(text, &end);

	return *text && !*end && strspn(text, "0123456789.") == strlen(text) ? json_real(number)
									     : json_string(text);
}

static json_t *report_member(const struct runner_result *result)
{
	json_t *figures = json_object(), *warnings = json_array();

	for (unsigned i = 0; i < result->line_cnt; i++) {
		const struct runner_line *line = &result->lines[i];
		const char *equals = strchr(line->text, '=');
		char name[64];

		if (line->letter == 'W') {
			json_array_append_new(warnings, json_string(line->text));
		} else if (equals) {
			(void) snprintf(
				name, sizeof(name), "%.*s", (int) (equals - line->text),
				line->text);
			json_object_set_new(figures, name, report_value(equals + 1));
		}
	}
	return json_pack(
		"{s:s, s:s, s:s, s:f, s:s*, s:o, s:o}", "name", result->test->name, "title",
		result->test->title, "outcome", outcome_members[result->outcome], "seconds",
		result->seconds, "text", result->outcome == RUNNER_PASSED ? NULL : result->text,
		"figures", figures, "warnings", warnings);
}

void report_add(struct report *report, const struct runner_result *result)
{
	switch (result->outcome) {
	case RUNNER_PASSED:
		report->passed++;
		break;
	case RUNNER_FAILED:
		report->failed++;
		break;
	case RUNNER_SKIPPED:
		report->skipped++;
		break;
	}
	if (report->tests)
		json_array_append_new(report->tests, report_member(result));
	else
		report_print(report, result);
}

int report_end(struct report *report)
{
	FILE *out = report->out;
	int r;

	if (report->tests) {
		json_t *all = json_pack(
			"{s:s, s:s, s:i, s:i, s:i, s:i, s:o}", "plugin", report->cli->plugin,
			"config", report->cli->config, "seed", (int) report->cli->seed, "passed",
			(int) report->passed, "failed", (int) report->failed, "skipped",
			(int) report->skipped, "tests", report->tests);

		(void) json_dumpf(all, out, JSON_INDENT(2));
		fputc('\n', out);
		json_decref(all);
	} else {
		fprintf(out, "%u passed, %u failed, %u skipped\n", report->passed, report->failed,
			report->skipped);
	}
	r = fflush(out) == 0 && !ferror(out) ? 0 : -1;
	free(report);
	return r;
}
