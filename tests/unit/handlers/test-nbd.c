/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the nbd handler that need no server: extents, the journal, pauses, config strings
 * and claims. With servers: tests/kit/nbd.
 */
#include "fake-host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "extents.h"
#include "gather.h"
#include "journal.h"

/* ------- extents ------- */

#define BLOCK 512u
#define DATA  0u
#define HOLE  (REMOTE_STATE_HOLE | 2u)

static void extents_become_a_run_of_blocks(void **state)
{
	static const struct {
		uint64_t lengths[4];
		uint32_t states[4];
		uint64_t run;
		bool mapped;
	} table[] = {
		{{8192}, {DATA}, 8192, true},
		{{8192}, {HOLE}, 8192, false},
		{{4096, 4096}, {DATA, HOLE}, 4096, true},
		{{4096, 4096}, {HOLE, DATA}, 4096, false},
		/* neighbours that are alike */
		{{1024, 1024, 6144}, {DATA, DATA, HOLE}, 2048, true},
		{{1024, 1024, 6144}, {HOLE, HOLE, DATA}, 2048, false},
		/* a block that is partly allocated is allocated */
		{{100, 8092}, {DATA, HOLE}, 512, true},
		{{100, 8092}, {HOLE, DATA}, 8192, true},
		{{1000, 7192}, {HOLE, DATA}, 512, false},
		{{512, 300, 7380}, {DATA, HOLE, DATA}, 8192, true},
		{{700, 600, 6892}, {DATA, HOLE, DATA}, 8192, true},
		{{700, 900, 6592}, {DATA, HOLE, DATA}, 1024, true},
		/* more than was asked for, and less */
		{{1 << 20}, {HOLE}, 8192, false},
		{{1024}, {DATA}, 1024, true},
		{{1024}, {HOLE}, 1024, false},
		{{100}, {DATA}, 512, true},
		{{100}, {HOLE}, 512, true},
		{{0, 8192}, {DATA, HOLE}, 8192, false},
		{{0}, {DATA}, 0, false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct remote_extents extents;
		bool mapped;
		uint64_t run;

		remote_extents_begin(&extents, BLOCK, 8192);
		for (size_t k = 0; k < 4; k++)
			remote_extents_add(&extents, table[i].lengths[k], table[i].states[k]);
		run = remote_extents_end(&extents, &mapped);
		if (run != table[i].run || mapped != table[i].mapped)
			fail_msg("row %zu: %llu %d", i, (unsigned long long) run, mapped);
	}
}

/* ------- the journal ------- */

/* The same numbers in each run. */
static uint64_t next_random(uint64_t limit)
{
	static uint64_t seed = 17;

	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 33) % limit;
}

#define CAPACITY (UINT64_C(1) << 20)
#define WRITES   20000u

/* Writes of random lengths; a flush makes those before its mark stable. The journal has all later
 * ones, in their order. */
static void the_journal_has_every_unflushed_write(void **state)
{
	static char data[CAPACITY / 4];
	struct journal journal;
	uint64_t first = 0, next = 0, mark = 0, marked = 0;

	(void) state;
	assert_int_equal(journal_init(&journal, CAPACITY), 0);
	while (next < WRITES) {
		uint64_t longest = journal_longest(&journal);
		uint64_t length = next_random(next_random(8) ? 9000 : longest) + 1;
		bool zeroes = next_random(5) == 0;
		uint64_t reserved = journal_reserve(&journal, zeroes ? 0 : length);
		uint64_t position = 0, seen = 0;
		struct journal_entry *entry;

		if (!reserved) {
			/* There is room again after a flush. */
			assert_false(journal_is_empty(&journal));
			assert_true(journal_wants_flush(&journal));
			journal_release(&journal, mark);
			if (first == marked)
				journal_release(&journal, journal.tail);
			first = first == marked ? next : marked;
			mark = journal.tail;
			marked = next;
			continue;
		}
		memset(data, (int) (next % 251), length);
		journal_unreserve(&journal, reserved);
		journal_add(
			&journal, zeroes ? TCMU_IO_WRITE_ZEROES : TCMU_IO_WRITE, 0, next, length,
			zeroes ? NULL : data);
		next++;
		if (next_random(50))
			continue;
		while ((entry = journal_next(&journal, &position))) {
			assert_int_equal(entry->offset, first + seen);
			if (entry->op == TCMU_IO_WRITE)
				assert_int_equal(
					(unsigned char) entry->data[entry->length - 1],
					entry->offset % 251);
			seen++;
		}
		assert_int_equal(seen, next - first);
	}
	assert_int_equal(journal.reserved, 0);
	journal_free(&journal);
}

