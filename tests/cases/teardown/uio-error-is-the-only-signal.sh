#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A delete of which no event is ever sent is noticed by the uio error alone. While netlink is blocked in the kernel, it is
# the only signal there is.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk

trace_start
echo 1 >/sys/module/target_core_user/parameters/block_netlink
milliseconds delete_backstore_configfs disk
say "delete: $MS ms"
assert_released 1 1000
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
