#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Saving, clearing and restoring says nothing: the attributes that a restore writes back as they are, three for each
# device, are answered with success.
# vm: timeout=300

# shellcheck source=tests/cases/restore/restore.bash
. "${0%/*}/restore.bash"

start_tcmud --log-level 4
saved_luns
log_mark
restore_start
restore_ended
every_lun_reads
# How long the main loop was held up is not looked at here: other guests may run beside this one.
if OUTPUT=$(log_since_mark | grep -E '\[(WARNING|ERROR|CRIT)\]' | grep -v 'was held up'); then fail "the daemon complains"; fi
must targetcli saveconfig /run/again.json
# In which order the storage objects stand follows the order of their creation.
must python3 -ISE - $SAVED /run/again.json <<'END'
import json, sys
before, after = ({so["name"]: so for so in json.load(open(name))["storage_objects"]} for name in sys.argv[1:])
if before.keys() != after.keys():
    sys.exit(f"{sorted(before)} were saved, and now {sorted(after)}")
for name in before:
    for key in before[name].keys() | after[name].keys():
        was, is_now = (so[name].get(key) for so in (before, after))
        if was != is_now and key != "index":
            sys.exit(f"{key} of {name} was {was}, and is {is_now}")
END
must targetctl clear
assert_eq "$OUTPUT" '' "what targetctl clear says"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
