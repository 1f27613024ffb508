#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The space of files that are deleted on ext4 and on XFS comes back to the host: by fstrim, and without it when the file system is
# mounted with "discard". The files that stay keep every byte.
# vm: timeout=300 hung_task=200

# shellcheck source=tests/cases/clients/clients.bash
. "${0%/*}/clients.bash"

FILLER=12           # files of 4 MiB
FREED=$((40 << 10)) # KiB that must come back of them

# check_file_system NAME CHECK...: CHECK is the command that finds its errors.
check_file_system() {
	local image=/srv/$1.img sum
	say "$1"
	make_backstore_configfs "$1" "$image" $((320 << 20))
	attach "$1"
	must "mkfs.$1" -q "$DISK"
	must mount "$DISK" /mnt
	must dd if=/dev/urandom of=/mnt/kept bs=1M count=8 conv=fsync status=none
	sum=$(md5sum </mnt/kept)

	fill_and_delete "$image"
	must fstrim -v /mnt
	say "$1: $OUTPUT; the image has $FILLED KiB with the files, $(kib_of "$image") KiB after fstrim"
	assert_le "$(kib_of "$image")" $((FILLED - FREED)) "the KiB of the image after fstrim"

	must umount /mnt
	must mount -o discard "$DISK" /mnt # XFS takes no new option from a remount
	fill_and_delete "$image"
	wait_for 90 freed "$image"
	say "$1: $FILLED KiB with the files, $(kib_of "$image") KiB without fstrim"

	must umount /mnt
	must mount "$DISK" /mnt # so that every byte is read again
	assert_eq "$(md5sum </mnt/kept)" "$sum" "$1: the file that stays"
	must umount /mnt
	must "${@:2}" "$DISK"
	detach "$1"
	delete_backstore_configfs "$1"
}

# fill_and_delete IMAGE: files between others that stay, deleted again. FILLED is the KiB of the image with them.
fill_and_delete() {
	local n
	for ((n = 0; n < FILLER; n++)); do
		must dd if=/dev/urandom of="/mnt/filler-$n" bs=1M count=4 status=none
		must dd if=/dev/urandom of="/mnt/between-$n" bs=4k count=1 status=none
	done
	must sync -f /mnt
	FILLED=$(kib_of "$1")
	rm /mnt/filler-*
	must sync -f /mnt
}

# XFS frees the blocks in the background, and discards them when its log has that; a condition.
freed() { # IMAGE
	sync -f /mnt
	smaller_than "$1" $((FILLED - FREED))
}

start_tcmud
check_file_system ext4 fsck.ext4 -fn
check_file_system xfs xfs_repair -n
no_complaints
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
