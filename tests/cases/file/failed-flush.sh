#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# When the store loses acknowledged data, the flush fails, and so does every later one, although the kernel would report
# success again. No other device is affected. After the store is repaired and the device made again, it works.
# vm: timeout=240 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# A file system on a disk that is larger than the file system below it: writing succeeds, writing back fails.
modprobe loop
mkdir /run/small /run/store
mount -t tmpfs -o size=24M small /run/small
truncate -s 128M /run/small/disk
loop=$(losetup -f --show /run/small/disk)
must mkfs.ext4 -q -O ^has_journal "$loop"
must mount "$loop" /run/store

start_tcmud
make_backstore good /srv/good.img 64M
attach good
good=$DISK
make_backstore disk /run/store/disk.img 80M
attach disk

say "60 MiB are acknowledged, but there is space for 24 only"
must dd if=/dev/urandom of="$DISK" bs=1M count=60 oflag=direct
log_mark
must_fail sg_sync "$DISK"
wait_for 5 logged "disk.*FAULTED"
say "  $(log_since_mark | sed -n 1p)"
must_fail sg_sync "$DISK"
must_fail dd if=/dev/zero of="$DISK" bs=4k count=1 oflag=direct
must dd if=/dev/urandom of="$good" bs=1M count=4 oflag=direct
must sg_sync "$good"

say "repair"
detach disk
trace_start
delete_backstore disk
assert_released 1 1000
must umount /run/store
must mount -o remount,size=200M /run/small
must mkfs.ext4 -qF -O ^has_journal "$loop"
must mount "$loop" /run/store
make_backstore disk /run/store/disk.img 80M
attach disk
must dd if=/dev/urandom of="$DISK" bs=1M count=60 oflag=direct
must sg_sync "$DISK"

detach disk
detach good
delete_backstore disk
delete_backstore good
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
must umount /run/store
losetup -d "$loop"
