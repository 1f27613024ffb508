#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The OSD is restarted twice under a verifying load. The load sees a pause and no error, and no data is lost, older data
# included.
# vm: net=yes timeout=400 hung_task=200

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"

sum_of_second_half() { dd if="$DISK" bs=1M skip=32 iflag=direct status=none | md5sum; }

join_cluster
create_image disk 64M
start_tcmud
make_backstore_configfs disk 'rbd/disk;osd_op_timeout=120' $((64 << 20))
attach disk
must dd if=/dev/urandom of="$DISK" bs=1M count=16 seek=32 oflag=direct
before=$(sum_of_second_half)
load_start "$DISK" 32M
for i in 1 2; do
	count=$(writes_of "$DISK")
	wait_for 60 wrote "$DISK" $((count + 200))
	say "restart $i"
	on_host osd restart
done
count=$(writes_of "$DISK")
wait_for 90 wrote "$DISK" $((count + 200))
load_stop
assert_eq "$(sum_of_second_half)" "$before" "the checksum of the older data"

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 2000
wait_for 30 unwatched disk
on_host rbd rm rbd/disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