/* ------- config strings ------- */

/* The fake host does not decode: this is the text that the handler gets. */
static void equal_exports_have_equal_claims(void **state)
{
	static const char *const table[][2] = {
		{"nbd://Host/disk", "nbd://host:10809/disk"},
		{"nbd://user@host/disk", "nbds://host/d%69sk"},
		{"nbd://[::1]/x", "nbd://[::1]:10809/x"},
		{"/no/such/socket;export=x", "nbd+unix:///x?socket=/no/such/socket"},
		{"/no/such/socket", "nbd+unix://?socket=%2Fno/such/socket"},
	};
	static const char *const others[] = {"nbd://host/disk",          "nbd://host/other",
					     "nbd://host:1/disk",        "/no/such/socket",
					     "/no/such/socket;export=y", "nbd://[::1]/disk"};
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	char a[128], b[128];

	(void) state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(fake_claim(host, table[i][0], a, sizeof(a)), 0);
		assert_int_equal(fake_claim(host, table[i][1], b, sizeof(b)), 0);
		assert_string_equal(a, b);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		for (size_t k = 0; k < i; k++) {
			assert_int_equal(fake_claim(host, others[i], a, sizeof(a)), 0);
			assert_int_equal(fake_claim(host, others[k], b, sizeof(b)), 0);
			assert_string_not_equal(a, b);
		}
	fake_host_free(host);
}

static void a_wrong_config_string_is_refused_with_a_reason(void **state)
{
	static const char *const table[][2] = {
		{"host/disk", "neither a URI"},
		{"http://host/disk", "neither a URI"},
		{"/no/such/socket;connections=17", "connections=17 is not within 1 to 16"},
		{"/no/such/socket;unflushed=1M", "unflushed is neither 0 nor within 4M to 1G"},
		{"/no/such/socket;timeout=99999999", "timeout=99999999 is too long"},
		{"nbd://host/x;export=y", "the URI names the export"},
		{"/no/such/socket;psk=/no/such/file", "cannot read the file of psk="},
		{"/no/such/socket", "No such file or directory"},
		{"nbd://127.0.0.1:1/", "Connection refused"},
	};
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);

	(void) state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_true(fake_check(host, table[i][0], 1 << 20, BLOCK) < 0);
		if (!strstr(host->reason.text, table[i][1]))
			fail_msg("%s: %s", table[i][0], host->reason.text);
		assert_true(fake_open(host, table[i][0], 1 << 20, BLOCK) < 0);
		assert_non_null(strstr(host->reason.text, table[i][1]));
	}
	fake_host_free(host);
}

static void a_file_of_keys_that_others_may_read_is_refused(void **state)
{
	char path[] = "/tmp/test-nbd-XXXXXX", config[128];
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);
	int fd = mkstemp(path);

	(void) state;
	assert_true(fd >= 0);
	(void) snprintf(config, sizeof(config), "/no/such/socket;psk=%s", path);
	assert_true(fake_check(host, config, 1 << 20, BLOCK) < 0);
	assert_non_null(strstr(host->reason.text, "No such file or directory"));
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_true(fake_check(host, config, 1 << 20, BLOCK) < 0);
	assert_non_null(strstr(host->reason.text, "others may read or write"));
	(void) close(fd);
	(void) unlink(path);
	fake_host_free(host);
}

/* ------- pauses ------- */

#define US     UINT64_C(1000)
#define SECOND UINT64_C(1000000000)

