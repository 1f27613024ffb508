#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# File systems (ext4 and XFS) on our disks keep every byte under random operations on files, while the daemon is killed three
# times. Then fsck finds no error.
#
# Environment: OPERATIONS=NUMBER on each of the two, at least (30000), KILLS=NUMBER (3), SEED=NUMBER (1).
# vm: memory=3072 timeout=300 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

OPERATIONS=${OPERATIONS:-30000}
KILLS=${KILLS:-3}
SEED=${SEED:-1}
checker=/host/build/tests/guest-programs/file-checker

start_tcmud
declare -A disks
checkers=()
for type in ext4 xfs; do
	make_backstore_configfs $type /srv/$type.img $((320 << 20))
	attach $type
	disks[$type]=$DISK
	must mkfs.$type -q "$DISK"
	mkdir /run/$type
	must mount "$DISK" /run/$type
	"$checker" /run/$type/file "$OPERATIONS" "$SEED" >/run/$type.txt 2>&1 &
	checkers+=($!)
done

checkers_run() { running "${checkers[0]}" && running "${checkers[1]}"; }
wrote_more() { # it has written so much more on both disks, or a checker has ended
	checkers_run || return 0
	wrote "${disks[ext4]}" $((ext4 + 500)) && wrote "${disks[xfs]}" $((xfs + 500))
}
for ((kill = 1; kill <= KILLS; kill++)); do
	ext4=$(writes_of "${disks[ext4]}")
	xfs=$(writes_of "${disks[xfs]}")
	wait_for 120 wrote_more
	checkers_run || fail "a checker ended before kill $kill: $(cat /run/{ext4,xfs}.txt)"
	stop_tcmud KILL
	start_tcmud
done
must kill -TERM "${checkers[@]}"
for i in 0 1; do
	status=0
	wait "${checkers[i]}" || status=$?
	OUTPUT=$(cat /run/{ext4,xfs}.txt)
	assert_eq $status 0 "the status of a checker"
done
for type in ext4 xfs; do
	say "$type: $(</run/$type.txt), $(writes_of "${disks[$type]}") writes of the disk"
	sum=$(sha256sum <"/run/$type/file")
	must umount /run/$type
	case $type in
	ext4) must fsck.ext4 -fn "${disks[$type]}" ;;
	xfs) must xfs_repair -n "${disks[$type]}" ;;
	esac
	must mount "${disks[$type]}" /run/$type
	assert_eq "$(sha256sum <"/run/$type/file")" "$sum" "the checksum of the file after it is mounted again ($type)"
	must umount /run/$type
	detach $type
	delete_backstore_configfs $type
done
if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command|EXT4-fs error|XFS .*(error|corrupt)'); then
	fail "the initiator saw an error"
fi
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
