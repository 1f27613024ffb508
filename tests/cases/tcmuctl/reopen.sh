#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A backend is reopened by tcmuctl under a verifying load, which sees no error. A failed backend is reopened, too, and serves
# again without a delete.
# vm: timeout=240
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
truncate -s 128M /srv/disk.img /srv/failed.img
make_backstore_configfs disk /srv/disk.img $((128 << 20))
attach disk
disk=$DISK
load_start "$disk" 64M
for round in 1 2 3; do
	wait_for 20 wrote "$disk" $(($(writes_of "$disk") + 200))
	log_mark
	must tcmuctl reopen disk
	assert_eq "$OUTPUT" "$HBA/disk is LIVE" "the answer (round $round)"
	logged 'LIVE after .* -> FAILING: reopen' || fail "it was not reopened"
done
wait_for 20 wrote "$disk" $(($(writes_of "$disk") + 200))
load_stop
if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command'); then fail "the initiator saw an error"; fi
say "the load has seen no error"

SUBTYPE=fault make_backstore_configfs failed '/srv/failed.img;fail_after=100' $((128 << 20))
attach failed
must_fail dd if=/dev/zero of="$DISK" bs=4k count=200 oflag=direct
is_faulted() { [[ $(tcmuctl status failed) == *FAULTED*Input/output\ error* ]]; }
wait_for 20 is_faulted
must tcmuctl reopen failed
assert_eq "$OUTPUT" "$HBA/failed is LIVE" "the answer"
must dd if=/dev/zero of="$DISK" bs=4k count=20 oflag=direct
say "a backend that had failed serves again"

rm /srv/failed.img
must_fail tcmuctl reopen failed
assert_match "$OUTPUT" "$HBA/failed is FAILED: .*No such file" "the answer for a missing backing file"
truncate -s 128M /srv/failed.img
must tcmuctl reopen failed
must dd if=/dev/zero of="$DISK" bs=4k count=20 oflag=direct

detach disk
detach failed
trace_start
delete_backstore_configfs disk
delete_backstore_configfs failed
assert_released 2 1000
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
