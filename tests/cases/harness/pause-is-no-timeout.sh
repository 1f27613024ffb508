#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A condition that became true while the machine paused, just after it was checked, is checked again although the time is over.

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# exists_after_pause FILE: the file exists; if it does not, the shell stops until somebody continues it. A condition.
exists_after_pause() {
	exists "$1" && return
	kill -STOP $BASHPID
	return 1
}
is_stopped() { [[ $(<"/proc/$1/stat") == *') T '* ]]; }

holds_within 1 exists_after_pause /run/file &
pid=$!
wait_for 20 is_stopped $pid
touch /run/file
holds_within 2 false || :
kill -CONT $pid
wait $pid || fail "the condition was not checked after the pause"
must_fail holds_within 1 exists /run/other
