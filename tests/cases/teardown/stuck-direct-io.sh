#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sixty-four direct reads and writes, of several pieces each, are stuck in a suspended device. The delete and the release
# stay within their limits.
# vm: disk=512M slots=0
# vm: timeout=300
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
make_suspendable_disk $((64 << 20))
fill_file /dev/mapper/stuck aa $((64 << 20))
make_backstore_configfs disk "/dev/mapper/stuck;direct=1" $((64 << 20))
echo 3 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
# data blocks given back in disorder, so that commands have several pieces
must fio --name=shuffle --filename="$DISK" --size=32M --rw=randread --bsrange=4k-64k --iodepth=64 --ioengine=libaio --direct=1
must dmsetup suspend --noflush --nolockfs stuck
fio --name=stuck --filename="$DISK" --size=64M --rw=randrw --bs=64k --iodepth=64 --ioengine=libaio --direct=1 \
	--buffer_pattern=0xbb --number_ios=64 --ignore_error=EIO,EIO:EIO >/dev/null 2>&1 &
load=$!
wait_for 180 not running $load
detach disk

trace_start
log_mark
timed_delete disk
figure delete "$MS" 2000
assert_released 1 2000
figure release "$RELEASE_MS" 2000
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> ORPHANED'
log_since_mark | grep 'requests are stuck'
late() { running "$DAEMON_PID" && ! logged 'disk: ORPHANED .* -> GONE'; }
holds_for 5 late
must dmsetup resume stuck
wait_for 20 logged 'disk: ORPHANED .* -> GONE'
echo 3 >/proc/sys/vm/drop_caches
only_blocks_of /dev/mapper/stuck 0 $((64 << 20)) aa bb
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
