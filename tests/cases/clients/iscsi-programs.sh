#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that speak iSCSI or SCSI themselves: QEMU's iSCSI driver copies, compares, maps, discards and zeroes; the initiator
# and the target authenticate each other; smartctl and sg3-utils' buffers get an answer; discards and resets at once harm no
# data.
#
# Environment: RESETS=NUMBER (4).
# vm: timeout=400 hung_task=200

# shellcheck source=tests/cases/clients/clients.bash
. "${0%/*}/clients.bash"

SIZE=$((64 << 20))
RESETS=${RESETS:-4}
use_clients
start_tcmud
make_backstore disk /srv/disk.img 64M
iscsi_target disk
URL=iscsi://127.0.0.1/$IQN/0

# extents PYTHON: the map of the LUN satisfies the expression, in which zero(n) says whether the MiB n is one hole of zeroes.
extents() {
	must qemu-img map --output=json -f raw "$URL"
	python3 -ISc 'import json, sys
extents = json.loads(sys.argv[2])
def zero(n):
    return all(e["zero"] for e in extents if e["start"] < (n + 1 << 20) and e["start"] + e["length"] > n << 20)
sys.exit(not eval(sys.argv[1]))' "$1" "$OUTPUT" || fail "not in the map of the LUN: $1"
}

say "QEMU's iSCSI driver"
must qemu-img info -f raw "$URL"
assert_match "$OUTPUT" "virtual size: 64 MiB" "the size"
truncate -s $SIZE /run/source.img
for mib in 0 7 8 63; do
	must dd if=/dev/urandom of=/run/source.img bs=1M seek=$mib count=1 conv=notrunc status=none
done
must qemu-img convert -n -f raw -O raw /run/source.img "$URL"
must qemu-img compare -f raw -F raw /run/source.img "$URL"
assert_eq "$OUTPUT" "Images are identical." "the comparison"
extents 'not any(map(zero, (0, 7, 8, 63))) and all(map(zero, (1, 6, 9, 62)))'
must qemu-img convert -f raw -O qcow2 "$URL" /run/copy.qcow2
must qemu-img compare -f qcow2 -F raw /run/copy.qcow2 /run/source.img
# qemu_io COMMAND...: each must succeed.
qemu_io() {
	local commands=() command
	for command in "$@"; do commands+=(-c "$command"); done
	must qemu-io -f raw "${commands[@]}" "$URL"
	if [[ $OUTPUT == *failed* || $OUTPUT == *error* ]]; then fail "qemu-io: $*"; fi
}
qemu_io 'discard 7M 1M' 'read -P 0 7M 1M' 'write -z 8M 1M' 'read -P 0 8M 1M' 'write -z -u 63M 1M' 'read -P 0 63M 1M' \
	'write -P 0x5a 20M 64k' 'flush' 'read -P 0x5a 20M 64k' 'writev -P 7 30M 512 1k' 'readv -P 7 30M 512 1k'
extents 'all(map(zero, (7, 63))) and not any(map(zero, (0, 20, 30)))'
must_fail qemu-img compare -f raw -F raw /run/source.img "$URL"

say "smartctl and the buffers of sg3-utils"
iscsi_login "$IQN"
SG=/dev/$(basename "/sys/block/${DISK##*/}/device/scsi_generic/"sg*)
must smartctl -a "$DISK"
assert_match "$OUTPUT" 'SMART Health Status: OK' "the health"
assert_match "$OUTPUT" 'No Self-tests have been logged' "the log of self-tests"
# A self-test in the background, and buffers, are optional: a disk without them refuses them with a sense code.
status=0
OUTPUT=$(smartctl -t short "$DISK" 2>&1) || status=$?
say "smartctl -t short: status $status: $(tail -n 2 <<<"$OUTPUT" | paste -sd' ')"
must sg_senddiag --test "$SG"
must_fail sg_read_buffer --mode=desc "$SG"
assert_match "$OUTPUT" 'not supported|Illegal request|Invalid' "the answer to READ BUFFER"
must_fail sg_write_buffer --mode=echo --in=/run/source.img --length=512 "$SG"
assert_match "$OUTPUT" 'not supported|Illegal request|Invalid' "the answer to WRITE BUFFER"

say "$((RESETS * 32)) discards, and $RESETS resets at once"
must blkdiscard "$DISK"
load_start "$DISK" 16M
for ((round = 1; round <= RESETS; round++)); do
	must dd if=/dev/urandom of="$DISK" bs=1M seek=32 count=2 oflag=direct conv=notrunc status=none
	fio --name=trims --filename="$DISK" --offset=32M --size=2M --rw=randtrim --bs=64k --iodepth=16 --ioengine=libaio --direct=1 \
		--eta=never --output=/run/trims.txt &
	trim=$!
	sg_reset --device "$SG" &
	reset=$!
	wait_for 100 not running $reset
	wait $reset || fail "the reset has failed"
	wait_for 100 not running $trim
	wait $trim || fail "a discard has failed: $(</run/trims.txt)"
	must cmp -n $((2 << 20)) -i $((32 << 20)):0 "$DISK" /dev/zero
done
load_stop
if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|timing out command'); then fail "the initiator saw an error"; fi
iscsi_logout "$IQN"

say "the initiator and the target authenticate each other"
tcli "/iscsi/$IQN/tpg1" set attribute authentication=1
tcli "/iscsi/$IQN/tpg1" set auth userid=initiator password=initiator-secret mutual_userid=target mutual_password=target-secret
# set_auth KEY VALUE...: of the initiator's record.
set_auth() {
	while [ $# -gt 0 ]; do
		must iscsiadm -m node -T "$IQN" -p 127.0.0.1 -o update -n "node.session.auth.$1" -v "$2"
		shift 2
	done
}
login() { iscsiadm -m node -T "$IQN" -p 127.0.0.1 --login; }
must_fail login
set_auth authmethod CHAP username initiator password initiator-secret username_in target password_in forged-secret
must_fail login
assert_match "$OUTPUT" 'authorization failure|authentication|login' "the answer to a target whose secret is another"
set_auth password other-secret password_in target-secret
must_fail login
assert_match "$OUTPUT" 'authorization failure' "the answer to an initiator whose secret is another"
set_auth password initiator-secret
must login
wait_for 20 iscsi_disk_appeared
verified_writes "$DISK" 4M
iscsi_logout "$IQN"
must qemu-img info -f raw "iscsi://initiator%initiator-secret@127.0.0.1/$IQN/0"
must_fail qemu-img info -f raw "iscsi://initiator%other-secret@127.0.0.1/$IQN/0"

tcli /iscsi delete "$IQN"
trace_start
delete_backstore disk
assert_released 1 1000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
