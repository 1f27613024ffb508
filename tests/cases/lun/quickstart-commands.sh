#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The commands that ./quickstart prints work as they are printed: the disk is there, is used, and leaves nothing.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# type_commands FILE: types its lines, of which each must end with 0. OUTPUT is that of the last one.
type_commands() {
	local line
	while IFS= read -r line <&3; do
		say "$line"
		must bash -c "$line"
	done 3<"$CASES/demo/$1"
}

start_tcmud
modprobe -a sd_mod sg
type_commands commands.txt
assert_match "$OUTPUT" 'sd[a-z]+ +.*disk +LIO-ORG +TCMU' "the list of disks"
DISK=/dev/sda
wait_for 20 exists "$DISK"
assert_eq "$(disk_bytes "$DISK")" $((1 << 30)) "the size of the disk"
must mkfs.ext4 -q "$DISK"
must mount "$DISK" /mnt
verified_writes /mnt/file 1M
must umount /mnt
type_commands commands-end.txt
nothing_left disk || fail "the backstore left something"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
