#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A program serves a subtype by libtcmu-scsi alone, and its store hangs under load. The deletion is not delayed by that, another
# disk of the program is served meanwhile, and the store is closed when the write has returned.
# vm: timeout=300
# vm: hung_task=200 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SUBTYPE=hanging
load_tcmu
/host/build/tests/guest-programs/hanging-store /run/hold /run/closed >/run/program.log 2>&1 &
program=$!
made() { make_backstore_configfs "$@" 2>/dev/null || { rmdir "$CORE/$HBA/$1" && false; }; }
wait_for 20 made disk any $((64 << 20))
echo 2 >"$CORE/$HBA/disk/attrib/cmd_time_out"
attach disk
verified_writes "$DISK" 1M

touch /run/hold
dd if=/dev/urandom of="$DISK" bs=64k count=16 oflag=direct 2>/dev/null &
wait_for 120 not running $!
say "the writes have failed for the initiator"
detach disk
trace_start
timed_delete disk
say "the delete took $MS ms"
assert_le "$MS" 2000 "the milliseconds of the delete"
assert_released 1 2000
nothing_left disk || fail "the backstore left something"
not exists /run/closed || fail "the store was closed under a write"

say "another disk is made and read meanwhile"
make_backstore_configfs other any $((64 << 20))
attach other
must dd if="$DISK" of=/dev/null bs=64k count=16 iflag=direct
rm /run/hold
wait_for 20 exists /run/closed
verified_writes "$DISK" 1M
detach other
timed_delete other
assert_le "$MS" 1000 "the milliseconds of the delete"
running $program || fail "the program has ended: $(</run/program.log)"
kill $program
