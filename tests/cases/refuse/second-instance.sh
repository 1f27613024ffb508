#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A second daemon ends at once with a special exit status and one line. The first one continues.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk

status=0
OUTPUT=$(tcmud 2>&1) || status=$?
assert_eq "$(wc -l <<<"$OUTPUT")" 1 "the number of lines of the second daemon"
assert_match "$OUTPUT" 'already|another|runs' "the message of the second daemon"
assert_eq "$status" 75 "the exit status of the second daemon"
say "  $OUTPUT"

running "$DAEMON_PID" || fail "the first daemon ended"
must dd if="$DISK" of=/dev/null bs=64k count=16 iflag=direct
detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
start_tcmud
stop_tcmud
