#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed (SIGKILL) before the delete: the delete does not wait for an answer.
# vm: accel=icount

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
stop_tcmud KILL
timed_delete disk
figure delete "$MS" 200
assert_released 1 50
figure release "$RELEASE_MS" 50
