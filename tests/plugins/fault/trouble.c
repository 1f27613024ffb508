/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong, and waiting until it is over: for a file to disappear, which is looked for every
 * few milliseconds because many may wait at once and each would need a watch of its own.
 */
#include "fault.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS   5
#define ERRNO_MAX 200

static const char *const op_names[FAULT_OP_CNT] = {
	[0] = "ALL",
	[TCMU_IO_READ] = "READ",
	[TCMU_IO_WRITE] = "WRITE",
	[TCMU_IO_FLUSH] = "FLUSH",
	[TCMU_IO_UNMAP] = "UNMAP",
	[TCMU_IO_WRITE_ZEROES] = "WRITE_ZEROES",
};

/* ------- calls that hang ------- */

struct fault_hang fault_hang_of(
	const struct tcmu_config *config, enum fault_option forever, enum fault_option file)
{
	struct fault_hang hang = {.forever = config->values[forever].number != 0};

	if (config->values[file].string)
		strncpy(hang.file, config->values[file].string, sizeof(hang.file) - 1);
	return hang;
}

static bool hangs(const struct fault_hang *hang)
{
	return hang->forever || (hang->file[0] && access(hang->file, F_OK) == 0);
}

void fault_hang(const struct fault_hang *hang)
{
	while (hangs(hang))
		(void) poll(NULL, 0, hang->forever ? -1 : LOOK_MS);
}

void fault_delay(uint64_t ms)
{
	if (ms)
		(void) poll(NULL, 0, ms < INT_MAX ? (int) ms : INT_MAX);
}

/* ------- errors ------- */

static bool is(const char *name, const char *text, size_t length)
{
	return name && strlen(name) == length && strncmp(name, text, length) == 0;
}

int fault_errno(const char *name, size_t length)
{
	for (int i = 1; i < ERRNO_MAX; i++)
		if (is(strerrorname_np(i), name, length))
			return -i;
	return 0;
}

static int parse_op(const char *text, size_t length)
{
	for (int i = 0; i < FAULT_OP_CNT; i++)
		if (is(op_names[i], text, length))
			return i;
	return -EINVAL;
}

/* Decimal digits to the end of the word. */
static int parse_nth(const char *text, size_t length, uint64_t *nth)
{
	*nth = 0;
	for (size_t i = 0; i < length; i++) {
		if (!isdigit((unsigned char) text[i]) || *nth > UINT32_MAX)
			return -EINVAL;
		*nth = *nth * 10 + (uint64_t) (text[i] - '0');
	}
	return *nth ? 0 : -EINVAL;
}

/* The next word; *text goes to what is behind it. */
static const char *word(const char **text, size_t *length)
{
	const char *start = *text;

	*length = strcspn(start, ":.+");
	*text = start + *length;
	return start;
}

static bool colon(const char **text)
{
	if (**text != ':' && **text != '.')
		return false;
	(*text)++;
	return true;
}

static int parse_error(const char **text, struct fault_error *error)
{
	const char *start;
	size_t length;
	int op;

	start = word(text, &length);
	op = parse_op(start, length);
	if (op < 0 || !colon(text))
		return -EINVAL;
	error->op = (enum tcmu_io_op) op;
	start = word(text, &length);
	error->error = fault_errno(start, length);
	if (!error->error)
		return -EINVAL;
	error->nth = 0;
	if (!colon(text))
		return 0;
	start = word(text, &length);
	return parse_nth(start, length, &error->nth);
}

int fault_parse_errors(const char *text, struct fault_error errors[FAULT_ERRORS_MAX])
{
	int cnt = 0;

	while (*text) {
		if (cnt == FAULT_ERRORS_MAX || parse_error(&text, &errors[cnt]) < 0)
			return -EINVAL;
		cnt++;
		if (*text == '\0')
			break;
		if (*text++ != '+' || *text == '\0')
			return -EINVAL;
	}
	return cnt;
}

/* ------- requests ------- */

static bool befalls(const struct fault_backend *backend, enum tcmu_io_op op)
{
	static const enum tcmu_io_op of[] = {
		[OPS_READ] = TCMU_IO_READ,
		[OPS_WRITE] = TCMU_IO_WRITE,
		[OPS_FLUSH] = TCMU_IO_FLUSH,
		[OPS_UNMAP] = TCMU_IO_UNMAP,
		[OPS_WRITE_ZEROES] = TCMU_IO_WRITE_ZEROES};

	return backend->ops == OPS_ALL || of[backend->ops] == op;
}

static void in_ms(uint64_t ms, struct timespec *deadline)
{
	clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += (time_t) (ms / 1000);
	deadline->tv_nsec += (long) (ms % 1000) * 1000000;
	if (deadline->tv_nsec >= 1000000000) {
		deadline->tv_sec++;
		deadline->tv_nsec -= 1000000000;
	}
}

/* Under the lock, which is given up meanwhile. False: cancelled. */
static bool wait_ms(struct fault_backend *backend, const struct fault_request *request, uint64_t ms)
{
	struct timespec deadline;
	int r = 0;

	in_ms(ms, &deadline);
	while (!request->cancelled && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&backend->cancelled, &backend->lock, &deadline);
	return !request->cancelled;
}

/* False: cancelled. */
static bool wait_out(struct fault_backend *backend, const struct fault_request *request)
{
	bool goes_on = true;

	if (backend->delay_ms == 0 && !hangs(&backend->hold))
		return true;
	pthread_mutex_lock(&backend->lock);
	if (backend->delay_ms)
		goes_on = wait_ms(backend, request, backend->delay_ms);
	while (goes_on && hangs(&backend->hold))
		goes_on = wait_ms(backend, request, LOOK_MS);
	pthread_mutex_unlock(&backend->lock);
	return goes_on;
}

int fault_befall(struct fault_backend *backend, const struct tcmu_io *io)
{
	const struct fault_request *request = io->priv;

	if (befalls(backend, io->op) && !wait_out(backend, request))
		return -ECANCELED;
	for (unsigned i = 0; i < backend->error_cnt; i++) {
		const struct fault_error *error = &backend->errors[i];

		if ((error->op == 0 || error->op == io->op) &&
		    (error->nth == 0 || error->nth == request->nth))
			return error->error;
	}
	return 0;
}
