#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon starts without the kernel's module and with its standard files closed, says once what it waits for, survives
# signals that mean nothing to it, and serves as soon as the module is there. A check of its lock file leaves the lock alone.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

modules=/lib/modules/$(uname -r)
DAEMON_LOG=/var/log/tcmu-runner.log
in_log() { grep -q "$1" $DAEMON_LOG; }

[ ! -d /sys/module/target_core_user ] || fail "the module is loaded already: the test would show nothing"
must mount -t tmpfs tmpfs "$modules"
mkdir -p /var/log
tcmud <&- >&- 2>&- &
DAEMON_PID=$!
wait_for 20 in_log 'cannot use the kernel module target_core_user: this kernel does not have it'
for fd in 0 1 2; do
	assert_eq "$(readlink "/proc/$DAEMON_PID/fd/$fd")" /dev/null "the descriptor $fd"
done

say "signals"
for signal in USR1 USR2 ALRM VTALRM PROF IO PWR WINCH URG STKFLT XCPU RTMIN RTMAX; do
	kill -"$signal" "$DAEMON_PID"
done

say "the module comes"
must umount "$modules"
load_tcmu
wait_for 30 in_log 'is ready'
running "$DAEMON_PID" || fail "a signal has ended the daemon"
assert_eq "$(grep -c 'cannot use the kernel module' $DAEMON_LOG)" 1 "the number of messages"
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
verified_writes "$DISK" 4M
detach disk
delete_backstore_configfs disk

say "a check of the lock file, and of files that are no storage"
tcmuctl check file//run/tcmu.lock || :
status=0
tcmud >/tmp/second.log 2>&1 </dev/null || status=$?
assert_eq "$status" 75 "the exit status of a second daemon"
for path in /proc/kmsg /proc/kcore /proc/self/mem /sys/kernel/uevent_seqnum /dev/null; do
	must_fail tcmuctl check "file/$path"
done

kill "$DAEMON_PID"
wait_for 20 not running "$DAEMON_PID"
