#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real targetcli has one menu for each handler and none for anything else, shows how a config string reads, and shows a
# person why one is refused.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
tcli /backstores ls depth=1
menus=$(grep -o 'user:[A-Za-z0-9_]*' <<<"$OUTPUT" | sort | paste -sd' ')
expected=$(for file in "$(handler_dir)"/handler_*.so; do
	file=${file##*/handler_} && echo "user:${file%.so}"
done | cat - <(echo user:rbd) | sort -u | paste -sd' ')
assert_eq "$menus" "$expected" "what targetcli has as menus"

tcli /backstores/user:file help create
assert_match "$OUTPUT" 'CFGSTRING FORMAT' "the help"
assert_match "$OUTPUT" ';vendor=TEXT' "the help"

# Built with librbd or without it, there is a reason: this guest has no cluster.
reason="the rbd handler is not installed \(package tcmud-rbd\)"
[ ! -e "$(handler_dir)/handler_rbd.so" ] || reason="the cluster's configuration cannot be read"
must_fail targetcli /backstores/user:rbd create name=x size=64M cfgstring=pool/image
assert_match "$OUTPUT" "cfgstring invalid: $reason" "what a person sees"
must_fail targetcli /backstores/user:file create name=x size=64M cfgstring=/srv/x.img,y
assert_match "$OUTPUT" 'cfgstring invalid: a comma is not possible' "what a person sees"

stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
