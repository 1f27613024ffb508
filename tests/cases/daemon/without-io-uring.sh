#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where io_uring is forbidden, the daemon detects this and serves with worker threads.
# vm: timeout=180

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

LAUNCHER="python3 -ISE $CASES/without-io-uring.py"
start_tcmud
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
if grep -q io_uring "/proc/$DAEMON_PID/maps" || [ -n "$(find "/proc/$DAEMON_PID/fd" -lname '*io_uring*')" ]; then
	fail "the daemon has an io_uring: the test would show nothing"
fi
verified_writes "$DISK" 16M
detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
