#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A change of tcmu.conf is in force at once, however the file is written, and each changed key is logged with its old and its
# new value. An invalid line is named and changes nothing.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

count_lines() { log_since_mark | grep -cE "$1" || :; }

printf 'log_level = 3\nqueue_depth = 128\n' >/run/tcmu.conf
start_tcmud --config /run/tcmu.conf

say "written in place"
log_mark
printf 'log_level = 4\nqueue_depth = 64\nreply_timeout_ms = 3000\n' >/run/tcmu.conf
wait_for 10 logged 'reply_timeout_ms was 2000, is now 3000$'
wait_for 10 logged 'log level now is DEBUG$'
assert_eq "$(count_lines ' was .*, is now ')" 3 "the number of changed keys"
logged 'log_level was 3, is now 4$' || fail "log_level is not logged"
logged 'queue_depth was 128, is now 64$' || fail "queue_depth is not logged"

say "replaced by another file"
log_mark
printf 'log_level = 4\nqueue_depth = 32\nreply_timeout_ms = 3000\n' >/run/tcmu.conf.new
mv /run/tcmu.conf.new /run/tcmu.conf
wait_for 10 logged 'queue_depth was 64, is now 32$'
assert_eq "$(count_lines ' was .*, is now ')" 1 "the number of changed keys"

say "with mistakes, by SIGHUP"
log_mark
printf 'log_level = 4\nqueue_depth = many\nreply_timeout_ms = 3000\ncolour = red\n' >/run/tcmu.conf
kill -HUP "$DAEMON_PID"
wait_for 10 logged 'tcmu.conf:2: queue_depth is "many", expected 1 to 4096; it stays "32"$'
wait_for 10 logged 'tcmu.conf:4: unknown setting "colour"; the line is ignored$'
assert_eq "$(count_lines ' was .*, is now ')" 0 "the number of changed keys"
must tcmuctl dump
assert_match "$OUTPUT" '"queue_depth": "32"' "the settings in force"

say "removed"
log_mark
rm /run/tcmu.conf
wait_for 10 logged 'queue_depth was 32, is now 256$'
wait_for 10 logged 'log level now is INFO$'

stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
