#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A device whose netlink replies are off is served and released like any other. The kernel waits for nobody at its delete.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20)) nl_reply_supported=-1
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach disk

trace_start
milliseconds delete_backstore_configfs disk
say "delete: $MS ms"
assert_released 1 1000
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"
dmesg | grep -i 'tcmu.*netlink\|netlink.*tcmu' && fail "the kernel complained about a reply"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
