#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The delete of a device without I/O takes milliseconds, and the kernel gets the memory back at once. The same holds after
# I/O.
# vm: accel=icount

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
timed_delete disk
figure delete "$MS" 200
assert_released 1 20
figure release "$RELEASE_MS" 20
daemon_has_no_uio || fail "the daemon still holds a uio device"

say "after I/O"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
