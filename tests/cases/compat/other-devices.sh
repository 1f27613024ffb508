#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Handlers in the style of tcmu-runner's for devices that are no plain disks: an optical drive that answers all CDBs by itself,
# and a disk with zones, whose writes are checked by their CDBs and carried out by the daemon.
# vm: timeout=240
# vm: plugin=optical,zoned

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

sg_appeared() { # H:C:T:L
	local generic
	for generic in /sys/class/scsi_generic/*; do
		[[ $(readlink -f "$generic/device") != */"$1" ]] || { SG=/dev/${generic##*/} && return; }
	done
	return 1
}

# attach_sg NAME: as attach, for a device of any type; SG is its node.
attach_sg() {
	local tpg
	tpg=$FABRICS/loopback/$(naa_of "$1")/tpgt_1
	modprobe -a sg tcm_loop
	mkdir -p "$tpg"
	naa_of "nexus of $1" >"$tpg/nexus"
	mkdir "$tpg/lun/lun_0"
	ln -s "$(backstore_dir "$1")" "$tpg/lun/lun_0/$1"
	wait_for 20 sg_appeared "$(<"$tpg/address"):0"
}

start_tcmud
say "an optical drive"
dd if=/dev/urandom of=/run/medium.iso bs=1M count=8 2>/dev/null
SUBTYPE=optical make_backstore_configfs drive /run/medium.iso $((8 << 20)) hw_block_size=2048
attach_sg drive
must sg_inq "$SG"
assert_match "$OUTPUT" 'PDT=5|cd/dvd|device_type=5' "the type of the device"
must sg_dd if="$SG" of=/run/read.iso bs=2048 count=4096 blk_sgio=1
must cmp /run/medium.iso /run/read.iso
detach drive
timed_delete drive
assert_le "$MS" 1000 "the milliseconds of the delete"

say "a disk with zones"
SUBTYPE=zoned make_backstore_configfs zones any $((8 << 20))
attach zones
dd if=/dev/urandom of=/run/data bs=1M count=2 2>/dev/null
must dd if=/run/data of="$DISK" bs=32k oflag=direct
must dd if="$DISK" of=/run/back bs=32k count=64 iflag=direct
must cmp /run/data /run/back
must_fail dd if=/run/data of="$DISK" bs=32k count=1 oflag=direct
detach zones
timed_delete zones
assert_le "$MS" 1000 "the milliseconds of the delete"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
