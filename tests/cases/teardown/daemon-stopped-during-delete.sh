#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Row 08 of the teardown matrix: the daemon is stopped (SIGSTOP) during a delete, and goes on later.

# shellcheck source=tests/cases/matrix/matrix.bash
. "${0%/*}/matrix.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
kill -STOP "$DAEMON_PID"
in_background delete_backstore_configfs disk
wait_for 5 waits_in_kernel $BACKGROUND
go_on() {
	kill -CONT "$DAEMON_PID"
	wait "$BACKGROUND"
}
milliseconds go_on
row 8 "delete after going on" "$MS" 1000
assert_released 1 50
row 8 release "$RELEASE_MS" 50
daemon_has_no_uio || fail "the daemon still holds a uio device"
