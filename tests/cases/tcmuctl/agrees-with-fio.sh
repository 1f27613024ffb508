#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The counters of tcmuctl agree with fio within 5 %: commands, bytes, rates, queue depth and percentiles of latency.
# vm: timeout=240
# vm: plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

status_of() { # EXPECTED COMMAND...
	local status=0
	OUTPUT=$("${@:2}" 2>&1) || status=$?
	assert_eq "$status" "$1" "the exit status of ${*:2}"
}

reads_of() {
	local count
	read -r count _ <"/sys/block/${1##*/}/stat"
	echo "$count"
}
has_read() { [ "$(reads_of "$1")" -ge "$2" ]; }

say "without a daemon"
load_tcmu
status_of 3 tcmuctl list
assert_match "$OUTPUT" 'tcmud does not run' "the message"

start_tcmud
status_of 0 tcmuctl list
assert_match "$OUTPUT" '^DEVICE +STATE +SIZE +IN FLIGHT +CONFIG +PROBLEM$' "an empty list"
assert_eq "$(stat -c '%a %U' /run/tcmud/control)" "600 root" "the mode and user of the socket"
status_of 1 setpriv --reuid=65534 --regid=65534 --clear-groups -- "$(command -v tcmuctl)" list
assert_match "$OUTPUT" 'only root may ask' "the message to other users"

make_backstore_configfs disk /srv/disk.img $((256 << 20))
attach disk
truncate -s 64M /srv/slow.img
SUBTYPE=fault make_backstore_configfs slow '/srv/slow.img;delay_ms=1000' $((64 << 20))
disk=$DISK
attach slow
slow=$DISK

say "devices are found by each of their names"
for name in $HBA/disk disk uio0; do
	must tcmuctl status "$name"
	assert_match "$OUTPUT" "device +$HBA/disk" "the status of $name"
	assert_match "$OUTPUT" 'state +LIVE' "the status of $name"
done
status_of 4 tcmuctl status nodisk
status_of 2 tcmuctl status
status_of 2 tcmuctl colour

say "the device of another daemon is shown as such"
SUBTYPE=unhandled make_backstore_configfs theirs thing $((1 << 20)) nl_reply_supported=-1
must tcmuctl list
assert_match "$OUTPUT" "$HBA/theirs +UNSERVED +- +- +unhandled/thing +there is no such handler here" "the list"
delete_backstore_configfs theirs

say "commands and bytes of a mixed load"
must tcmuctl --json stats disk
echo "$OUTPUT" >/run/before.json
must fio --name=mixed --filename="$disk" --size=128M --rw=randrw --rwmixread=70 --bs=4k --iodepth=16 --ioengine=libaio --direct=1 \
	--time_based --runtime=20 --output-format=json --output=/run/fio.json
must tcmuctl --json stats disk
echo "$OUTPUT" >/run/after.json
must python3 -ISE "${0%/*}/compare.py" counts /run/fio.json /run/before.json /run/after.json
say "$OUTPUT"

say "rates of a steady load"
fio --name=steady --filename="$disk" --size=128M --rw=randread --bs=8k --iodepth=4 --ioengine=libaio --direct=1 --rate_iops=200 \
	--time_based --runtime=3600 --output-format=json --output=/run/fio.json >/dev/null &
wait_for 20 has_read "$disk" $(($(reads_of "$disk") + 100))
must tcmuctl --json stats -i 20 -c 1 disk
echo "$OUTPUT" >/run/rates.json
fio_stop $! /run/fio.json
must python3 -ISE "${0%/*}/compare.py" rates /run/fio.json /run/rates.json
say "$OUTPUT"

say "latencies of a backend with a known delay"
fio --name=slow --filename="$slow" --size=64M --rw=randread --bs=4k --iodepth=16 --ioengine=libaio --direct=1 \
	--time_based --runtime=3600 --output-format=json --output=/run/fio.json >/dev/null &
wait_for 20 has_read "$slow" $(($(reads_of "$slow") + 16))
must tcmuctl --json stats -i 20 -c 1 slow
echo "$OUTPUT" >/run/rates.json
must tcmuctl inflight slow
assert_match "$OUTPUT" 'READ\((10|16)\) +[0-9]+ +8 +4096 ' "the commands in flight"
fio_stop $! /run/fio.json
must python3 -ISE "${0%/*}/compare.py" times /run/fio.json /run/rates.json 16
say "$OUTPUT"

say "the tables"
must tcmuctl list
assert_match "$OUTPUT" "$HBA/slow +LIVE +64.0 MiB +0 +fault//srv/slow.img;delay_ms=1000" "the list"
must tcmuctl status disk
must tcmuctl stats
assert_match "$OUTPUT" "$HBA/slow +read " "the totals"
must tcmuctl stats -i 0.5 -c 2
assert_match "$OUTPUT" "$HBA/slow " "the rates"
must tcmuctl inflight slow
must tcmuctl top -i 0.5 -c 1
assert_match "$OUTPUT" "$HBA/slow " "the busiest"
must tcmuctl handlers
assert_match "$OUTPUT" 'fault +1 .*handler_fault.so' "the handlers"
must tcmuctl check file//srv/other.img
assert_match "$OUTPUT" ': success$' "a check"
status_of 1 tcmuctl check file/relative
must tcmuctl dump
python3 -ISE -c 'import json, sys; json.load(sys.stdin)["settings"]' <<<"$OUTPUT" || fail "the dump: $OUTPUT"

say "bash completes devices"
# shellcheck disable=SC2016 # for the other bash
must bash -c '. "$1" && COMP_WORDS=(tcmuctl status "") && COMP_CWORD=2 && _tcmuctl && echo "${COMPREPLY[*]}"' - \
	"$(find / -xdev -path '*/bash-completion/completions/tcmuctl' | sed -n 1p)"
assert_eq "$OUTPUT" "$HBA/disk $HBA/slow" "the completions of tcmuctl status"

say "the log level can be changed, and level 5 logs each command"
log_mark
must tcmuctl log-level 5
assert_eq "$OUTPUT" '5 DEBUG SCSI CMD' "the level"
must dd if="$disk" of=/dev/null bs=4k count=1 iflag=direct
wait_for 10 logged "$HBA/disk: READ\(10\): 28 00 00 00 00 00 00 00 08 00, 4096 bytes"
must tcmuctl log-level 3
log_mark
must dd if="$disk" of=/dev/null bs=4k count=1 iflag=direct
must tcmuctl log-level
assert_eq "$OUTPUT" '3 INFO' "the level"
if logged READ; then fail "commands are logged at level 3"; fi

detach disk
detach slow
delete_backstore_configfs disk
delete_backstore_configfs slow
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
not exists /run/tcmud/control || fail "the socket still exists"
