#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# After an ordinary delete the kernel gets the device's memory back at once.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk

trace_start
milliseconds delete_backstore_configfs disk
say "delete: $MS ms"
assert_released 1 1000
assert_le "$MS" 1000 "the time of the delete (ms)"
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
