#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The installed unit under a real systemd: the bus starts it when targetcli asks, it serves in its sandbox, reports its
# status, reloads its settings, logs with fields to the journal, and is restarted when it dies.
# vm: init=systemd timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/unit.bash"

journal_has() { # FIELD=VALUE... PATTERN
	journalctl --quiet --output=cat --unit=$UNIT "${@:1:$#-1}" | grep -E "${!#}" >/dev/null
}
status_is() { [ "$(property StatusText)" = "$1" ]; }
other_process() { [ "$(property MainPID)" != "$1" ] && active; }

printf 'log_level = 3\n' >/run/tcmu.conf
place_unit --config /run/tcmu.conf
# asked_by_nobody: a user who is not root asks the bus to start the daemon.
asked_by_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups busctl call org.freedesktop.DBus /org/freedesktop/DBus \
		org.freedesktop.DBus StartServiceByName su org.kernel.TCMUService1 0
}
say "the bus does not start a unit that is not enabled"
must_fail asked_by_nobody
assert_eq "$(property ActiveState)" inactive "the unit's state"
must systemctl enable $UNIT
assert_eq "$(property ActiveState)" inactive "the unit's state before the first request"

say "the bus starts it"
must timeout 60 targetcli /backstores/user:file ls
wait_for 20 active
wait_for 10 status_is "Serving 0 devices"
assert_eq "$(systemctl show --value --property=Id tcmu-runner.service)" $UNIT "the unit behind the name tcmu-runner"
DAEMON_PID=$(property MainPID)

say "it serves in its sandbox"
assert_eq "$(sed -n 's/^NoNewPrivs:\t//p' "/proc/$DAEMON_PID/status")" 1 "NoNewPrivs of the daemon"
make_backstore disk /srv/disk.img 64M
attach disk
verified_writes "$DISK" 16M
[ -n "$(find "/proc/$DAEMON_PID/fd" -lname '*io_uring*')" ] || fail "the sandbox forbids io_uring"
wait_for 10 status_is "Serving 1 devices"
wait_for 10 journal_has TCMU_DEVICE=user_0/disk 'user_0/disk: '

say "settings are reloaded, by rename and by systemctl reload"
printf 'log_level = 5\n' >/run/tcmu.conf.new
mv /run/tcmu.conf.new /run/tcmu.conf
wait_for 10 journal_has 'log level now is DEBUG SCSI CMD$'
printf 'log_level = 3\ncolour = red\n' >/run/tcmu.conf
must systemctl reload $UNIT
wait_for 10 journal_has PRIORITY=4 '/run/tcmu.conf:2: unknown setting "colour"'

say "it is restarted when it dies"
kill -KILL "$DAEMON_PID"
wait_for 30 other_process "$DAEMON_PID"
DAEMON_PID=$(property MainPID)
must dd if="$DISK" of=/dev/null bs=64k count=16 iflag=direct

say "a second daemon does not affect it"
status=0
OUTPUT=$(tcmud 2>&1) || status=$?
assert_eq "$status" 75 "the exit status of a second daemon"
assert_match "$OUTPUT" "process $DAEMON_PID" "the message of the second daemon"

detach disk
delete_backstore disk
# The exposure of the unit, with and without the rbd handler's drop-in.
exposure() { systemd-analyze security --no-pager "$@" | sed -nE 's/.*Overall exposure level.*: ([0-9.]+) .*/\1/p'; }
cp "$(property FragmentPath)" /run/alone.service
alone=$(exposure --offline=true /run/alone.service)
say "its exposure: $(exposure $UNIT), of the unit alone: $alone"
assert_le "$alone" 2.5 "the exposure of the unit by systemd-analyze"
assert_le "$(exposure $UNIT)" 2.5 "the exposure by systemd-analyze with the rbd handler"

say "with the drop-in of the rbd handler, a file in /home is refused, and not made"
mkdir -p /home/images
truncate -s 64M /home/images/disk.img
for file in /home/images/disk.img /home/new.img /root/new.img; do
	if OUTPUT=$(timeout 60 targetcli /backstores/user:file create name=disk size=64M cfgstring=$file 2>&1); then
		fail "$file is served"
	fi
	nothing_left disk || fail "the refused create of $file has left something"
done
assert_eq "$(cd /home && echo * /root/*.img)" "images" "the files in /home, and the images in /root"
cat >/run/systemd/system/$UNIT.d/override.conf <<-END
	[Service]
	ProtectHome=no
	SystemCallFilter=sched_setaffinity sched_setattr
END
must systemctl daemon-reload
must systemctl restart $UNIT
make_backstore disk /home/images/disk.img 64M
say "with that drop-in its I/O threads may have a raised priority, as without a drop-in"
DAEMON_PID=$(property MainPID)
IO_THREAD=$(grep -l '^io-' /proc/"$DAEMON_PID"/task/*/comm | cut -d / -f 5)
# Each I/O thread tries it when it begins. This leaves a flag.
assert_match "$(chrt --pid "$IO_THREAD")" 'SCHED_OTHER\|SCHED_RESET_ON_FORK' "the policy of the I/O thread"
delete_backstore disk
rm /run/systemd/system/$UNIT.d/override.conf

say "the sandbox permits all its system calls"
watch_sandbox
make_backstore disk /srv/disk.img 64M
attach disk
verified_writes "$DISK" 16M
detach disk
delete_backstore disk
nothing_forbidden

say "it stops"
must systemctl stop $UNIT
assert_eq "$(property Result)" success "the result"
assert_eq "$(property ExecMainStatus)" 0 "the exit status"

say "and stays stopped when it is disabled"
must systemctl disable $UNIT
must_fail asked_by_nobody
assert_eq "$(property ActiveState)" inactive "the unit's state"
