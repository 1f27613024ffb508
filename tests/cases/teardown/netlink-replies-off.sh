#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Row 02 of the teardown matrix: the kernel does not wait for answers (nl_reply_supported=-1).

# shellcheck source=tests/cases/matrix/matrix.bash
. "${0%/*}/matrix.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20)) nl_reply_supported=-1
wait_for 5 uio_files_are 1
trace_start
timed_delete disk
row 2 delete "$MS" 200
assert_released 1 50
row 2 release "$RELEASE_MS" 50
daemon_has_no_uio || fail "the daemon still holds a uio device"
