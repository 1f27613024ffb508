#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# LUN RESET under a verifying load with a slow backend: nothing hangs, and the load continues. The initiator is tcm_loop,
# which reports aborted commands as done: they must not be cancelled, although this backend could.
# vm: timeout=240
# vm: plugin=fault smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

SUBTYPE=fault
start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk "/srv/disk.img;delay_ms=30;cancel=1" $((64 << 20))
attach disk
load_start "$DISK" 16M
wait_for 60 wrote "$DISK" 200
for ((i = 0; i < 5; i++)); do
	milliseconds must sg_reset -d "$DISK"
	figure "LUN RESET" $MS 5000
	wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 100))
done
load_stop
detach disk
timed_delete disk
figure "delete afterwards" "$MS" 2000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
