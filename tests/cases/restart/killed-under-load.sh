#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed (SIGKILL) again and again under a verifying load of queue depths from 1 to 128 and under COMPARE AND
# WRITE. No command fails, no data is lost, and the time until the LUN is served again is measured.
#
# Environment: KILLS=NUMBER (20).
# vm: timeout=240 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/restart/killed.bash
. "${0%/*}/killed.bash"

KILLS=${KILLS:-20}

start_tcmud
truncate -s 256M /srv/disk.img
make_backstore_configfs disk /srv/disk.img $((256 << 20))
attach disk
kill_under_load 30
# A COMPARE AND WRITE whose answer was lost in a kill is not sent again after it was carried out: it would miscompare, and the
# initiator would increment once more.
say "the counter is $value; $finished kills met a COMPARE AND WRITE between its write and its answer"
assert_eq "$value" "$increments" "the counter"

say "FIGURE served again after $KILLS kills, p50 | $(percentile 50) | -"
say "FIGURE served again after $KILLS kills, p99 | $(percentile 99) | 10000"
assert_le "$(percentile 99)" 10000 "the time until it is served again (ms)"

detach disk
trace_start
delete_backstore_configfs disk
assert_released 1 1000
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
