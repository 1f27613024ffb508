#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows what a LUN of iblock on a ublk device does when the device's server hangs, and when it dies: what docs/performance.md
# compares with tcmud. Run by TCMUD_VM_CASES=$PWD/tests/bench tests/vm/run --kernel trixie guest/ublk.
# vm: accel=icount
# vm: memory=2048
# vm: timeout=240
# vm: hung_task=120

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

SERVER=/host/build/tests/guest-programs/ublk-file
BACKSTORE=/sys/kernel/config/target/core/iblock_7/ublk
TPG=/sys/kernel/config/target/loopback/naa.5001405000000007/tpgt_1
LUN=$TPG/lun/lun_0

serve() {
	: >/run/device
	$SERVER /run/store >/run/device &
	PID=$!
	wait_for 10 test -s /run/device
	DEVICE=$(</run/device)
}

export_device() {
	mkdir -p $BACKSTORE
	if ! [ -d $TPG ]; then
		mkdir -p $TPG
		echo naa.5001405000000017 >$TPG/nexus
	fi
	echo "udev_path=$DEVICE" >$BACKSTORE/control
	echo 1 >$BACKSTORE/enable
	mkdir $LUN
	ln -s $BACKSTORE $LUN/it
	wait_for 10 exists "/sys/class/scsi_disk/$(<$TPG/address):0/device/block"
	DISK=/dev/$(ls "/sys/class/scsi_disk/$(<$TPG/address):0/device/block")
	wait_for 10 reads
}

remove_lun() {
	rm $LUN/it
	rmdir $LUN
}

reads() { dd if="$DISK" of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null; }
in_flight() { [ "$(awk '{ print $1 + $2 }' "/sys/block/${DEVICE#/dev/}/inflight")" -gt 0 ]; }

modprobe -a ublk_drv target_core_iblock tcm_loop sd_mod || fail "this kernel has no ublk devices"
truncate -s 16M /run/store

say "a server that hangs"
serve
export_device
kill -STOP $PID
if reads; then : >/run/has-read; fi &
READER=$!
wait_for 10 in_flight
remove_lun &
REMOVER=$!
if holds_within 30 not running $REMOVER; then fail "the LUN is gone, though its server hangs with a command"; fi
say "the LUN's removal waits for the server, for 30 s already"
kill -KILL $PID
milliseconds wait_for 30 not running $REMOVER
wait $REMOVER || fail "the LUN is not removed"
say "it ended $MS ms after the server was killed"
wait_for 30 not running $READER
not exists /run/has-read || fail "the read has got data of a server that was killed"
rmdir $BACKSTORE

say "a server that dies"
serve
export_device
kill -KILL $PID
wait_for 30 not exists "$DEVICE"
must_fail reads
DEAD=$DEVICE
serve
assert_match "$DEVICE" "^/dev/ublkb[0-9]+$" "the device of the next server"
[ "$DEVICE" != "$DEAD" ] || fail "the next server has the same device"
must_fail reads
say "$DEAD is gone, and its LUN fails, though the same file is served again as $DEVICE"
remove_lun
rmdir $BACKSTORE
kill $PID
wait $PID || fail "the server has not ended by itself"
not exists "$DEVICE" || fail "the server has left its device"
