/* SPDX-License-Identifier: Apache-2.0 */
/* See takeover.h. */
#include "takeover.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "entries.h"
#include "lease.h"

#define SECOND_NS    UINT64_C(1000000000)
#define POLL_MS      100
#define CHECK_NS     (3 * SECOND_NS)
#define ENDED_NS     (SECOND_NS * 3600 * 24)     /* a storage daemon may keep a write that long */
#define FORGOTTEN_NS (SECOND_NS * 3600 * 24 * 7) /* a host that never came back */

static bool has_record(const struct records *records, const struct record *record)
{
	for (unsigned i = 0; i < records->cnt; i++)
		if (strcmp(records->records[i].address, record->address) == 0)
			return records->records[i].state == record->state &&
				records->records[i].tenure == record->tenure;
	return false;
}

/* Whether one of the former holders may still take itself for the holder. A host that has
 * taken the lock meanwhile is none of them. */
static bool has_holder(const struct records *former, const struct records *now)
{
	for (unsigned i = 0; i < former->cnt; i++)
		if (former->records[i].state == RECORD_HOLDER &&
		    has_record(now, &former->records[i]))
			return true;
	return false;
}

int takeover_read(const struct takeover *takeover, struct records *former)
{
	return records_read(takeover->rbd, takeover->own, former);
}

int takeover_wait(const struct takeover *takeover, const struct records *former)
{
	/* None of their leases is renewed any more. */
	uint64_t began = lease_clock_ns(), kept = began;
	struct records now = {.cnt = 0};
	unsigned missing;
	int r = entries_begin(takeover->rados, former);

	if (r >= 0)
		r = records_read(takeover->rbd, takeover->own, &now);
	while (r >= 0 && has_holder(former, &now) && lease_clock_ns() < began + LEASE_WAIT_NS) {
		(void) poll(NULL, 0, POLL_MS);
		if (atomic_load(takeover->fenced)) {
			r = -ESHUTDOWN;
			break;
		}
		if (lease_clock_ns() >= kept + SECOND_NS) {
			kept = lease_clock_ns();
			r = entries_keep(takeover->rados, former, &missing);
		}
		if (r >= 0)
			r = records_read(takeover->rbd, takeover->own, &now);
	}
	records_free(&now);
	return r;
}

int takeover_check_again(const struct takeover *takeover, const struct records *former)
{
	struct records now = {.cnt = 0};
	int r = records_read(takeover->rbd, takeover->own, &now);

	for (unsigned i = 0; i < now.cnt && r >= 0; i++)
		if (now.records[i].state == RECORD_HOLDER && !has_record(former, &now.records[i]))
			r = -EAGAIN;
	records_free(&now);
	return r;
}

/* A failure costs the next host a wait. */
void takeover_mark(const struct takeover *takeover, const struct records *former)
{
	struct records now = {.cnt = 0};
	int r = records_read(takeover->rbd, takeover->own, &now);

	for (unsigned i = 0; i < former->cnt && r >= 0; i++)
		if (former->records[i].state == RECORD_HOLDER &&
		    has_record(&now, &former->records[i]))
			(void) records_set(
				takeover->pool, takeover->header, former->records[i].address,
				RECORD_PAST, 0);
	records_free(&now);
}

static int forget_records(
	const struct takeover *takeover, const struct records *records, uint64_t watched)
{
	int r = 0;

	for (unsigned i = 0; i < records->cnt && r >= 0; i++)
		if (watched >=
		    (records->records[i].state == RECORD_ENDED ? ENDED_NS : FORGOTTEN_NS))
			r = records_remove(
				takeover->pool, takeover->header, records->records[i].address);
	return r;
}

static int check_records(
	const struct takeover *takeover, struct takeover_check *check,
	const struct records *records, unsigned *missing)
{
	uint64_t now = lease_clock_ns();
	int r;

	if (!records->cnt || !check->since)
		check->since = now;
	r = entries_keep(takeover->rados, records, missing);
	return r < 0 ? r : forget_records(takeover, records, now - check->since);
}

int takeover_check(const struct takeover *takeover, struct takeover_check *check, unsigned *missing)
{
	struct records records = {.cnt = 0};
	uint64_t now = lease_clock_ns();
	int r;

	*missing = 0;
	if (now < check->next)
		return 0;
	assert(takeover->header[0]);
	check->next = now + CHECK_NS;
	r = records_read(takeover->rbd, takeover->own, &records);
	if (r >= 0)
		r = check_records(takeover, check, &records, missing);
	records_free(&records);
	return r;
}
