#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Handlers in each style of tcmu-runner's serve verified load while the daemon is killed and restarted: synchronous on threads,
# asynchronous, and by CDBs. Then the file system below hangs under load: the delete and the release are not delayed, and the
# late writes end.
#
# Environment: KILLS=NUMBER (1), of each.
# vm: disk=512M
# vm: timeout=500
# vm: hung_task=300
# vm: plugin=fileasync,filesync,rawfile smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

KILLS=${KILLS:-1}

# load_and_kill: the disk of the style at DISK
load_and_kill() {
	local round
	verified_writes "$DISK" 1M
	load_start "$DISK" 8M
	for ((round = 1; round <= KILLS; round++)); do
		wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 100))
		stop_tcmud KILL
		start_tcmud
	done
	wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 100))
	stop_tcmud
	assert_eq "$DAEMON_STATUS" 0 "the exit status under load"
	start_tcmud
	wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 100))
	load_stop
}

# hang_and_delete STYLE
hang_and_delete() {
	detach disk
	echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
	attach disk
	must fsfreeze -f /scratch
	dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct 2>/dev/null &
	wait_for 120 not running $!
	detach disk
	trace_start
	log_mark
	timed_delete disk
	say "FIGURE delete, $1 hangs | $MS | 2000"
	assert_le "$MS" 2000 "the milliseconds of the delete"
	assert_released 1 2000
	nothing_left disk || fail "the backstore left something"
	daemon_has_no_uio || fail "the daemon still holds a uio device"
	wait_for 5 logged 'disk: .* -> ORPHANED'
	must fsfreeze -u /scratch
	wait_for 20 logged 'disk: ORPHANED .* -> GONE'
	trace_stop
}

scratch_disk ext4
start_tcmud
for SUBTYPE in filesync fileasync rawfile; do
	say "== $SUBTYPE"
	make_backstore_configfs disk "/scratch/$SUBTYPE.img" $((64 << 20))
	attach disk
	load_and_kill
	hang_and_delete $SUBTYPE
	make_backstore_configfs disk "/scratch/$SUBTYPE.img" $((64 << 20))
	attach disk
	verified_writes "$DISK" 1M
	detach disk
	timed_delete disk
	assert_le "$MS" 1000 "the milliseconds of the delete"
done
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
