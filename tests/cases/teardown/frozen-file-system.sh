#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A buffered write is stuck in a frozen file system. The delete and the release stay within their limits, and another device
# is created, used and deleted meanwhile.
# vm: disk=512M slots=0
# vm: timeout=300
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
scratch_disk ext4
fill_file /scratch/disk.img aa $((16 << 20))
sync
make_backstore_configfs disk /scratch/disk.img $((16 << 20))
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
fill_file /run/new bb $((8 << 20))
must fsfreeze -f /scratch
dd if=/run/new of="$DISK" bs=64k oflag=direct 2>/dev/null &
wait_for 120 not running $!
say "the write has failed for the initiator; in the daemon it is stuck"
detach disk

trace_start
log_mark
timed_delete disk
figure delete "$MS" 2000
assert_released 1 2000
figure release "$RELEASE_MS" 2000
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> ORPHANED'

say "the same file is refused until the late write has ended; another one is served"
must_fail make_backstore_configfs again /scratch/disk.img $((16 << 20))
delete_backstore_configfs again
wait_for 5 logged 'again: .*still in use by the deleted user_100/disk: [0-9]+ late request'
truncate -s 64M /srv/other.img
milliseconds make_backstore_configfs other /srv/other.img $((64 << 20))
figure "create of another device" "$MS" 500
attach other
must dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct
detach other
timed_delete other
figure "delete of another device" "$MS" 500

say "the file system stays frozen for a minute"
late() { running "$DAEMON_PID" && ! logged 'disk: ORPHANED .* -> GONE'; }
holds_for 60 late
must fsfreeze -u /scratch
wait_for 20 logged 'disk: ORPHANED .* -> GONE'
only_blocks_of /scratch/disk.img 0 $((16 << 20)) aa bb
make_backstore_configfs disk /scratch/disk.img $((16 << 20))
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