/* A server, and a client thread that makes the pauses. */
struct flow {
	struct gather gather;
	uint64_t now, without, with; /* ns; from one answer to the next, without pauses and with */
	unsigned in_flight;
	uint64_t answers, paused; /* those after a pause */
	uint64_t longest;         /* pause, ns */
};

static void flow_for(struct flow *flow, uint64_t ns)
{
	uint64_t until = flow->now + ns;

	flow->answers = flow->paused = flow->longest = 0;
	while (flow->now < until) {
		uint64_t pause = gather_pause(&flow->gather, flow->in_flight);
		unsigned answers = pause ? 4 : 1;

		flow->now += answers * (pause ? flow->with : flow->without);
		flow->answers += answers;
		flow->paused += pause ? answers : 0;
		flow->longest = pause > flow->longest ? pause : flow->longest;
		gather_note(&flow->gather, answers, flow->in_flight, flow->now);
	}
}

static uint64_t percent_paused(const struct flow *flow)
{
	return flow->paused * 100 / flow->answers;
}

static void answers_gather_where_that_is_faster(void **state)
{
	static const struct {
		unsigned in_flight;
		uint64_t without, with, longest; /* us */
		bool gathers;
	} table[] = {
		{32, 20, 16, 80, true},   {32, 20, 20, 80, false},    {32, 20, 24, 80, false},
		{8, 20, 16, 20, true},    {128, 200, 160, 400, true}, /* the longest pause */
		{7, 20, 16, 0, false},                                /* too few */
		{32, 500, 400, 0, false},                             /* too seldom */
	};

	(void) state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct flow flow = {
			.now = SECOND,
			.without = table[i].without * US,
			.with = table[i].with * US,
			.in_flight = table[i].in_flight};

		flow_for(&flow, 20 * SECOND);
		assert_int_equal(flow.longest, table[i].longest * US);
		flow_for(&flow, 60 * SECOND);
		if (table[i].gathers)
			assert_true(percent_paused(&flow) > 95);
		else
			assert_true(percent_paused(&flow) < 5);
	}
}

static void a_result_is_doubted_from_time_to_time(void **state)
{
	struct flow flow = {.now = SECOND, .without = 20 * US, .with = 16 * US, .in_flight = 32};

	(void) state;
	flow_for(&flow, 60 * SECOND);
	flow.with = 30 * US;
	flow_for(&flow, 10 * SECOND);
	flow_for(&flow, 10 * SECOND);
	assert_true(percent_paused(&flow) < 10);
	flow.with = 16 * US;
	flow_for(&flow, 10 * SECOND);
	flow_for(&flow, 10 * SECOND);
	assert_true(percent_paused(&flow) > 90);
}

/* Something else takes the processor during two of the five rounds. */
static void a_disturbance_decides_nothing(void **state)
{
	struct flow flow = {.now = SECOND, .without = 20 * US, .with = 20 * US, .in_flight = 32};

	(void) state;
	while (flow.gather.sample < 4) {
		flow.without = 200 * US;
		flow_for(&flow, 1);
	}
	flow.without = 20 * US;
	while (flow.gather.sample < 2 * GATHER_ROUNDS)
		flow_for(&flow, 1);
	assert_false(flow.gather.on);
}

/* ------- the manual ------- */

static void the_manual_has_every_option_and_every_counter(void **state)
{
	struct fake_host *host = fake_host_new(PLUGIN, AIO_THREADS);

	(void) state;
	fake_check_manual_options(host, MANUAL);
	fake_check_manual_counters(host, MANUAL);
	fake_host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extents_become_a_run_of_blocks),
		cmocka_unit_test(the_journal_has_every_unflushed_write),
		cmocka_unit_test(equal_exports_have_equal_claims),
		cmocka_unit_test(a_wrong_config_string_is_refused_with_a_reason),
		cmocka_unit_test(a_file_of_keys_that_others_may_read_is_refused),
		cmocka_unit_test(answers_gather_where_that_is_faster),
		cmocka_unit_test(a_result_is_doubted_from_time_to_time),
		cmocka_unit_test(a_disturbance_decides_nothing),
		cmocka_unit_test(the_manual_has_every_option_and_every_counter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
