#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An unknown key in tcmu.conf is named in one line, and the daemon uses the rest of the file.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

printf 'log_level = 4\nfrobnicate = 1\n' >/run/tcmu.conf
must_fail tcmud --config /run/tcmu.conf --check-config
assert_match "$OUTPUT" 'frobnicate' "the output of --check-config"
start_tcmud --config /run/tcmu.conf
assert_eq "$(grep -c frobnicate "$DAEMON_LOG")" 1 "the number of lines that name the key"
say "  $(grep frobnicate "$DAEMON_LOG")"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
