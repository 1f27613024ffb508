#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real targetcli has a menu for each handler and no other menu, shows the description of a config string, and shows why
# a config string is refused.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

start_tcmud
tcli /backstores ls depth=1
menus=$(grep -o 'user:[A-Za-z0-9_]*' <<<"$OUTPUT" | sort | paste -sd' ')
expected=$(for file in "$(handler_dir)"/handler_*.so; do
	file=${file##*/handler_} && echo "user:${file%.so}"
done | cat - <(printf 'user:%s\n' nbd rbd) | sort -u | paste -sd' ')
assert_eq "$menus" "$expected" "the menus of targetcli"

tcli /backstores/user:file help create
assert_match "$OUTPUT" 'CFGSTRING FORMAT' "the help"
assert_match "$OUTPUT" ';vendor=TEXT' "the help"

# rbd is refused in both cases, built with librbd or without it, because this guest has no cluster.
reason="the rbd handler is not installed \(package tcmud-rbd\)"
[ ! -e "$(handler_dir)/handler_rbd.so" ] || reason="cannot read the cluster's configuration"
must_fail targetcli /backstores/user:rbd create name=x size=64M cfgstring=pool/image
assert_match "$OUTPUT" "cfgstring invalid: $reason" "the message of targetcli"
must_fail targetcli /backstores/user:file create name=x size=64M cfgstring=/srv/x.img,y
assert_match "$OUTPUT" 'cfgstring invalid: the config string must not have a comma' "the message of targetcli"

stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
