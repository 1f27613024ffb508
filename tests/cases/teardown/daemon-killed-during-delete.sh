#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A delete waits for a daemon that is then killed and started again: the new daemon ends the wait.
# vm: accel=icount

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/{disk,other}.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
make_backstore_configfs other /srv/other.img $((64 << 20))
trace_start
kill -STOP "$DAEMON_PID"
in_background delete_backstore_configfs disk
wait_for 5 waits_in_kernel $BACKGROUND
stop_tcmud KILL
waits_in_kernel $BACKGROUND || fail "the delete did not wait"
restart_daemon() {
	start_tcmud
	wait "$BACKGROUND"
}
milliseconds restart_daemon
figure "delete after the start" "$MS" 2000
assert_released 1 50
figure release "$RELEASE_MS" 50
wait_for 5 uio_files_are 1
delete_backstore_configfs other
wait_for 5 daemon_has_no_uio
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
