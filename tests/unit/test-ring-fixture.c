/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of a ring for the tests of ring.c.
 */
#include "test-ring-fixture.h"

#include <stdlib.h>
#include <string.h>

const uint8_t read_10[10] = {0x28, 0, 0, 0, 0, 8, 0, 0, 8, 0};
const uint8_t write_10[10] = {0x2a, 0, 0, 0, 0, 8, 0, 0, 8, 0};

void fixture_replace(struct fixture *f, const struct fake_ring_options *options)
{
	fake_ring_free(f->fake);
	f->fake = fake_ring_new(options);
	assert_non_null(f->fake);
	assert_int_equal(
		tcmu_ring_attach(&f->ring, fake_ring_base(f->fake), fake_ring_length(f->fake)), 0);
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fixture_replace(f, &(struct fake_ring_options){});
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fake_ring_free(f->fake);
	free(f);
	return 0;
}

uint16_t fixture_push_read(struct fixture *f, uint32_t length)
{
	int id = fake_ring_push(
		f->fake,
		&(struct fake_command){
			.cdb = read_10, .cdb_length = sizeof(read_10), .length = length});

	assert_in_range(id, 1, UINT16_MAX);
	assert_true(fake_ring_publish(f->fake));
	return (uint16_t) id;
}

int fixture_next(struct fixture *f)
{
	return tcmu_ring_next(&f->ring, &f->entry, f->iov, FIXTURE_IOVS);
}

uint16_t fixture_fetch(struct fixture *f)
{
	assert_int_equal(fixture_next(f), 1);
	assert_int_equal(f->entry.kind, TCMU_ENTRY_COMMAND);
	return f->entry.cmd_id;
}

void fixture_complete(struct fixture *f, uint16_t cmd_id)
{
	assert_int_equal(
		tcmu_ring_complete(&f->ring, &(struct tcmu_completion){.cmd_id = cmd_id}), 0);
}

static void remember(const struct fake_completion *completion, void *userdata)
{
	struct fixture *f = userdata;

	assert_in_range(f->seen_count, 0, FIXTURE_IOVS - 1);
	f->seen[f->seen_count++] = *completion;
	memcpy(f->seen_sense, completion->sense, sizeof(f->seen_sense));
}

int fixture_consume(struct fixture *f)
{
	f->seen_count = 0;
	tcmu_ring_publish(&f->ring);
	return fake_ring_consume(f->fake, remember, f);
}
