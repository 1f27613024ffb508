#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two initiators increment the same block by COMPARE AND WRITE, one over loopback and one over iSCSI: none of 20,000
# increments is lost. On one CPU they conflict more often than on two, and take a third of the time.
# vm: timeout=600 smp=1

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

storm=/host/build/tests/guest-programs/compare-and-write-storm
start_tcmud
make_backstore disk /srv/disk.img 16M
iscsi_target disk
iscsi_login "$IQN"
remote=$DISK
attach disk
"$storm" "$DISK" 1000 10000 >/run/local.txt 2>&1 &
local=$!
must "$storm" "$remote" 1000 10000
say "iSCSI: $OUTPUT"
wait $local || fail "loopback: $(</run/local.txt)"
say "loopback: $(</run/local.txt)"
must od -An -td8 -j $((1000 * 512)) -N 8 /srv/disk.img
assert_eq "$((OUTPUT))" 20000 "the counter"
detach disk
iscsi_logout "$IQN"
tcli /iscsi delete "$IQN"
delete_backstore disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
