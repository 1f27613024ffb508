#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon is killed in the middle of a restore, twice, and started again: no LUN is lost, and nothing is said.
# vm: timeout=400

# shellcheck source=tests/cases/restore/restore.bash
. "${0%/*}/restore.bash"

start_tcmud
saved_luns
restore_start
for count in 4 12; do
	wait_for 60 restored $count
	stop_tcmud KILL
	if restored $LUNS; then fail "the restore was over before the daemon was killed"; fi
	start_tcmud
done
restore_ended
every_lun_reads
must targetctl clear
assert_eq "$OUTPUT" '' "what targetctl clear says"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
