/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side on one thread, ours on another, out of order, over a ring that is always nearly
 * full. Each command carries data that the other side checks; under the thread sanitizer this also
 * shows that the two atomic positions order everything else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <tcmu/ring.h>

#include "fake-ring.h"

#define COMMANDS 50000u
#define WINDOW   16

struct stress {
	struct fake_ring *fake;
	unsigned pushed;
	unsigned ended;
	unsigned wrong; /* commands that came back with other data than they should */
	bool stop;      /* atomic: the consumer gave up */
};

/* The answer of our side to a command's first word. */
static uint32_t answer_to(uint32_t question)
{
	return question * 2654435761u + 1;
}

static void check_answer(const struct fake_completion *completion, void *userdata)
{
	struct stress *stress = userdata;
	uint32_t answer = 0;

	fake_completion_data(completion, &answer, sizeof(answer));
	if (answer != answer_to((uint32_t) (uintptr_t) completion->cookie) ||
	    completion->status != 0)
		stress->wrong++;
	stress->ended++;
}

static bool push_one(struct stress *stress)
{
	static const uint8_t write_10[10] = {0x2a};
	uint32_t question[1024] = {stress->pushed};
	int r;

	if (stress->pushed % 7 == 0 &&
	    fake_ring_push_pad(stress->fake, 8 + 8 * (stress->pushed % 5)) < 0)
		return false;
	if (stress->pushed % 11 == 0 && fake_ring_push_tmr(stress->fake, 5, NULL, 0) < 0)
		return false;
	r = fake_ring_push(
		stress->fake,
		&(struct fake_command){
			.cdb = write_10,
			.cdb_length = 10,
			.data_out = question,
			.length = 512 + 512 * (stress->pushed % 8),
			.cookie = (void *) (uintptr_t) stress->pushed,
		});
	if (r < 0)
		return false;
	stress->pushed++;
	return true;
}

static void *device_attributes(void *userdata)
{
	struct stress *stress = userdata;
	int taken;

	while (stress->ended < COMMANDS && !__atomic_load_n(&stress->stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 5 && stress->pushed < COMMANDS && push_one(stress); i++)
			;
		fake_ring_publish(stress->fake);
		taken = fake_ring_consume(stress->fake, check_answer, stress);
		if (taken < 0)
			break;
		if (taken == 0)
			sched_yield();
	}
	return NULL;
}

struct window {
	struct {
		uint16_t id;
		uint32_t *word;
	} waiting[WINDOW];
	unsigned count;
	uint32_t random;
};

/* Answers one of those that wait, whichever. */
static int answer_one(struct tcmu_ring *ring, struct window *window)
{
	unsigned i;
	int r;

	window->random = window->random * 1664525 + 1013904223;
	i = (window->random >> 16) % window->count;
	*window->waiting[i].word = answer_to(*window->waiting[i].word);
	r = tcmu_ring_complete(ring, &(struct tcmu_completion){.cmd_id = window->waiting[i].id});
	window->waiting[i] = window->waiting[--window->count];
	if (window->random & 0x10000)
		tcmu_ring_publish(ring);
	return r;
}

/* Until so many commands are answered. */
static int our_side(struct tcmu_ring *ring, unsigned commands)
{
	struct window window = {.random = 1};
	struct tcmu_entry entry;
	struct iovec iov[64];
	int r;

	while (commands > 0) {
		r = window.count < WINDOW ? tcmu_ring_next(ring, &entry, iov, 64) : 0;
		if (r < 0)
			return r;
		if (r == 1 && entry.kind == TCMU_ENTRY_COMMAND) {
			window.waiting[window.count].id = entry.cmd_id;
			window.waiting[window.count++].word = iov[0].iov_base;
		} else if (r == 0 && window.count > 0) {
			r = answer_one(ring, &window);
			if (r < 0)
				return r;
			commands--;
		} else if (r == 0) {
			tcmu_ring_publish(ring);
			sched_yield();
		}
	}
	tcmu_ring_publish(ring);
	return 0;
}

static void stress_with(const struct fake_ring_options *options)
{
	struct stress stress = {.fake = fake_ring_new(options)};
	struct tcmu_ring ring;
	pthread_t thread;
	int r;

	assert_non_null(stress.fake);
	assert_int_equal(
		tcmu_ring_attach(&ring, fake_ring_base(stress.fake), fake_ring_length(stress.fake)),
		0);
	assert_int_equal(pthread_create(&thread, NULL, device_attributes, &stress), 0);
	r = our_side(&ring, COMMANDS);
	if (r < 0)
		__atomic_store_n(&stress.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r, 0);
	assert_false(fake_ring_broken(stress.fake));
	assert_int_equal(stress.ended, COMMANDS);
	assert_int_equal(stress.wrong, 0);
	assert_int_equal(fake_ring_outstanding(stress.fake), 0);
	assert_int_equal(ring.outstanding, 0);
	fake_ring_free(stress.fake);
}

static void two_threads_share_a_small_ring(void **state)
{
	(void) state;
	stress_with(&(struct fake_ring_options){.ring_size = 1688, .block_count = 64});
}

static void two_threads_share_a_ring_of_scattered_data(void **state)
{
	(void) state;
	stress_with(&(struct fake_ring_options){
		.block_size = 512, .block_count = 128, .scatter = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_share_a_small_ring),
		cmocka_unit_test(two_threads_share_a_ring_of_scattered_data),
	};

	return cmocka_run_group_tests_name("ring-threads", tests, NULL, NULL);
}
