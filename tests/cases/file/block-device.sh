#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A block device as the backing store, with direct I/O: data is stored, unmapped space is discarded, the device is opened
# exclusively, and a wrong size is refused with a reason.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

modprobe loop
truncate -s 256M /srv/store
loop=$(losetup -f --show /srv/store)
store_kb() { du -k /srv/store | cut -f1; }

start_tcmud
must mkfs.ext4 -q "$loop"
must mount "$loop" /mnt
say "refused: a mounted device"
must_fail targetcli /backstores/user:file create name=disk size=256M cfgstring="$loop;direct=1"
assert_match "$OUTPUT" 'in use' "the message of targetcli"
must umount /mnt
blkdiscard "$loop"

say "refused: a device that is too small"
log_mark
must_fail make_backstore_configfs disk "$loop" $((512 << 20))
wait_for 5 logged '268435456 bytes, too few'
delete_backstore_configfs disk

make_backstore disk "$loop;direct=1" 256M
attach disk
must mkfs.ext4 -q "$DISK"
must mount "$DISK" /mnt
verified_writes /mnt/data 32M
sum=$(sha256sum /mnt/data)

say "opened exclusively while it is served"
mkdir -p /run/other
must_fail mount "$loop" /run/other
assert_match "$OUTPUT" 'busy' "the message of mount"

say "resize beyond its end"
log_mark
must_fail targetcli /backstores/user:file/disk set attribute dev_size=$((512 << 20))
wait_for 5 logged 'too few'

must umount /mnt
must mount "$DISK" /mnt
assert_eq "$(sha256sum /mnt/data)" "$sum" "the checksum of the data"
must umount /mnt

say "unmap"
full=$(store_kb)
must blkdiscard "$DISK"
assert_le "$(store_kb)" $((full - 30000)) "the space of the store after it, in KiB"
must dd if=/dev/urandom of="$DISK" bs=1M count=16 oflag=direct
must blkdiscard -z -o 1M -l 2M "$DISK"
must cmp -n 2M -i 1M:0 "$DISK" /dev/zero

detach disk
delete_backstore disk
nothing_left disk || fail "the backstore left something"
say "no longer opened exclusively"
must mkfs.ext4 -q "$loop"
must mount "$loop" /mnt
must umount /mnt
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
losetup -d "$loop"
