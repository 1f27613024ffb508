#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As frozen-file-system, but io_uring is forbidden: the write is stuck in a system call of a worker thread. The ring is
# revoked all the same.
# vm: disk=128M
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

LAUNCHER="python3 -ISE $CASES/without-io-uring.py"
start_tcmud
scratch_disk ext4
fill_file /scratch/disk.img aa $((8 << 20))
sync
make_backstore_configfs disk /scratch/disk.img $((8 << 20))
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
fill_file /run/new bb $((4 << 20))
must fsfreeze -f /scratch
dd if=/run/new of="$DISK" bs=64k oflag=direct 2>/dev/null &
wait_for 120 not running $!
detach disk

trace_start
log_mark
timed_delete disk
assert_le "$MS" 2000 "the milliseconds of the delete"
assert_released 1 2000
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> ORPHANED'
must fsfreeze -u /scratch
wait_for 20 logged 'disk: ORPHANED .* -> GONE'
only_blocks_of /scratch/disk.img 0 $((8 << 20)) aa bb
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
