#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A restore that is started ten seconds before the daemon loses no LUN. Where a daemon was killed, creates wait for the next
# and nothing is said. Where none was there, the kernel makes the devices by itself and refuses to write three of their
# attributes, which have these values already, as long as nobody listens: no daemon can change that.
# vm: timeout=400

# shellcheck source=tests/cases/restore/restore.bash
. "${0%/*}/restore.bash"

start_tcmud
saved_luns
stop_tcmud

say "no daemon has to be waited for"
restore_start
wait_for 60 restored $LUNS
start_tcmud
restore_ended '^Storage Object user/lun[0-9]+: Cannot set attribute (dev_config|dev_size|emulate_write_cache): \[Errno 3\] No such process, skipped$'
every_lun_reads
must targetctl clear
assert_eq "$OUTPUT" '' "what targetctl clear says"

say "one was killed: the first create waits"
stop_tcmud KILL
restore_start
wait_for 30 restore_is_old 10
running "$RESTORE_PID" || fail "the restore did not wait"
if restored 1; then fail "a create did not wait"; fi
start_tcmud
restore_ended
every_lun_reads
must targetctl clear
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
