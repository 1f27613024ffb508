#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon serves without a system bus, without systemd and without arguments, under the peer's name in a container with a /run
# of its own; one in another container finds that it is there.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# container LOG: the daemon, with what it says in that file, as an entry point starts it.
container() {
	# shellcheck disable=SC2016 # expanded by that shell
	exec env -i /bin/unshare --mount /bin/sh -c 'mount -t tmpfs tmpfs /run && exec "$0"' "$(command -v tcmu-runner)" >"$1" 2>&1 </dev/null
}

pkill -x dbus-daemon
wait_for 10 not pgrep -x dbus-daemon
rm -rf /run/dbus
load_tcmu
container /tmp/tcmud.log &
DAEMON_PID=$!
DAEMON_LOG=/tmp/tcmud.log

make_backstore_configfs disk /srv/disk.img $((64 << 20)) # the kernel waits for the daemon's answer
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct
must sh -c "ps aux | grep -w '[t]cmu-runner'" # as gluster-blockd looks for it
assert_match "$OUTPUT" "root +$DAEMON_PID " "what ps shows"
assert_eq "$(ps -o comm= -p "$DAEMON_PID")" tcmu-runner "the name of the process"

say "another container"
status=0
(container /tmp/second.log) || status=$?
assert_eq "$status" 75 "the exit status of a second one"
assert_match "$(cat /tmp/second.log)" "$DAEMON_PID" "what the second one says"
must dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
must grep -E '^20[0-9-]+ [0-9:]+\.[0-9]{3} [0-9]+:tcmu-runner \[INFO\] [a-z_]+:[0-9]+: user_100/disk: ' /var/log/tcmu-runner.log
must grep -F 'another daemon serves this kernel' /var/log/tcmu-runner.log
assert_match "$(cat /tmp/tcmud.log)" 'user_100/disk: ' "what standard error has"
