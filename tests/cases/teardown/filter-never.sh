#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three filters under a verifying load: a line in the log and a delay for each command, and a fault that never answers a
# SYNCHRONIZE CACHE. The device is deleted while that command is held: it is cancelled, and the delete does not wait.
# vm: timeout=240 smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/disk.img
log_mark
must_fail make_backstore_configfs refused '/srv/disk.img;filter=delay+raed=1' $((64 << 20))
wait_for 5 logged 'the filter delay has no option "raed": expected all, read, write'
rmdir "$CORE/$HBA/refused"

make_backstore_configfs disk "/srv/disk.img;filter=log;filter=delay+all=2+jitter=3;filter=fault+op=flush+when=never" \
	$((64 << 20))
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
log_mark
load_start "$DISK" 16M
wait_for 60 wrote "$DISK" 1000
wait_for 5 logged 'disk: .*log: write of [0-9]* bytes at [0-9]*: done, [0-9]+ us'
load_stop
sg_sync "$DISK" >/dev/null 2>&1 &
wait_for 60 not running $!
holds_command() { must tcmuctl inflight disk && [[ $OUTPUT == *SYNCHRONIZE* ]]; }
wait_for 5 holds_command
detach disk

trace_start
log_mark
timed_delete disk
assert_le "$MS" 800 "the milliseconds of the delete"
assert_released 1 800
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 5 logged 'disk: .* -> GONE'
if logged 'ORPHANED'; then fail "the command was not cancelled"; fi
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
