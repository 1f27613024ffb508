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
must python3 -ISE - $SAVED /run/again.json <<'END'
import json, sys
before, after = (json.load(open(name)) for name in sys.argv[1:])
if before != after:
    sys.exit("what is saved now is not what was saved before")
END
must targetctl clear
assert_eq "$OUTPUT" '' "what targetctl clear says"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
