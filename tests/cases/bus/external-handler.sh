#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another daemon registers an external handler. Until it ends, the real targetcli has a menu for the handler, shows the
# description of its config string, and shows its answer to a check.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

menus_have() { # SUBTYPE
	must targetcli /backstores ls depth=1
	[[ $OUTPUT == *user:$1* ]]
}
has_answer() { [ -s /run/answer ]; }

start_tcmud
wait_for 40 menus_have file
not menus_have mine || fail "a menu for a handler that is not registered"
python3 -I "${0%/*}/external-handler.py" /run/answer &
other=$!
wait_for 30 has_answer
assert_eq "$(</run/answer)" 'True success' "the answer to the registration"
menus_have mine || fail "no menu"
tcli /backstores/user:mine help create
assert_match "$OUTPUT" 'A test handler' "the help"
must_fail targetcli /backstores/user:mine create name=x size=64M cfgstring=bad
assert_match "$OUTPUT" 'cfgstring invalid: it has to be good' "the message of targetcli"
must tcmuctl check file//srv/x.img

kill $other
wait_for 30 not menus_have mine
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
