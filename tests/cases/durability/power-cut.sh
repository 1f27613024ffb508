#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# After a power cut at any moment, the image holds every block that was acknowledged as stable, or a later version: after FUA
# and SYNCHRONIZE CACHE with the write cache on, and after every write with it off.
#
# The kernel's dm-log-writes logs what the disk below the image's file system gets, in the order in which it becomes stable.
#
# Environment: MARKS=NUMBER of power cuts for each of the two (20).
# vm: disk=2G timeout=400 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

MARKS=${MARKS:-20}
replay=/host/build/tests/guest-programs/replay-log-writes
sectors=$((24 << 11)) # of the disk below the file system
size=$((8 << 20))     # of the LUN

modprobe loop
modprobe -a dm_mod dm_log_writes
export DM_DISABLE_UDEV=1 # only dmsetup makes nodes here
find_scratch_disk
# Nothing is discarded: the disk below keeps its zeros, with which the replay starts, too.
must dmsetup create base --table "0 $sectors linear $SCRATCH 0"

# power_cut WCE: the load and the check with the write cache on or off.
power_cut() {
	local log_sectors=$((($(<"/sys/block/${SCRATCH#/dev/}/size") - sectors) / 8 * 8)) target=/run/target-$1
	say "write cache $1"
	must dd if=/dev/zero of=/dev/mapper/base bs=1M count=24 oflag=direct
	must dmsetup create log --table "0 $log_sectors linear $SCRATCH $sectors"
	must dmsetup create logged --table "0 $sectors log-writes /dev/mapper/base /dev/mapper/log"
	must mkfs.ext4 -q -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/logged
	mkdir -p /run/store
	must mount /dev/mapper/logged /run/store
	truncate -s $size /run/store/disk.img # sparse: that a block belongs to the file must become stable, too
	sync -f /run/store
	make_backstore_configfs disk /run/store/disk.img $size
	attach disk
	[ "$1" = on ] || must sg_wr_mode --page=8 --contents=8,12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0 "$DISK"
	must sg_modes --page=8 --control=0 "$DISK"
	assert_match "$OUTPUT" "[08]8 12 0$([ "$1" = on ] && echo 4 || echo 0) 00" "the caching mode page"
	must python3 -ISE $CASES/durability/power_cut.py load "$DISK" logged /run/journal "$MARKS" "$1"
	say "$OUTPUT"
	detach disk
	delete_backstore_configfs disk
	must umount /run/store
	must dmsetup remove logged

	truncate -s $((sectors * 512)) "$target"
	must python3 -ISE $CASES/durability/power_cut.py check "$replay" /dev/mapper/log "$target" /run/journal "$MARKS" disk.img
	say "FIGURE write cache $1: $OUTPUT | 0 | 0"
	rm -f "$target"*
	must dmsetup remove log
}

start_tcmud
power_cut on
power_cut off
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
