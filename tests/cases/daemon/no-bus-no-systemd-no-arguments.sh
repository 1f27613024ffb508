#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon serves without a system bus, without systemd and without arguments, under the name tcmu-runner in a container
# with a separate /run. A second daemon in another container detects the first. The installed rotation of logs has it open a
# new file.

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

# log_of_daemon: the file that the daemon has open as its log; none: it was removed, or renamed.
log_of_daemon() { readlink /proc/"$DAEMON_PID"/fd/* | grep -c '^/var/log/tcmu-runner\.log$'; }
# log_grows: the daemon has written to the log of this name; a condition.
log_grows() { [ -s /var/log/tcmu-runner.log ]; }

say "the log is rotated"
[ ! -d /run/systemd/system ] || fail "systemd runs here"
rotation=$(find /etc/logrotate.d /usr/etc/logrotate.d /usr/local/etc/logrotate.d -name tcmud 2>/dev/null | sed -n 1p || :)
exists "$rotation" || fail "no rotation is installed"
for round in 1 2; do
	must logrotate --force --state /tmp/logrotate.state "$rotation"
	wait_for 10 exists /var/log/tcmu-runner.log
	assert_eq "$(log_of_daemon)" 1 "the open log in round $round"
	must_fail make_backstore_configfs refused /srv/no/such/directory/x $((64 << 20))
	delete_backstore_configfs refused
	wait_for 10 log_grows
done
exists /var/log/tcmu-runner.log.1 || fail "the old log is gone"
exists /var/log/tcmu-runner.log.2.gz || fail "the older log is not compressed"

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
must grep -E '^20[0-9-]+ [0-9:]+\.[0-9]{3} [0-9]+:tcmu-runner \[INFO\] [a-z_]+:[0-9]+: user_100/disk: ' /var/log/tcmu-runner.log
must sh -c "zcat -f /var/log/tcmu-runner.log* | grep -F 'another daemon serves this kernel'"
assert_match "$(cat /tmp/tcmud.log)" 'user_100/disk: ' "standard error"
