#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A plugin of another ABI, and a file that is not a plugin, are refused with one line each that names the file. The other
# handlers work.
# vm: plugin=otherabi

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

echo nonsense >"$(handler_dir)/handler_nonsense.so"
start_tcmud
for name in otherabi nonsense; do
	assert_eq "$(grep -c "handler_$name.so" "$DAEMON_LOG")" 1 "the number of lines that name handler_$name.so"
	say "  $(grep "handler_$name.so" "$DAEMON_LOG")"
done
make_backstore_configfs disk /srv/disk.img $((64 << 20))
attach disk
must dd if="$DISK" of=/dev/null bs=64k count=16 iflag=direct
detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
