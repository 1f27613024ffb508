#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# While a handler and its device's I/O thread are stuck, targetcli is as fast as before, and tcmuctl shows at once which
# command is stuck and for how long.
# vm: plugin=stuck
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

TIMES=7
AT_ONCE=500 # ms; an empty process takes a tenth of it here

# fastest COMMAND...: MS is the shortest duration of TIMES runs, which other load on the machine affects least.
fastest() {
	local shortest=
	for ((i = 0; i < TIMES; i++)); do
		milliseconds must "$@"
		[ -n "$shortest" ] && [ "$shortest" -le "$MS" ] || shortest=$MS
	done
	MS=$shortest
}

on_bus() { busctl status org.kernel.TCMUService1 >/dev/null; }

mkdir /run/handlers
cp /host/out/handlers/handler_stuck.so "$(handler_dir)"/handler_file.so /run/handlers/
start_tcmud --handler-path /run/handlers
wait_for 10 on_bus
make_backstore_configfs fine /srv/fine.img $((64 << 20))
SUBTYPE=stuck make_backstore_configfs disk '/run/held;tcmur_cmd_time_out=2' $((64 << 20))
attach disk

stuck() { [[ $(tcmuctl inflight disk) == *'READ(10)'* ]]; }
idle() { [[ $(tcmuctl list) =~ $HBA/disk\ +LIVE\ +64.0\ MiB\ +0\  ]]; }
start_stuck_read() {
	touch /run/held
	dd if="$DISK" of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null &
	reader=$!
	wait_for 10 stuck
}
end_stuck_read() {
	rm /run/held
	wait_for 120 not running $reader
	wait_for 10 idle
}
# keep_shorter A MS: sets the variable A to MS if that is shorter.
keep_shorter() { [ -n "${!1}" ] && [ "${!1}" -le "$2" ] || printf -v "$1" %s "$2"; }

say "a late command is logged once, and again when it has ended"
log_mark
start_stuck_read
wait_for 20 logged "\[WARNING\] .*: $HBA/disk: READ\(10\) has been in flight for [0-9]+ s \\(commands in flight: 1\\)"
must tcmuctl list
assert_match "$OUTPUT" "$HBA/disk +LIVE .* commands are late; its backend does not answer" "the list"
end_stuck_read
wait_for 20 logged "\[INFO\] .*: $HBA/disk: the commands that were late have ended"
assert_eq "$(log_since_mark | grep -c 'in flight for')" 1 "how often it was logged"

# Alternately, so that other load on the machine affects both, and until both were measured without such load.
free='' held=''
for ((i = 0; i < 2 || (i < 3 * TIMES && held - free > 100); i++)); do
	milliseconds must targetcli ls
	keep_shorter free "$MS"
	start_stuck_read
	milliseconds must targetcli ls
	keep_shorter held "$MS"
	end_stuck_read
done
say "targetcli ls: $free ms; with a stuck read: $held ms"
assert_le $((held - free)) 100 "the milliseconds that a stuck handler costs targetcli ls"
start_stuck_read
for command in list 'inflight disk' 'status disk' stats dump handlers metrics; do
	# shellcheck disable=SC2086 # words
	fastest tcmuctl $command
	say "tcmuctl $command: $MS ms"
	assert_le "$MS" $AT_ONCE "the milliseconds of tcmuctl $command"
done
must tcmuctl inflight disk
assert_match "$OUTPUT" 's +READ\(10\) +0 +128 +65536 +28 00 00 00 00 00 00 00 80 00' "the commands in flight"
must tcmuctl list
assert_match "$OUTPUT" "$HBA/disk +LIVE +64.0 MiB +1 " "the list"

end_stuck_read
detach disk
delete_backstore_configfs disk
delete_backstore_configfs fine
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
