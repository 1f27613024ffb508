#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel copies the pages of a command to an initiator that declares data-in, whatever the command is. None of them
# returns a byte of an earlier command: PRE-FETCH, SYNCHRONIZE CACHE, VERIFY, WRITE, FORMAT UNIT and others that have no data-in,
# and those that have less than there is room.
# vm: timeout=300 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
make_backstore_configfs disk /run/disk.img 8388608
attach disk
/host/build/tests/guest-programs/hostile-initiator stale "$DISK" >/run/stale.txt 2>&1 || fail "$(</run/stale.txt)"
say "$(</run/stale.txt)"
detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
