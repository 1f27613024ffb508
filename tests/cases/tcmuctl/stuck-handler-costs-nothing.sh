#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# While a handler is stuck, its device's thread with it, targetcli is as fast as before, and tcmuctl says at once what is
# stuck and since when.
# vm: plugin=stuck
# vm: hung_task=200

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

TIMES=7
AT_ONCE=500 # ms; a process that starts and does nothing takes a tenth of it here

# fastest COMMAND...: MS is the shortest of so many times: what it takes where nothing else is in the way.
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
stick() {
	touch /run/held
	dd if="$DISK" of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null &
	reader=$!
	wait_for 10 stuck
}
unstick() {
	rm /run/held
	wait_for 120 not running $reader
	wait_for 10 idle
}
# shorter A MS: the shorter one, in the variable A.
shorter() { [ -n "${!1}" ] && [ "${!1}" -le "$2" ] || printf -v "$1" %s "$2"; }

say "a command that is late is told once, and when it has ended"
log_mark
stick
wait_for 20 logged "\[WARNING\] .*: $HBA/disk: READ\(10\) has been under way for [0-9]+ s \\(commands under way: 1\\)"
must tcmuctl list
assert_match "$OUTPUT" "$HBA/disk +LIVE .* commands are late; its backend does not answer" "the list"
unstick
wait_for 20 logged "\[INFO\] .*: $HBA/disk: the commands that were late have ended"
assert_eq "$(log_since_mark | grep -c 'under way for')" 1 "how often it was told"

# In turns, so that what else the machine does befalls both, and until both have had a moment with nothing else.
free='' held=''
for ((i = 0; i < 2 || (i < 3 * TIMES && held - free > 100); i++)); do
	milliseconds must targetcli ls
	shorter free "$MS"
	stick
	milliseconds must targetcli ls
	shorter held "$MS"
	unstick
done
say "targetcli ls: $free ms; with a read stuck, and the device's thread with it: $held ms"
assert_le $((held - free)) 100 "the milliseconds that a stuck handler costs targetcli ls"
stick
for command in list 'inflight disk' 'status disk' stats dump handlers metrics; do
	# shellcheck disable=SC2086 # words
	fastest tcmuctl $command
	say "tcmuctl $command: $MS ms"
	assert_le "$MS" $AT_ONCE "the milliseconds of tcmuctl $command"
done
must tcmuctl inflight disk
assert_match "$OUTPUT" 's +READ\(10\) +0 +128 +65536 +28 00 00 00 00 00 00 00 80 00' "what is stuck"
must tcmuctl list
assert_match "$OUTPUT" "$HBA/disk +LIVE +64.0 MiB +1 " "the list"

unstick
detach disk
delete_backstore_configfs disk
delete_backstore_configfs fine
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
