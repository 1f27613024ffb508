/* SPDX-License-Identifier: Apache-2.0 */
/* See shrink.h. */
#include "shrink.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEDULES 8

bool shrink_try(const struct world_options *options, char *failure)
{
	int status;
	pid_t child;

	sim->report->failure[0] = '\0';
	(void) fflush(stdout);
	child = fork();
	if (child == 0) {
		alarm(20);
		world_run(options);
		_exit(0);
	}
	(void) waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return false;
	if (!sim->report->failure[0])
		(void) snprintf(
			sim->report->failure, sizeof(sim->report->failure), "signal %d",
			WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	(void) snprintf(failure, sizeof(sim->report->failure), "%s", sim->report->failure);
	return true;
}

/* Whether two texts differ in numbers only. */
static bool shrink_is_same(const char *a, const char *b)
{
	while (*a || *b) {
		while (isxdigit((unsigned char) *a))
			a++;
		while (isxdigit((unsigned char) *b))
			b++;
		if (*a != *b)
			return false;
		if (*a)
			a++, b++;
	}
	return true;
}

/* Whether the life fails without these events; then they are left out. */
static bool shrink_without(struct world_options *options, uint64_t without, const char *failure)
{
	struct world_options tried = *options;
	char text[sizeof(sim->report->failure)];

	tried.events &= ~without;
	if (tried.events == options->events)
		return false;
	for (unsigned i = 0; i < SCHEDULES; i++) {
		if (shrink_try(&tried, text) && shrink_is_same(text, failure)) {
			*options = tried;
			return true;
		}
		tried.schedule = options->seed * 1000 + i;
	}
	return false;
}

void shrink_life(struct world_options *options, const char *failure)
{
	for (unsigned width = EVENTS_OF_LIFE / 2; width; width /= 2) {
		uint64_t mask = (UINT64_C(1) << width) - 1;

		for (unsigned first = 0; first < EVENTS_OF_LIFE; first += width)
			(void) shrink_without(options, mask << first, failure);
	}
	for (unsigned i = 0; i < EVENTS_OF_LIFE; i++)
		(void) shrink_without(options, UINT64_C(1) << i, failure);
}
