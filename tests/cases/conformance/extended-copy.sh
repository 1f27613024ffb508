#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# EXTENDED COPY: within a disk always, between two where extended_copy says so. A disk that is deleted while it is
# copied from goes as soon as any other, and the copy ends with an error.
# vm: timeout=240
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

BLOCKS=8192 # 4 MiB

# disk NAME CONFIG: a loopback disk with a serial; DISK is its node.
disk() {
	truncate -s 64M "/srv/$1.img"
	make_backstore_configfs "$1" "/srv/$1.img$2" $((64 << 20))
	cksum <<<"$1" | cut -d' ' -f1 >"$(backstore_dir "$1")/wwn/vpd_unit_serial"
	attach "$1"
}

# generic DISK: its node that takes SCSI commands only.
generic() {
	local node
	for node in "/sys/block/${1##*/}"/device/scsi_generic/*; do
		printf '/dev/%s\n' "${node##*/}"
	done
}

# copy IF OF: BLOCKS blocks from the start of one to the middle of the other.
copy() {
	sg_xcopy if="$(generic "$1")" of="$(generic "$2")" bs=512 count=$BLOCKS seek=65536 bpt=2048
}

# same IF OF: whether they were copied.
same() {
	cmp <(dd if="$1" bs=1M count=4 iflag=direct status=none) \
		<(dd if="$2" bs=1M count=4 skip=32 iflag=direct status=none)
}

newer() { [ "$1" -nt "$2" ]; }

remove() {
	detach "$1"
	delete_backstore_configfs "$1"
}

echo 'extended_copy = all' >/run/tcmu.conf
start_tcmud --config /run/tcmu.conf
disk from ""
FROM=$DISK
disk to ""
TO=$DISK
must dd if=/dev/urandom of="$FROM" bs=1M count=4 oflag=direct
must copy "$FROM" "$TO"
must same "$FROM" "$TO"
must copy "$FROM" "$FROM"
must same "$FROM" "$FROM"
must sg_copy_results -p "$FROM"
assert_match "$OUTPUT" 'Maximum target descriptor count: 16' "the operating parameters"
assert_match "$OUTPUT" 'Maximum segment descriptor count: 32' "the operating parameters"
assert_match "$OUTPUT" 'Segment descriptor 0x02: Copy from block device to block device' "the operating parameters"
must sg_vpd -p tpc "$FROM"
assert_match "$OUTPUT" $'Extended copy\n' "VPD 8Fh" # (LID4)
assert_match "$OUTPUT" 'Copy operation abort' "VPD 8Fh"
must dd if=/dev/zero of="$TO" bs=1M count=4 seek=32 oflag=direct
must python3 -SE "$CASES/conformance/copy_with_long_identifier.py" "$FROM" "$TO"
must same "$FROM" "$TO"

SUBTYPE=fault
disk slow ";delay_ms=400"
must python3 -SE "$CASES/conformance/copy_with_long_identifier.py" "$DISK" "$TO" abort
touch /run/mark
status=0
copy "$DISK" "$TO" >/run/copy.log 2>&1 &
COPY_PID=$!
# It reads for six seconds, 256 KiB at a time; the first of them have been written.
wait_for 20 newer /srv/to.img /run/mark
milliseconds remove slow
assert_le "$MS" 2000 "ms until it is deleted"
wait "$COPY_PID" || status=$?
[ $status -ne 0 ] || fail "a copy from a disk that was deleted ends well: $(</run/copy.log)"
say "$(</run/copy.log)"
SUBTYPE='file'
remove from
remove to
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"

# By default a disk cannot be reached from another one.
start_tcmud
disk from ""
FROM=$DISK
disk to ""
TO=$DISK
must copy "$FROM" "$FROM"
must_fail copy "$FROM" "$TO"
remove from
remove to
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
