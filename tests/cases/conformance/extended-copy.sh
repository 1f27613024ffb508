#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# EXTENDED COPY works within a disk always, and between two disks if extended_copy permits it. A disk that is deleted while it
# is the copy source is released as soon as any other, and the command ends with an error.
# vm: timeout=240
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

BLOCKS=8192 # 4 MiB

# make_disk NAME CONFIG: makes a loopback disk with a serial; DISK is its node.
make_disk() {
	truncate -s 64M "/srv/$1.img"
	make_backstore_configfs "$1" "/srv/$1.img;sanitize=1$2" $((64 << 20))
	cksum <<<"$1" | cut -d' ' -f1 >"$(backstore_dir "$1")/wwn/vpd_unit_serial"
	attach "$1"
}

# sg_node DISK: its SCSI generic node.
sg_node() {
	local node
	for node in "/sys/block/${1##*/}"/device/scsi_generic/*; do
		printf '/dev/%s\n' "${node##*/}"
	done
}

# copy_blocks IF OF: copies BLOCKS blocks from the start of one disk to the middle of the other.
copy_blocks() {
	sg_xcopy if="$(sg_node "$1")" of="$(sg_node "$2")" bs=512 count=$BLOCKS seek=65536 bpt=2048
}

# blocks_are_same IF OF: these blocks are the same; a condition.
blocks_are_same() {
	cmp <(dd if="$1" bs=1M count=4 iflag=direct status=none) \
		<(dd if="$2" bs=1M count=4 skip=32 iflag=direct status=none)
}

# slow_reads COUNT: the disk "slow" has so many reads in its backend; a condition.
slow_reads() { [[ $(tcmuctl status slow) =~ in\ flight\ +[0-9]+,\ "$1"\ of\ them ]]; }

remove_disk() {
	detach "$1"
	delete_backstore_configfs "$1"
}

echo 'extended_copy = all' >/run/tcmu.conf
start_tcmud --config /run/tcmu.conf
make_disk from ""
FROM=$DISK
make_disk to ""
TO=$DISK
must dd if=/dev/urandom of="$FROM" bs=1M count=4 oflag=direct
must copy_blocks "$FROM" "$TO"
must blocks_are_same "$FROM" "$TO"
must copy_blocks "$FROM" "$FROM"
must blocks_are_same "$FROM" "$FROM"
must sg_copy_results -p "$FROM"
assert_match "$OUTPUT" 'Maximum target descriptor count: 16' "the operating parameters"
assert_match "$OUTPUT" 'Maximum segment descriptor count: 32' "the operating parameters"
assert_match "$OUTPUT" 'Segment descriptor 0x02: Copy from block device to block device' "the operating parameters"
must sg_vpd -p tpc "$FROM"
assert_match "$OUTPUT" $'Extended copy\n' "VPD 8Fh" # (LID4)
assert_match "$OUTPUT" 'Copy operation abort' "VPD 8Fh"
must dd if=/dev/zero of="$TO" bs=1M count=4 seek=32 oflag=direct
must python3 -SE "$CASES/conformance/copy_with_long_identifier.py" "$FROM" "$TO"
must blocks_are_same "$FROM" "$TO"

# Reads of the third disk hang while the file exists: so a copy from it lasts as long as it is to last.
SUBTYPE=fault
make_disk slow ";ops=READ;hold_file=/run/hold"
must dd if="$DISK" of=/dev/null bs=4k count=1 iflag=direct # so the partition scan is over
wait_for 60 slow_reads 0
touch /run/hold
must python3 -SE "$CASES/conformance/copy_with_long_identifier.py" "$DISK" "$TO" abort
rm /run/hold
wait_for 60 slow_reads 0
must copy_blocks "$DISK" "$TO"
touch /run/hold
status=0
copy_blocks "$DISK" "$TO" >/run/copy.log 2>&1 &
COPY_PID=$!
wait_for 60 slow_reads 1
log_mark
remove_disk slow # does not wait for the read: that hangs on
wait "$COPY_PID" || status=$?
[ $status -ne 0 ] || fail "a copy from a deleted disk succeeded: $(</run/copy.log)"
say "$(</run/copy.log)"
rm /run/hold
wait_for 60 logged 'slow: ORPHANED .* -> GONE'
SUBTYPE='file'
remove_disk from
remove_disk to
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"

# By default EXTENDED COPY cannot copy between disks.
start_tcmud
make_disk from ""
FROM=$DISK
make_disk to ""
TO=$DISK
must copy_blocks "$FROM" "$FROM"
must_fail copy_blocks "$FROM" "$TO"
remove_disk from
remove_disk to
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
