#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The OSD is stopped under load, and the backstore is deleted: the delete and the release take no longer than otherwise. When
# the OSD continues, nothing crashes, no client has the image open, and it can be removed.
# vm: net=yes timeout=400 hung_task=200

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"

join_cluster
create_image disk 64M
start_tcmud
make_backstore_configfs disk 'rbd/disk;osd_op_timeout=60' $((64 << 20))
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct
on_host osd stop
dd if=/dev/urandom of="$DISK" bs=64k count=64 oflag=direct 2>/dev/null &
writer=$!
wait_for 120 not running $writer
say "the write has failed for the initiator; in the daemon it is stuck"
detach disk

trace_start
log_mark
timed_delete disk
say "the delete took $MS ms"
assert_le "$MS" 2000 "the milliseconds of the delete"
assert_released 1 2000
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> ORPHANED'

say "the daemon lists it"
must tcmuctl list
assert_match "$OUTPUT" 'disk +ORPHANED' "the list"

say "the OSD continues"
on_host osd continue
wait_for 90 logged 'disk: ORPHANED .* -> GONE'
wait_for 30 unwatched disk
running "$DAEMON_PID" || fail "the daemon has died"
on_host rbd rm rbd/disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
