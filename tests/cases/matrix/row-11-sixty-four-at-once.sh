#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Row 11 of the teardown matrix: sixty-four devices under load are deleted at once.
# vm: timeout=400
# vm: memory=4096

# shellcheck source=tests/cases/matrix/matrix.bash
. "${0%/*}/matrix.bash"

start_tcmud
snapshot
before=("$FDS")
jobs=()
for ((i = 0; i < 64; i++)); do
	truncate -s 16M "/srv/disk$i.img"
	make_backstore_configfs "disk$i" "/srv/disk$i.img" $((16 << 20))
	attach "disk$i"
	jobs+=(--name="job$i" --filename="$DISK")
done
fio --rw=randwrite --bs=4k --iodepth=4 --ioengine=libaio --direct=1 --time_based --runtime=3600 --size=16M --thread \
	--rate_iops=10 "${jobs[@]}" >/dev/null 2>&1 &
load=$!
wait_for 60 wrote "$DISK" 10
trace_start
let_go() {
	local i deletes=()
	for ((i = 0; i < 64; i++)); do
		{
			detach "disk$i"
			delete_backstore_configfs "disk$i"
		} &
		deletes+=($!)
	done
	wait "${deletes[@]}"
}
milliseconds let_go
row 11 "all deletes, for each device" $((MS / 64)) 1000
assert_released 64 100
row 11 "longest release" "$RELEASE_MS" 100
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 60 gone $load
few_files() { snapshot >/dev/null && [ "$FDS" -le "${before[0]}" ]; }
wait_for 10 few_files
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
