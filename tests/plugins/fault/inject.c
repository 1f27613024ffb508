/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults, and waiting until they are over. A hang ends when its file disappears; the file is polled
 * every few milliseconds, because many threads may wait at once and each would need a watch.
 */
#include "inject.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS   5
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

	assert(forever < FAULT_OPTIONS && file < FAULT_OPTIONS);
	if (config->values[file].string)
		strncpy(hang.file, config->values[file].string, sizeof(hang.file) - 1);
	return hang;
}

static bool hang_active(const struct fault_hang *hang)
{
	return hang->forever || (hang->file[0] && access(hang->file, F_OK) == 0);
}

void fault_hang(const struct fault_hang *hang)
{
	while (hang_active(hang))
		(void) poll(NULL, 0, hang->forever ? -1 : POLL_MS);
}

void fault_delay(uint64_t ms)
{
	if (ms)
		(void) poll(NULL, 0, ms < INT_MAX ? (int) ms : INT_MAX);
}

/* ------- errors ------- */

static bool name_is(const char *name, const char *text, size_t length)
{
	return name && strlen(name) == length && strncmp(name, text, length) == 0;
}

int fault_errno(const char *name, size_t length)
{
	for (int i = 1; i < ERRNO_MAX; i++)
		if (name_is(strerrorname_np(i), name, length))
			return -i;
	return 0;
}

static int parse_op(const char *text, size_t length)
{
	for (int i = 0; i < FAULT_OP_CNT; i++)
		if (name_is(op_names[i], text, length))
			return i;
	return -EINVAL;
}

/* Parses a decimal number above 0 that is the whole word. */
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

/* Returns the next word and moves *text past it. */
static const char *next_word(const char **text, size_t *length)
{
	const char *start = *text;

	*length = strcspn(start, ":.+");
	*text = start + *length;
	return start;
}

static bool skip_colon(const char **text)
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

	start = next_word(text, &length);
	op = parse_op(start, length);
	if (op < 0 || !skip_colon(text))
		return -EINVAL;
	error->op = (enum tcmu_io_op) op;
	start = next_word(text, &length);
	error->error = fault_errno(start, length);
	if (!error->error)
		return -EINVAL;
	error->nth = 0;
	if (!skip_colon(text))
		return 0;
	start = next_word(text, &length);
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

static bool op_selected(const struct fault_backend *backend, enum tcmu_io_op op)
{
	static const enum tcmu_io_op selected[] = {
		[OPS_READ] = TCMU_IO_READ,
		[OPS_WRITE] = TCMU_IO_WRITE,
		[OPS_FLUSH] = TCMU_IO_FLUSH,
		[OPS_UNMAP] = TCMU_IO_UNMAP,
		[OPS_WRITE_ZEROES] = TCMU_IO_WRITE_ZEROES};

	assert(backend->ops <= OPS_WRITE_ZEROES);
	return backend->ops == OPS_ALL || selected[backend->ops] == op;
}

static void set_deadline(uint64_t ms, struct timespec *deadline)
{
	clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += (time_t) (ms / 1000);
	deadline->tv_nsec += (long) (ms % 1000) * 1000000;
	if (deadline->tv_nsec >= 1000000000) {
		deadline->tv_sec++;
		deadline->tv_nsec -= 1000000000;
	}
}

/* The caller holds the lock, which is released while waiting. False: cancelled. */
static bool fault_wait_ms(
	struct fault_backend *backend, const struct fault_request *request, uint64_t ms)
{
	struct timespec deadline;
	int r = 0;

	assert(ms > 0);
	set_deadline(ms, &deadline);
	while (!request->cancelled && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&backend->cancelled, &backend->lock, &deadline);
	return !request->cancelled;
}

/* False: cancelled. */
static bool fault_wait(struct fault_backend *backend, const struct fault_request *request)
{
	bool proceed = true;

	if (backend->delay_ms == 0 && !hang_active(&backend->hold))
		return true;
	pthread_mutex_lock(&backend->lock);
	if (backend->delay_ms)
		proceed = fault_wait_ms(backend, request, backend->delay_ms);
	while (proceed && hang_active(&backend->hold))
		proceed = fault_wait_ms(backend, request, POLL_MS);
	pthread_mutex_unlock(&backend->lock);
	return proceed;
}

int fault_inject(struct fault_backend *backend, const struct tcmu_io *io)
{
	const struct fault_request *request = io->priv;

	assert(request->nth > 0);
	assert(backend->error_cnt <= FAULT_ERRORS_MAX);
	if (op_selected(backend, io->op) && !fault_wait(backend, request))
		return -ECANCELED;
	for (unsigned i = 0; i < backend->error_cnt; i++) {
		const struct fault_error *error = &backend->errors[i];

		if ((error->op == 0 || error->op == io->op) &&
		    (error->nth == 0 || error->nth == request->nth))
			return error->error;
	}
	return 0;
}
