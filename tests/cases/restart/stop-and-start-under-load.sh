#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is stopped and started twice under a verifying load. No command fails, and no data is lost.
# vm: timeout=240 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
truncate -s 256M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((256 << 20))
attach disk

load_start "$DISK" 64M 100000
for round in 1 2; do
	wait_for 20 wrote "$DISK" $(($(writes_of "$DISK") + 200))
	stop_tcmud
	assert_eq "$DAEMON_STATUS" 0 "the exit status"
	running "$LOAD_PID" || fail "the load ended while no daemon ran (round $round)"
	start_tcmud
done
wait_for 20 wrote "$DISK" $(($(writes_of "$DISK") + 200))
load_stop
say "fio: $(grep -E '^ +write:' /run/load.txt)"
must dd if="$DISK" of=/dev/null bs=1M iflag=direct
if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command'); then fail "the initiator saw an error"; fi

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
