#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The documentation's example of a program that serves a subtype by libtcmu-scsi, without tcmud: targetcli has a menu for it and
# makes a disk, which serves verified load. It is deleted under load. A creation that waits while the program does not run is
# answered by the next one, and a deletion ends; the disk is served again after the program was killed.
# vm: timeout=300
# vm: hung_task=100

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SUBTYPE=ramdisk
start_program() {
	/host/build/tests/guest-programs/serve-ram-disk >>/run/program.log 2>&1 &
	program=$!
}
kill_program() {
	kill -KILL $program
	wait_for 10 not running $program
}
menus_have() { # SUBTYPE
	must targetcli /backstores ls depth=1
	[[ $OUTPUT == *user:$1* ]]
}

start_tcmud
start_program
wait_for 60 menus_have ramdisk
make_backstore disk any 64M
attach disk
daemon_has_no_uio || fail "tcmud has opened a device of the program"
verified_writes "$DISK" 4M
load_start "$DISK" 8M
wait_for 60 wrote "$DISK" 1500

say "tcmud is killed and started again: the program does not notice, and registers again"
stop_tcmud KILL
before=$(writes_of "$DISK")
wait_for 60 wrote "$DISK" $((before + 100))
start_tcmud
wait_for 60 menus_have ramdisk
load_stop

say "a delete under load"
dd if=/dev/zero of="$DISK" bs=64k oflag=direct 2>/dev/null &
before=$(writes_of "$DISK")
wait_for 60 wrote "$DISK" $((before + 50))
trace_start
detach disk
HBA=$(basename "$(dirname "$(backstore_dir disk)")")
timed_delete disk
say "the delete took $MS ms"
assert_le "$MS" 1500 "the milliseconds of the delete"
assert_released 1 1500
nothing_left disk || fail "the backstore left something"
HBA=user_100
daemon_has_no_uio $program || fail "the program still has a uio device"

say "a creation waits for the next program"
kill_program
make_backstore_configfs later any $((64 << 20)) &
waits=$!
wait_for 10 exists "$UIO/uio0/name"
start_program
wait_for 30 not running $waits
wait $waits
attach later
verified_writes "$DISK" 1M

say "it is served again after the program was killed, with its data lost"
kill_program
start_program
verified_writes "$DISK" 1M
detach later

say "a deletion that nobody has answered ends when the next program starts"
kill_program
delete_backstore_configfs later &
waits=$!
read -rt 2 -u "$NEVER_READABLE" || :
running $waits || fail "the deletion did not wait for anybody"
start_program
wait_for 30 not running $waits
nothing_left later || fail "the backstore left something"
make_backstore_configfs again any $((64 << 20))
timed_delete again
assert_le "$MS" 1500 "the milliseconds of the delete"
kill_program
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
