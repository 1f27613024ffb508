#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon whose main loop stands still (SIGSTOP) under load is killed by systemd's watchdog and started again. The load sees
# no error.
# vm: init=systemd timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/unit.bash"

other_process() { [ "$(property MainPID)" != "$1" ] && active; }
count_restarts() { property NRestarts; }

: >/run/tcmu.conf
place_unit --config /run/tcmu.conf
# The unit's own time, shortened: the test waits for it.
must systemctl cat $UNIT
assert_match "$OUTPUT" 'WatchdogSec=[1-9]' "the unit"
printf '[Service]\nWatchdogSec=5\n' >/run/systemd/system/$UNIT.d/watchdog.conf
must systemctl daemon-reload
must systemctl start $UNIT
wait_for 20 active
DAEMON_PID=$(property MainPID)
must truncate -s 64M /srv/disk.img
load_tcmu
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
load_start "$DISK" 32M
wait_for 30 wrote "$DISK" 300

say "a daemon that runs is left alone"
holds_within 10 other_process "$DAEMON_PID" && fail "the watchdog has ended a daemon that runs"
assert_eq "$(count_restarts)" 0 "the restarts"

say "it is stopped"
kill -STOP "$DAEMON_PID"
milliseconds wait_for 60 other_process "$DAEMON_PID"
say "FIGURE a stopped daemon is replaced (WatchdogSec=5) | $MS | 20000"
assert_le "$MS" 20000 "the time until another process serves (ms)"
must journalctl --quiet --output=cat --unit=$UNIT
assert_match "$OUTPUT" 'Watchdog timeout' "systemd's journal of the unit"
DAEMON_PID=$(property MainPID)
wait_for 30 wrote "$DISK" $(($(writes_of "$DISK") + 300))
load_stop
if OUTPUT=$(dmesg | grep -E 'I/O error|critical .* error|Sense Key|timing out command'); then fail "the initiator saw an error"; fi
assert_eq "$(count_restarts)" 1 "the restarts"

detach disk
delete_backstore_configfs disk
must systemctl stop $UNIT
assert_eq "$(property Result)" success "the result"
