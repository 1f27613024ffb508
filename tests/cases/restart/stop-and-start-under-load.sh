#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is stopped and started twice under a verifying load. No command fails, and no data is lost.
# vm: timeout=240

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
truncate -s 256M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((256 << 20))
attach disk

fio --name=load --filename="$DISK" --size=64M --rw=randwrite --bs=4k --iodepth=16 --ioengine=libaio --direct=1 \
	--time_based --runtime=25 --verify=crc32c --verify_fatal=1 --do_verify=1 --output=/run/fio.txt &
load=$!
for round in 1 2; do
	wait_for 20 wrote "$DISK" $(($(writes_of "$DISK") + 200))
	stop_tcmud
	assert_eq "$DAEMON_STATUS" 0 "the exit status"
	running $load || fail "the load ended while no daemon ran (round $round)"
	start_tcmud
done
wait_for 20 wrote "$DISK" $(($(writes_of "$DISK") + 200))
status=0
wait $load || status=$?
OUTPUT=$(tail -n 20 /run/fio.txt)
assert_eq $status 0 "fio's exit status"
say "fio: $(grep -E '^ +write:' /run/fio.txt)"
if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command'); then fail "the initiator saw an error"; fi

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
