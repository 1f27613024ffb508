#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Row 16 of the teardown matrix: LUN RESET under a verifying load with a slow backend: nothing hangs, and the
# load goes on. The initiator is tcm_loop, which takes aborted commands for done: they must not be given up, although
# this backend could.
# vm: timeout=240
# vm: plugin=fault

# shellcheck source=tests/cases/matrix/matrix.bash
. "${0%/*}/matrix.bash"

SUBTYPE=fault
start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk "/srv/disk.img;delay_ms=30;cancel=1" $((64 << 20))
attach disk
load_start "$DISK" 16M
wait_for 60 wrote "$DISK" 200
for ((i = 0; i < 5; i++)); do
	milliseconds must sg_reset -d "$DISK"
	row 16 "LUN RESET" $MS 5000
	wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 100))
done
load_stop
detach disk
timed_delete disk
row 16 "delete afterwards" "$MS" 2000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
