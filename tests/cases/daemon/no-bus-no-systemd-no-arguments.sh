#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon serves without a system bus, without systemd and without arguments, under the name tcmu-runner in a container
# with a separate /run. A second daemon in another container detects the first.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# run_container LOG: runs the daemon as an entry point does, with its output in LOG.
run_container() {
	# shellcheck disable=SC2016 # expanded by that shell
	exec env -i /bin/unshare --mount /bin/sh -c 'mount -t tmpfs tmpfs /run && exec "$0"' "$(command -v tcmu-runner)" >"$1" 2>&1 </dev/null
}

pkill -x dbus-daemon
wait_for 10 not pgrep -x dbus-daemon
rm -rf /run/dbus
load_tcmu
run_container /tmp/tcmud.log &
DAEMON_PID=$!
DAEMON_LOG=/tmp/tcmud.log

wait_for 60 grep -q 'is ready' /tmp/tcmud.log
make_backstore_configfs disk /srv/disk.img $((64 << 20)) # the kernel waits for the daemon's answer
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct
must sh -c "ps aux | grep -w '[t]cmu-runner'" # as gluster-blockd does
assert_match "$OUTPUT" "root +$DAEMON_PID " "the line of ps"
assert_eq "$(ps -o comm= -p "$DAEMON_PID")" tcmu-runner "the name of the process"

say "another container"
status=0
(run_container /tmp/second.log) || status=$?
assert_eq "$status" 75 "the exit status of a second daemon"
assert_match "$(cat /tmp/second.log)" "$DAEMON_PID" "the message of the second daemon"
must dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
must grep -E '^20[0-9-]+ [0-9:]+\.[0-9]{3} [0-9]+:tcmu-runner \[INFO\] [a-z_]+:[0-9]+: user_100/disk: ' /var/log/tcmu-runner.log
must grep -F 'another daemon serves this kernel' /var/log/tcmu-runner.log
assert_match "$(cat /tmp/tcmud.log)" 'user_100/disk: ' "standard error"
