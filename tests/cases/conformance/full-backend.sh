#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A thin LUN on a full file system answers writes with SPACE ALLOCATION FAILED WRITE PROTECT, at which hypervisors pause the
# guest. Reads still succeed, and so do writes when there is space again.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

DATA_PROTECT=7 # exit status of sg3-utils

# write_same STATUS LBA BLOCKS: WRITE SAME must end with STATUS.
write_same() {
	local status=0
	OUTPUT=$(sg_write_same -S -v -l "$2" -n "$3" -i /run/a "$DISK" 2>&1) || status=$?
	assert_eq "$status" "$1" "the status of WRITE SAME at $2"
}

mkdir /full
mount -t tmpfs -o size=8M none /full
start_tcmud
make_backstore_configfs thin /full/disk.img $((64 << 20))
attach thin
head -c 512 /dev/zero | tr '\0' a >/run/a

log_mark
write_same 0 0 8192
write_same $DATA_PROTECT 8192 16384
assert_match "$OUTPUT" 'Space allocation failed write protect' "the sense"
wait_for 20 logged "\[ERROR\] .*: $HBA/thin: WRITE SAME\(16\) at block [0-9]+ of file//full/disk.img failed: No space left on device; \
the initiator got data_protect 07/27/07; backend errors since the last report: 1; make room there; then writes succeed again"
must sg_verify -S -l 0 -c 8192 --ebytchk=3 -n 512 -i /run/a "$DISK"
must sg_unmap -f -l 8192 -n 16384 "$DISK"
write_same 0 8192 4096
must sg_verify -S -l 0 -c 12288 --ebytchk=3 -n 512 -i /run/a "$DISK"

detach thin
delete_backstore_configfs thin
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
