#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon of its own registers its handler, and the real targetcli has a menu for it, shows how its config string reads, and
# what it says of one, until it ends.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

menus_have() { # SUBTYPE
	must targetcli /backstores ls depth=1
	[[ $OUTPUT == *user:$1* ]]
}
has_words() { [ -s /run/said ]; }

start_tcmud
wait_for 40 menus_have file
not menus_have mine || fail "a menu for a handler that nobody has registered"
python3 -I "${0%/*}/external-handler.py" /run/said &
other=$!
wait_for 30 has_words
assert_eq "$(</run/said)" 'True success' "what the registration said"
menus_have mine || fail "no menu"
tcli /backstores/user:mine help create
assert_match "$OUTPUT" 'What is mine' "the help"
must_fail targetcli /backstores/user:mine create name=x size=64M cfgstring=bad
assert_match "$OUTPUT" 'cfgstring invalid: it has to be good' "what a person sees"
must tcmuctl check file//srv/x.img

kill $other
wait_for 30 not menus_have mine
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
