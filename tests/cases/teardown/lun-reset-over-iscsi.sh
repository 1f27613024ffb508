#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# LUN RESET from an iSCSI initiator: a backend that can cancel ends the aborted requests at once, however slow it is; the
# initiator sends them again, and the verifying load continues.
# vm: timeout=240
# vm: plugin=fault smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

SUBTYPE=fault

# all_in_flight: all commands of the load are in flight; a condition.
all_in_flight() {
	local reads writes
	read -r reads writes <"/sys/block/${DISK##*/}/inflight"
	[ $((reads + writes)) -ge 16 ]
}

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore disk "/srv/disk.img;delay_ms=30;cancel=1;hold_file=/run/hold" 64M
iscsi_target disk
iscsi_login "$IQN"
load_start "$DISK" 16M
wait_for 60 wrote "$DISK" 200
for ((i = 0; i < 3; i++)); do
	touch /run/hold # no request completes from now on
	wait_for 20 all_in_flight
	milliseconds must sg_reset -d "$DISK"
	figure "LUN RESET, backend stuck" "$MS" 5000
	rm /run/hold
	wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 100))
done
load_stop
iscsi_logout "$IQN"
tcli /iscsi delete "$IQN"
delete_backstore disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
