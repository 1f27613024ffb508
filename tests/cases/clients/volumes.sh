#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Volume managers and file systems on our disks: LVM with a thin pool and a snapshot, LUKS, with and without integrity, Btrfs,
# while the daemon is killed under their load; and a mirror by md that loses one of its LUNs and gets it back. Each one's own
# check finds no error, and their discards reach the image.
# vm: memory=3072 timeout=500 hung_task=200 check=no smp=2

# shellcheck source=tests/cases/clients/clients.bash
. "${0%/*}/clients.bash"

# make_disk NAME MIB: a new LUN; DISK is its node.
make_disk() {
	make_backstore_configfs "$1" "/srv/$1.img" $(($2 << 20))
	attach "$1"
}
drop_disk() {
	detach "$1"
	delete_backstore_configfs "$1"
}
# kill_under_load DEVICE SIZE: kills the daemon under a verified load.
kill_under_load() {
	local writes disk=$DISK
	load_start "$1" "$2"
	writes=$(writes_of "$disk")
	wait_for 60 wrote "$disk" $((writes + 150))
	kill_daemon
	writes=$(writes_of "$disk")
	wait_for 60 wrote "$disk" $((writes + 150))
	load_stop
}

use_clients
start_tcmud

say "Btrfs: a scrub after a kill; it discards what was deleted"
modprobe btrfs
make_disk btrfs 384
btrfs=$DISK
must mkfs.btrfs -q "$btrfs"
mkdir /run/btrfs
must mount -o discard=async "$btrfs" /run/btrfs
must dd if=/dev/urandom of=/run/btrfs/deleted bs=1M count=96 conv=fsync status=none
must dd if=/dev/urandom of=/run/btrfs/kept bs=1M count=16 conv=fsync status=none
kept=$(md5sum </run/btrfs/kept)
kill_under_load /run/btrfs/load 16M
must btrfs scrub start -B /run/btrfs
assert_match "$OUTPUT" 'Error summary: +no errors found' "the scrub"
before=$(kib_of /srv/btrfs.img)
rm /run/btrfs/deleted
sync

say "LVM: a thin pool, a snapshot, discards"
modprobe -a dm_thin_pool
make_disk lvm 384
printf 'activation {\n\tudev_sync = 0\n\tudev_rules = 0\n}\ndevices {\n\tobtain_device_list_from_udev = 0\n}\n' >/etc/lvm/lvmlocal.conf
must pvcreate --yes "$DISK"
must vgcreate group "$DISK"
must lvcreate --yes --type thin-pool --size 256M --poolmetadatasize 8M --discards passdown --name pool group
must lvcreate --yes --type thin --virtualsize 512M --thinpool pool --name thin group
mkdir /run/thin /run/snapshot
must mkfs.ext4 -q -E nodiscard /dev/group/thin
must mount /dev/group/thin /run/thin
must dd if=/dev/urandom of=/run/thin/file bs=1M count=32 conv=fsync status=none
sum=$(md5sum </run/thin/file)
must lvcreate --yes --snapshot --setactivationskip n --name yesterday group/thin
must dd if=/dev/urandom of=/run/thin/file bs=1M count=32 conv=fsync,notrunc status=none
kill_under_load /run/thin/load 16M
must mount -o ro,noload /dev/group/yesterday /run/snapshot
assert_eq "$(md5sum </run/snapshot/file)" "$sum" "the file in the snapshot"
must umount /run/snapshot
used=$(kib_of /srv/lvm.img)
must lvremove --yes group/yesterday
rm /run/thin/file
sync -f /run/thin
must fstrim -v /run/thin
say "the image had $used KiB, now it has $(kib_of /srv/lvm.img): $OUTPUT"
assert_le "$(kib_of /srv/lvm.img)" $((used - 25000)) "the KiB of the image after fstrim"
must umount /run/thin
must fsck.ext4 -fn /dev/group/thin
must vgchange -an group
must lvchange --yes -ay group/pool_tmeta
must thin_check /dev/group/pool_tmeta
must lvchange -an group/pool_tmeta
drop_disk lvm

say "md: a mirror loses a LUN under load"
modprobe -a raid1
make_disk left 96
left=$DISK
make_disk right 96
right=$DISK
must mdadm --create /dev/md0 --level=1 --raid-devices=2 --bitmap=internal --metadata=1.2 --run "$left" "$right" </dev/null
md=/sys/block/md0/md
md_is() { [ "$(<$md/sync_action)" = idle ] && [ "$(<$md/degraded)" = "$1" ]; }
echo 50000 >$md/sync_speed_min
wait_for 60 md_is 0
load_start /dev/md0 32M
wait_for 60 wrote "$right" $(($(writes_of "$right") + 150))
drop_disk left
wait_for 60 md_is 1
wait_for 60 wrote "$right" $(($(writes_of "$right") + 150))
must mdadm /dev/md0 --remove detached
make_disk left 96
must mdadm /dev/md0 --re-add "$DISK"
assert_match "$OUTPUT" 're-added' "the answer of mdadm"
kill_daemon
wait_for 90 md_is 0
wait_for 60 wrote "$right" $(($(writes_of "$right") + 150))
load_stop
echo check >$md/sync_action
wait_for 60 md_is 0
assert_eq "$(<$md/mismatch_cnt)" 0 "the blocks in which the two differ"
must mdadm --stop /dev/md0
drop_disk left
drop_disk right
# The errors of the deleted LUN.
dmesg --clear

say "LUKS: discards; integrity"
modprobe -a dm_crypt dm_integrity
make_disk luks 64
format=(cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file -)
must "${format[@]}" "$DISK" <<<secret
must cryptsetup open --allow-discards --key-file - "$DISK" plain <<<secret
kill_under_load /dev/mapper/plain 16M
must dd if=/dev/zero of=/dev/mapper/plain bs=1M count=16 oflag=direct status=none
used=$(kib_of /srv/luks.img)
must blkdiscard /dev/mapper/plain
assert_le "$(kib_of /srv/luks.img)" $((used - 15000)) "the KiB of the image, of $used before the discard"
must cryptsetup close plain
must_fail cryptsetup open --key-file - "$DISK" plain <<<wrong
must "${format[@]}" --integrity hmac-sha256 "$DISK" <<<secret
must cryptsetup open --key-file - "$DISK" sealed <<<secret
kill_under_load /dev/mapper/sealed 8M
must dd if=/dev/mapper/sealed of=/dev/null bs=1M iflag=direct status=none
must cryptsetup close sealed
drop_disk luks

say "the discards of Btrfs"
wait_for 120 smaller_than /srv/btrfs.img $((before - 60000))
say "the image had $before KiB, now it has $(kib_of /srv/btrfs.img)"
assert_eq "$(md5sum </run/btrfs/kept)" "$kept" "the file that was kept"
must umount /run/btrfs
must btrfs check "$btrfs"
drop_disk btrfs
no_complaints
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
