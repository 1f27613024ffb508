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
cp /host/out/handlers/handler_stuck.so "$(handler_folder)"/handler_file.so /run/handlers/
start_tcmud --handler-path /run/handlers
wait_for 10 on_bus
make_backstore_configfs fine /srv/fine.img $((64 << 20))
SUBTYPE=stuck make_backstore_configfs disk /run/held $((64 << 20))
attach disk

fastest targetcli ls
before=$MS
say "targetcli ls: $before ms"
touch /run/held
dd if="$DISK" of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null &
reader=$!
stuck() { [[ $(tcmuctl inflight disk) == *'READ(10)'* ]]; }
wait_for 10 stuck
say "a read is stuck, and the device's thread with it"

fastest targetcli ls
say "targetcli ls: $MS ms"
assert_le $((MS - before)) 100 "the milliseconds that a stuck handler costs targetcli ls"
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

rm /run/held
wait_for 120 not running $reader
idle() { [[ $(tcmuctl list) =~ $HBA/disk\ +LIVE\ +64.0\ MiB\ +0\  ]]; }
wait_for 10 idle
detach disk
delete_backstore_configfs disk
delete_backstore_configfs fine
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
