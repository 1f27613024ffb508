#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Row 09 of the teardown matrix: the daemon was killed (SIGKILL) before the delete.

# shellcheck source=tests/cases/matrix/matrix.bash
. "${0%/*}/matrix.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
stop_tcmud KILL
timed_delete disk
row 9 delete "$MS" 200
assert_released 1 50
row 9 release "$RELEASE_MS" 50
