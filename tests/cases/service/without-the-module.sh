#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# On a machine whose kernel has no target_core_user the unit starts, says once what is missing, in its status, too, and is not
# restarted again and again; tcmuctl says the same. When the module comes, the daemon serves.
# vm: init=systemd timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/unit.bash"

modules=/lib/modules/$(uname -r)
status_is() {
	OUTPUT=$(journalctl --quiet --output=cat --lines=5 --unit=$UNIT)
	[[ $(property StatusText) == *$1* ]]
}
complaints() { journalctl --quiet --output=cat --unit=$UNIT | grep -c 'cannot use the kernel module target_core_user' || :; }
complained() { [ "$(complaints)" -ge 1 ]; }
flooded() { [ "$(journalctl --quiet --output=cat --unit=$UNIT | wc -l)" -gt 100 ]; }

# modules-load.d has loaded it at the boot.
must modprobe -r target_core_user
[ ! -d /sys/module/target_core_user ] || fail "the module is still loaded: the test would show nothing"
must mount -t tmpfs tmpfs "$modules"
place_unit
must systemctl start $UNIT
wait_for 20 status_is 'target_core_user'
wait_for 20 complained
pid=$(property MainPID)

say "tcmuctl says it, in one line"
for command in list health names top; do
	status=0
	OUTPUT=$(tcmuctl $command 2>&1) || status=$?
	assert_eq $status 3 "the exit status of $command"
	assert_eq "$(wc -l <<<"$OUTPUT")" 1 "the lines of $command"
	assert_match "$OUTPUT" 'the kernel module target_core_user is not loaded' "the message of $command"
done

say "it waits, and nothing is repeated"
if holds_within 15 flooded; then fail "the log is flooded"; fi
assert_eq "$(property NRestarts)" 0 "the restarts"
assert_eq "$(property MainPID)" "$pid" "the process"
assert_eq "$(complaints)" 1 "the number of messages"

# The sandbox lets a process write the parameters of a module only if they were there when it started: systemd starts it again,
# once.
say "the module comes"
must umount "$modules"
load_tcmu
wait_for 60 status_is 'Serving 0 devices'
must tcmuctl health
assert_le "$(property NRestarts)" 1 "the restarts"
must systemctl stop $UNIT
