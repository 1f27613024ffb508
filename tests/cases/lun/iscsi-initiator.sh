#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A LUN behind the kernel's iSCSI target, with open-iscsi as the initiator, has a file system and verified random writes.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
[ "$TCMU_DAEMON" = tcmud ] || truncate -s 256M /srv/disk.img
make_backstore disk /srv/disk.img 256M
iscsi_target disk
iscsi_login "$IQN"
assert_eq "$(disk_bytes "$DISK")" $((256 << 20)) "the disk's size"

must mkfs.ext4 -q "$DISK"
must mount "$DISK" /mnt
verified_writes /mnt/data 32M
must umount /mnt

iscsi_logout "$IQN"
trace_start
tcli /iscsi delete "$IQN"
delete_backstore disk
assert_released 1 1000
nothing_left disk || fail "the backstore left something"
daemon_has_no_uio || fail "the daemon still holds a uio device"
must fsck.ext4 -fn /srv/disk.img
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
