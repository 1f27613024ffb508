#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The events of tcmuctl are those of a real journal: changes of states, errors and the end of the service, as lines and as JSON,
# the last ones and each new one. The catalog explains every kind. Nobody but root can add an event. Limits change at once.
# vm: init=systemd timeout=400 plugin=fault

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/../service/unit.bash"

# events ARGUMENT...: EVENTS are the lines.
events() { must tcmuctl events "$@" && EVENTS=$OUTPUT; }
# has_event PATTERN ARGUMENT...: one of the last events matches; a condition.
has_event() { OUTPUT=$(tcmuctl events -c 100 "${@:2}" 2>&1) && grep -qE "$1" <<<"$OUTPUT"; }
# followed PATTERN: an event was followed; a condition. json_is PYTHON: the events that were followed as JSON are so.
followed() { grep -qE "$1" /run/followed; }
json_is() {
	python3 -ISc 'import json, sys
events = [json.loads(line) for line in sys.stdin]
sys.exit(not eval(sys.argv[1]))' "$1" </run/followed.json
}

say "the catalog"
must journalctl --update-catalog
must journalctl --list-catalog
mapfile -t ids < <(sed -n 's/^-- //p' /usr/lib/systemd/catalog/tcmud.catalog)
assert_le 9 ${#ids[@]} "9, against the kinds of the catalog"
for id in "${ids[@]}"; do
	assert_match "$OUTPUT" "$id tcmud: [A-Za-z]+ " "the list of the catalog"
done

say "the last events"
must tcmuctl events
assert_match "$OUTPUT" 'the journal has no such event' "the answer without an event"
truncate -s 64M /srv/disk.img /srv/failed.img
place_unit
must systemctl start $UNIT
make_backstore_configfs disk /srv/disk.img $((64 << 20))
wait_for 20 has_event "device-state +$HBA/disk: .* -> LIVE"
events
assert_match "$EVENTS" $'(^|\n)20[0-9-]+ [0-9:]+ daemon-ready +tcmud .* is ready' "the events"
tcmuctl events -f -c 1 >/run/followed &
follower=$!
tcmuctl --json events --follow -c 1 disk >/run/followed.json &
json_follower=$!
wait_for 20 followed 'device-state'

say "an error, a failure and the end of the service"
SUBTYPE=fault make_backstore_configfs failed '/srv/failed.img;fail_after=10' $((64 << 20))
attach failed
must_fail dd if=/dev/zero of="$DISK" bs=4k count=100 oflag=direct
wait_for 30 followed "device-failed +$HBA/failed: LIVE after .* -> FAULTED"
wait_for 30 followed "backend-error +$HBA/failed: "
reopen failed
detach failed
delete_backstore_configfs failed
wait_for 20 followed "$HBA/failed: .* -> GONE"

say "an orphan: a close that does not end"
truncate -s 64M /srv/stuck.img
touch /run/hold
SUBTYPE=fault make_backstore_configfs stuck '/srv/stuck.img;close_hang_file=/run/hold' $((64 << 20))
delete_backstore_configfs stuck
wait_for 30 followed "device-orphaned +$HBA/stuck: .* -> ORPHANED"
wait_for 30 has_event "device-orphaned +$HBA/stuck: " stuck
rm /run/hold
wait_for 30 followed "device-state +$HBA/stuck: ORPHANED after .* -> GONE"
kill -KILL "$(property MainPID)"
wait_for 30 followed '(notice|warning) +tcmud.service: Main process exited, code=killed'
wait_for 30 has_event "device-state +$HBA/disk: ATTACHING .* -> LIVE" disk
events -c 100 disk
if grep -q failed <<<"$EVENTS"; then fail "the events of one device have another's"; fi
events -c 2
assert_eq "$(wc -l <<<"$EVENTS")" 2 "the number of events with -c 2"

say "JSON"
wait_for 20 json_is 'any(" -> LIVE" in e["message"] for e in events[1:])'
json_is 'all(e["device"] == "user_100/disk" and e["handler"] == "file" and len(e["message_id"]) == 32 and e["cursor"] for e in events)' ||
	fail "an event without its members: $(</run/followed.json)"

say "journalctl -x explains them"
must journalctl -x --no-pager -u $UNIT TCMU_DEVICE=$HBA/failed
assert_match "$OUTPUT" "Subject: A device has failed: $HBA/failed" "the explanation"
must journalctl -x --no-pager -u $UNIT TCMU_DEVICE=$HBA/stuck
assert_match "$OUTPUT" "Subject: .*: $HBA/stuck" "the explanation of an orphan"
assert_match "$OUTPUT" 'man:tcmud-events\(7\)' "the explanation"

say "an event of somebody else is none"
printf 'MESSAGE=forged\nMESSAGE_ID=9192da7fe18d42c5b546339f3cce32d8\nPRIORITY=3\n' |
	setpriv --reuid=65534 --regid=65534 --clear-groups logger --journald
forged() { journalctl --quiet --output=cat --grep=forged | grep forged >/dev/null; }
wait_for 20 forged
if has_event forged; then fail "the event of another user"; fi

say "limits"
must tcmuctl limits disk
assert_eq "$OUTPUT" "$HBA/disk: no limits" "the limits at first"
must tcmuctl limits disk iops=50 bps=1M
assert_eq "$OUTPUT" "$HBA/disk: 50 commands/s, 1048576 bytes/s (1.00 MiB/s)" "the limits"
assert_eq "$(<"$(backstore_dir disk)/attrib/dev_config")" "file//srv/disk.img;iops=50;bps=1M" "the config string"
attach disk
reads() {
	fio --name=reads --filename="$DISK" --rw=randread --bs=4k --iodepth=8 --ioengine=libaio --direct=1 --time_based \
		--runtime=4 --minimal | cut -d';' -f8
}
slow=$(reads)
say "with iops=50: $slow reads/s"
assert_le "$slow" 60 "the reads a second with iops=50"
must tcmuctl reopen disk
must tcmuctl --json limits disk
assert_match "$OUTPUT" '"iops": 50' "the limits after a reopen"
must tcmuctl limits disk bps=0 iops=0
assert_eq "$OUTPUT" "$HBA/disk: no limits" "the limits at last"
fast=$(reads)
say "without: $fast reads/s"
assert_le 70 "$fast" "70, against the reads a second without limits"
must_fail tcmuctl limits disk iops=fast
assert_match "$OUTPUT" 'iops=fast is no limit' "the refusal"
must_fail tcmuctl limits nothing
must tcmuctl names
assert_eq "$OUTPUT" "$HBA/disk" "the names"
detach disk
delete_backstore_configfs disk

say "the end"
must systemctl stop $UNIT
wait_for 20 followed 'daemon-stopped'
kill $follower $json_follower
