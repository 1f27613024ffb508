#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Twenty LUNs are saved, cleared and restored on a system with the packages, without errors or lost LUNs, also when the daemon
# is killed during the restore, is started ten seconds later, or was stopped before.
#
# Environment: LUNS=NUMBER (20).
# vm: init=systemd packages=yes timeout=600

# shellcheck source=tests/cases/packages/restore.bash
. "${0%/*}/restore.bash"

install_packages

say "saved, cleared and restored"
must tcmuctl log-level 4
save_luns
since=$(date '+%F %T.%N')
restore_start
wait_restored
# A restore writes these attributes with their current values.
for attribute in config size 'write cache'; do
	assert_eq "$(journalctl --quiet --unit=$UNIT --since="$since" --grep="its $attribute is unchanged" | wc -l)" \
		"$LUNS" "how often an unchanged $attribute was answered with success"
done
OUTPUT=$(journalctl --quiet --unit=$UNIT --since="$since" --priority=warning | grep -v 'the event loop was blocked') || :
assert_eq "$OUTPUT" '' "the warnings of the daemon" # except delays by other guests
must targetcli saveconfig /run/again.json
# The order of the storage objects depends on the order of their creation.
must python3 -ISE - $SAVED /run/again.json <<'END'
import json, sys
before, after = ({so["name"]: so for so in json.load(open(name))["storage_objects"]} for name in sys.argv[1:])
if before.keys() != after.keys():
    sys.exit(f"{sorted(before)} were saved, now there are {sorted(after)}")
for name in before:
    for key in before[name].keys() | after[name].keys():
        was, is_now = (so[name].get(key) for so in (before, after))
        if was != is_now and key != "index":
            sys.exit(f"{key} of {name} was {was}, now it is {is_now}")
END
clear_all

say "the daemon is killed during the restore, up to three times, and systemd starts the next"
restore_start
wait_for 60 restored 1
kills=0
while [ $kills -lt 3 ] && kill_in_the_middle; do
	kills=$((kills + 1))
done
if running "$RESTORE_PID"; then kill -CONT "$RESTORE_PID"; fi
[ $kills -gt 0 ] || fail "the restore ended before the daemon was killed"
wait_restored
read_every_lun
clear_all

say "the restore starts ten seconds before the daemon: one was killed, and creates wait for the next"
must systemctl mask --runtime $UNIT
must systemctl kill --kill-whom=main --signal=KILL $UNIT
wait_for 30 not active
restore_start
wait_for 30 restore_is_old 10
running "$RESTORE_PID" || fail "the restore did not wait"
if restored 1; then fail "a create did not wait"; fi
must systemctl unmask --runtime $UNIT
must systemctl start $UNIT
wait_restored
read_every_lun
clear_all

# Without a daemon the kernel makes the devices, but refuses writes to three of their attributes, which have these values
# already. A daemon cannot change that.
say "the daemon was stopped, and creates do not wait"
must systemctl stop $UNIT
restore_start
wait_for 120 restored "$LUNS"
must systemctl start $UNIT
wait_restored '^Storage Object user/lun[0-9]+: Cannot set attribute (dev_config|dev_size|emulate_write_cache): \[Errno 3\] No such process, skipped$'
read_every_lun
clear_all
