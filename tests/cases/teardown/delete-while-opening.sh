#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The delete comes while the device is still opening on a backend that hangs: the opening is given up.
# vm: accel=icount
# vm: plugin=fault

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

SUBTYPE=fault
start_tcmud
truncate -s 64M /srv/disk.img
touch /run/hold
log_mark
make_backstore_configfs disk "/srv/disk.img;open_hang_file=/run/hold" $((64 << 20)) nl_reply_supported=-1
trace_start
timed_delete disk
figure delete "$MS" 2000
assert_released 1 50
figure release "$RELEASE_MS" 50
rm /run/hold
wait_for 5 logged 'disk: .* -> GONE'

say "a create on a backend that hangs fails after the open timeout, and can be tried again"
stop_tcmud
echo "open_timeout_ms = 1500" >/run/tcmu.conf
start_tcmud --config /run/tcmu.conf
touch /run/hold
log_mark
milliseconds must_fail make_backstore_configfs disk "/srv/disk.img;open_hang_file=/run/hold" $((64 << 20))
figure "create that times out" "$MS" 4500
delete_backstore_configfs disk
wait_for 5 logged 'did not open within 1.5 s'
rm /run/hold
wait_for 5 logged 'disk: ORPHANED .* -> GONE'
make_backstore_configfs disk /srv/disk.img $((64 << 20))
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
