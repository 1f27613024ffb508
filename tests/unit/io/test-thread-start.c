/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device's I/O thread attaches its ring: after a reset, with errors. test-recovery.c has how
 * it takes over from a daemon that died.
 */
#include "io-fixture.h"

#include <errno.h>
#include <sched.h>

static void a_failed_attach_reports_its_reason(void **state)
{
	static const struct {
		struct io_fixture_options options;
		int error;
		const char *text;
	} cases[] = {
		{{.uio.open_error = -EBUSY}, -EBUSY, "its uio device cannot be opened"},
		{{.uio.map_error = -ENOMEM}, -ENOMEM, "its ring cannot be mapped"},
		{{.uio.ring.version = 3},
		 -EPROTONOSUPPORT,
		 "its ring has a format that this daemon does not know"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text;
		struct io_fixture fixture;

		io_fixture_start_async(&fixture, &cases[i].options);
		io_fixture_wait_signal(&fixture, IO_SIGNAL_ENDED);
		assert_int_equal(fixture.signals, IO_SIGNAL_RING_BROKEN | IO_SIGNAL_ENDED);
		assert_int_equal(io_thread_error(fixture.thread, &text), cases[i].error);
		assert_string_equal(text, cases[i].text);
		assert_false(io_thread_ended_clean(fixture.thread));
		io_fixture_wait_end(&fixture);
	}
}

/* The administrator writes to action/reset_ring while the device is in use. */
static void a_ring_reset_while_serving_restarts_the_ring(void **state)
{
	struct io_fixture fixture;
	uint8_t in[FIXTURE_BLOCK], page[64];
	struct initiator_command lost = cmd_read(0, 1, in), pending = cmd_serial_page(page);
	struct initiator_command read = cmd_read(1, 1, in);
	unsigned long waits;

	(void) state;
	io_fixture_start(&fixture, &(struct io_fixture_options){.wait_serial = true});
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(initiator_run(&fixture, &read), SCSI_GOOD);
	backend_hold(fixture.backend, TCMU_IO_CAP(TCMU_IO_READ));
	initiator_send(&fixture, &lost);
	initiator_send(&fixture, &pending);
	assert_true(backend_wait_held(fixture.backend, 1));
	io_fixture_wait_signal(&fixture, IO_SIGNAL_NEEDS_LU_INFO);
	io_fixture_reset_ring(&fixture);
	io_fixture_wait_asleep();
	waits = fake_uio_epoll_waits();
	initiator_send(&fixture, &read);
	while (fake_uio_epoll_waits() ==
	       waits) /* the thread sleeps until nothing refers to the ring */
		sched_yield();
	backend_hold(fixture.backend, 0);
	backend_release(fixture.backend, 1, BACKEND_OLDEST);
	initiator_wait_status(&read, SCSI_BUSY); /* its pages may not be its own */
	assert_int_equal(initiator_run_while_busy(&fixture, &read), SCSI_GOOD);
	assert_int_equal(lost.status, SCSI_BUSY); /* from the kernel */
	assert_int_equal(pending.status, SCSI_BUSY);
	io_fixture_stop(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_attach_reports_its_reason),
		cmocka_unit_test(a_ring_reset_while_serving_restarts_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
