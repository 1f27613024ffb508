#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A device whose netlink replies are off (nl_reply_supported=-1) is served and released like any other: the kernel does not
# wait for an answer.
# vm: accel=icount

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20)) nl_reply_supported=-1
wait_for 5 uio_files_are 1
trace_start
timed_delete disk
figure delete "$MS" 200
assert_released_unasked 1 50
figure release "$RELEASE_MS" 50
daemon_has_no_uio || fail "the daemon still holds a uio device"

say "after I/O"
make_backstore_configfs disk /srv/disk.img $((64 << 20)) nl_reply_supported=-1
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk
trace_start
delete_backstore_configfs disk
assert_released_unasked 1 1000
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"
dmesg | grep -i 'tcmu.*netlink\|netlink.*tcmu' && fail "the kernel complained about a reply"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
