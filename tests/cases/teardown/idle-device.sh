#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Row 01 of the teardown matrix: an idle device is deleted in the ordinary way.

# shellcheck source=tests/cases/matrix/matrix.bash
. "${0%/*}/matrix.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
timed_delete disk
row 1 delete "$MS" 200
assert_released 1 20
row 1 release "$RELEASE_MS" 20
daemon_has_no_uio || fail "the daemon still holds a uio device"
