#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A LUN made by targetcli has a file system, with verified random writes and a live resize, and its delete leaves no trace.
# The backing file has all data afterwards.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
[ "$TCMU_DAEMON" = tcmud ] || truncate -s 256M /srv/disk.img # tcmu-runner makes no file
make_backstore disk /srv/disk.img 256M
attach_targetcli disk
assert_eq "$(disk_bytes "$DISK")" $((256 << 20)) "the disk's size"

must mkfs.ext4 -q "$DISK"
must mount "$DISK" /mnt
verified_writes /mnt/data 32M

if [ "$TCMU_DAEMON" = tcmud ]; then
	say "resize to 384 MiB under the mounted file system"
	tcli /backstores/user:file/disk set attribute dev_size=$((384 << 20))
	rescan() {
		echo 1 >"/sys/block/${DISK##*/}/device/rescan"
		[ "$(disk_bytes "$DISK")" -eq $((384 << 20)) ]
	}
	wait_for 10 rescan
	must resize2fs "$DISK"
	assert_le $((340 << 20)) "$(($(stat -f -c '%b * %S' /mnt)))" "the space of the grown file system, at least"
	verified_writes /mnt/more 32M
fi
sum=$(sha256sum /mnt/data)
must umount /mnt

trace_start
detach_targetcli disk
delete_backstore disk
assert_released 1 1000
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"

say "the backing file has the file system"
must fsck.ext4 -fn /srv/disk.img
modprobe loop
must mount -o loop,ro /srv/disk.img /mnt
assert_eq "$(sha256sum /mnt/data)" "$sum" "the checksum of the data"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
