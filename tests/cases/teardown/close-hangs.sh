#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The handler's close hangs: the memory is released at once, and the delete is answered at the reply timeout.
# vm: accel=icount
# vm: plugin=fault

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

SUBTYPE=fault
start_tcmud
truncate -s 64M /srv/disk.img
touch /run/hold
make_backstore_configfs disk "/srv/disk.img;close_hang_file=/run/hold" $((64 << 20))
trace_start
log_mark
timed_delete disk
figure delete "$MS" 2500
assert_released 1 50
figure release "$RELEASE_MS" 50
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> ORPHANED'
rm /run/hold
wait_for 10 logged 'disk: ORPHANED .* -> GONE'
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
