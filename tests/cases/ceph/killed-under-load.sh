#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon that serves an RBD image is killed (SIGKILL) under a verifying load of queue depths from 1 to 128 and under
# COMPARE AND WRITE. No command fails, no data is lost, and the time until the LUN is served again is measured.
#
# Environment: KILLS=NUMBER (5).
# vm: net=yes timeout=600 smp=2

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"
# shellcheck source=tests/cases/restart/killed.bash
. "${0%/*}/../restart/killed.bash"

KILLS=${KILLS:-5}

join_cluster
create_image disk 256M
start_tcmud
make_backstore_configfs disk 'rbd/disk;osd_op_timeout=120' $((256 << 20))
attach disk
kill_under_load 90

# RBD compares and writes by itself, and tcmud makes no note of it: a command whose answer was lost in a kill miscompares when
# it is sent again, and is counted twice here.
say "the counter is $value after $increments answers"
lost=$((value - increments))
if [ "$lost" -lt 0 ] || [ "$lost" -gt "$KILLS" ]; then fail "$lost COMPARE AND WRITEs without an answer in $KILLS kills"; fi
say "FIGURE rbd: COMPARE AND WRITE whose answer was lost, in $KILLS kills | $lost | $KILLS"
say "FIGURE rbd: served again after $KILLS kills, p50 | $(percentile 50) | -"
say "FIGURE rbd: served again after $KILLS kills, p99 | $(percentile 99) | 20000"
assert_le "$(percentile 99)" 20000 "the time until it is served again (ms)"

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 2000
wait_for 60 unwatched disk
on_host rbd rm rbd/disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
