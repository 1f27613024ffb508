#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Row 03 of the teardown matrix: no event is ever sent (block_netlink): the uio error is the only signal.

# shellcheck source=tests/cases/matrix/matrix.bash
. "${0%/*}/matrix.bash"

start_tcmud
truncate -s 64M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((64 << 20))
trace_start
echo 1 >/sys/module/target_core_user/parameters/block_netlink
timed_delete disk
echo 0 >/sys/module/target_core_user/parameters/block_netlink
row 3 delete "$MS" 200
assert_released 1 50
row 3 release "$RELEASE_MS" 50
daemon_has_no_uio || fail "the daemon still holds a uio device"
