#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The storage daemon stands still under load, and the backstore is deleted: that takes no longer than otherwise, and so does the kernel's
# memory. When the storage goes on nothing crashes, nobody has the image open, it can be removed.
# vm: net=yes timeout=400 hung_task=200

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"

join_cluster
image disk 64M
start_tcmud
make_backstore_configfs disk 'rbd/disk;osd_op_timeout=60' $((64 << 20))
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct
on_host osd stop
dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct 2>/dev/null &
writer=$!
wait_for 120 not running $writer
say "the write has ended in an error; in the daemon it is stuck"
detach disk

trace_start
log_mark
must python3 -ISE -c '
import os, sys, time
start = time.monotonic()
os.rmdir(sys.argv[1])
print(round((time.monotonic() - start) * 1000))' "$CORE/$HBA/disk"
say "the deletion took $OUTPUT ms"
assert_le "$OUTPUT" 2000 "the milliseconds of the deletion"
assert_released 1 2000
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> ORPHANED'

say "the daemon tells of it"
must tcmuctl list
assert_match "$OUTPUT" 'disk +ORPHANED' "what the daemon says of it"

say "the storage goes on"
on_host osd continue
wait_for 90 logged 'disk: ORPHANED .* -> GONE'
wait_for 30 unwatched disk
running "$DAEMON_PID" || fail "the daemon has died"
on_host rbd rm rbd/disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
