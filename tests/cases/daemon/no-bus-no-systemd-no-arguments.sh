#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon serves without a system bus, without systemd and without arguments, as in a container.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

pkill -x dbus-daemon
wait_for 10 not pgrep -x dbus-daemon
rm -rf /run/dbus
load_tcmu
env -i "$(command -v tcmud)" >/run/tcmud.log 2>&1 </dev/null &
DAEMON_PID=$!
DAEMON_LOG=/run/tcmud.log

make_backstore_configfs disk /srv/disk.img $((64 << 20)) # the kernel waits for the daemon's answer
attach disk
must dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct
detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
