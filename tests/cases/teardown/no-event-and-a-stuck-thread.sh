#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No event is sent, and the device's I/O thread is stuck in its handler, so that it does not see the uio error. The ring is
# revoked all the same: the node that disappears from /dev is the signal.
# vm: plugin=stuck
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
SUBTYPE=stuck
make_backstore_configfs disk /run/held $((64 << 20))
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
touch /run/held
dd if="$DISK" of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null &
wait_for 120 not running $!
say "the read has failed for the initiator; in the daemon its thread is stuck"
detach disk

trace_start
log_mark
echo 1 >/sys/module/target_core_user/parameters/block_netlink
milliseconds delete_backstore_configfs disk
say "delete: $MS ms"
assert_released_unasked 1 2000
echo 0 >/sys/module/target_core_user/parameters/block_netlink
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> ORPHANED'
rm /run/held
wait_for 5 logged 'disk: ORPHANED .* -> GONE'
nothing_left disk || fail "the backstore left something"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
