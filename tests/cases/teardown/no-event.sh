#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No event is sent (block_netlink): the uio error is the only signal of the delete, and it is enough.
# vm: accel=icount

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
echo 1 >/sys/module/target_core_user/parameters/block_netlink
timed_delete disk
echo 0 >/sys/module/target_core_user/parameters/block_netlink
figure delete "$MS" 200
assert_released_unasked 1 50
figure release "$RELEASE_MS" 50
daemon_has_no_uio || fail "the daemon still holds a uio device"

say "after I/O"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk
trace_start
echo 1 >/sys/module/target_core_user/parameters/block_netlink
delete_backstore_configfs disk
assert_released_unasked 1 1000
echo 0 >/sys/module/target_core_user/parameters/block_netlink
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"

say "the name and the file can be used again"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if="$DISK" of=/dev/null bs=64k count=64 iflag=direct
detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
