#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A backend is closed and opened again under a verified load, which does not notice; and one that has failed serves again
# without being deleted.
# vm: timeout=240
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
truncate -s 128M /srv/disk.img /srv/sick.img
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
if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command'); then fail "the initiator noticed"; fi
say "the load has not noticed"

SUBTYPE=fault make_backstore_configfs sick '/srv/sick.img;fail_after=100' $((128 << 20))
attach sick
must_fail dd if=/dev/zero of="$DISK" bs=4k count=200 oflag=direct
is_sick() { [[ $(tcmuctl status sick) == *FAULTED*Input/output\ error* ]]; }
wait_for 20 is_sick
must tcmuctl reopen sick
assert_eq "$OUTPUT" "$HBA/sick is LIVE" "the answer"
must dd if=/dev/zero of="$DISK" bs=4k count=20 oflag=direct
say "a backend that had failed serves again"

rm /srv/sick.img
must_fail tcmuctl reopen sick
assert_match "$OUTPUT" "$HBA/sick is FAILED: .*No such file" "the answer for a backend that is gone"
truncate -s 128M /srv/sick.img
must tcmuctl reopen sick
must dd if=/dev/zero of="$DISK" bs=4k count=20 oflag=direct

detach disk
detach sick
trace_start
delete_backstore_configfs disk
delete_backstore_configfs sick
assert_released 2 1000
daemon_has_no_uio || fail "the daemon still holds a uio device"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
