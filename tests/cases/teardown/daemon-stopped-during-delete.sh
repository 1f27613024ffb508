#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is stopped (SIGSTOP) during a delete and continues later: the delete then ends at once.
# vm: accel=icount

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
kill -STOP "$DAEMON_PID"
in_background delete_backstore_configfs disk
wait_for 5 waits_in_kernel $BACKGROUND
continue_daemon() {
	kill -CONT "$DAEMON_PID"
	wait "$BACKGROUND"
}
milliseconds continue_daemon
figure "delete after SIGCONT" "$MS" 1000
assert_released 1 50
figure release "$RELEASE_MS" 50
daemon_has_no_uio || fail "the daemon still holds a uio device"
