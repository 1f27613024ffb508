#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An initiator with a read-only mapping, or without the reservation, cannot change a LUN by a command without data: FORMAT
# UNIT, SANITIZE and WRITE SAME with NDOB do not exist without the option "sanitize", and are refused with it while a mapping
# is write protected or an initiator holds a reservation. A LUN with ro=1 refuses writes in whatever direction they are
# declared.
# vm: timeout=600

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

MIB=16
IQN=iqn.2003-01.org.linux-iscsi.guest:disk
TPG=$FABRICS/iscsi/$IQN/tpgt_1
ALICE=iqn.1993-08.org.debian:01:alice
BOB=iqn.1993-08.org.debian:01:bob

# make_target OPTIONS: a backstore, and a target with mappings to alice and bob.
make_target() {
	local name
	dd if=/dev/urandom of=/srv/disk.img bs=1M count=$MIB status=none
	SUM=$(md5sum </srv/disk.img)
	make_backstore_configfs disk "/srv/disk.img$1" $((MIB << 20))
	mkdir -p "$TPG"
	echo 0 >"$TPG/attrib/authentication"
	mkdir "$TPG/np/127.0.0.1:3260" "$TPG/lun/lun_0"
	ln -s "$(backstore_dir disk)" "$TPG/lun/lun_0/disk"
	for name in $ALICE $BOB; do
		mkdir "$TPG/acls/$name" "$TPG/acls/$name/lun_0"
		ln -s "$TPG/lun/lun_0" "$TPG/acls/$name/lun_0/disk"
	done
	echo 1 >"$TPG/enable"
	must iscsiadm -m discovery -t sendtargets -p 127.0.0.1 -I alice -I bob
	login alice
	A=$DISK
	login bob
	B=$DISK
}

delete_target() {
	local name
	must iscsiadm -m node -T "$IQN" -p 127.0.0.1 --logout
	echo 0 >"$TPG/enable"
	for name in $ALICE $BOB; do
		rm "$TPG/acls/$name/lun_0/disk"
		rmdir "$TPG/acls/$name/lun_0" "$TPG/acls/$name"
	done
	rm "$TPG/lun/lun_0/disk"
	rmdir "$TPG/lun/lun_0" "$TPG/np/127.0.0.1:3260" "$TPG" "${TPG%/*}"
	delete_backstore_configfs disk
}

# session_disk_appeared NAME: the disk of that interface on IQN is ready; DISK is its node; a condition.
session_disk_appeared() {
	local session block
	for session in /sys/class/iscsi_session/session*; do
		if [ "$(<"$session/ifacename")" != "$1" ] || [ "$(<"$session/targetname")" != "$IQN" ]; then
			continue
		fi
		for block in "$session"/device/target*/*:*:*:*/block/*; do
			disk_is_ready "$block"
			return
		done
	done
	return 1
}

# login NAME: as this initiator; DISK is the node.
login() {
	must iscsiadm -m node -T "$IQN" -p 127.0.0.1 -I "$1" --login
	wait_for 20 session_disk_appeared "$1"
	say "$1 has $DISK"
}

start_initiators() {
	local name
	modprobe -a sd_mod sg iscsi_tcp
	echo "InitiatorName=iqn.1993-08.org.debian:01:guest" >/etc/iscsi/initiatorname.iscsi
	iscsid
	modprobe iscsi_target_mod
	mkdir -p $FABRICS/iscsi
	for name in alice bob; do
		must iscsiadm -m iface -I $name -o new
		must iscsiadm -m iface -I $name -o update -n iface.initiatorname -v "iqn.1993-08.org.debian:01:$name"
	done
}

# expect_refusal PATTERN DISK: each command without data is refused with this sense or status, and changes nothing.
expect_refusal() {
	must_fail sg_format -v -F -Q -w "$2"
	assert_match "$OUTPUT" "$1" "the answer to FORMAT UNIT"
	must_fail sg_sanitize -v -B -Q -w "$2"
	assert_match "$OUTPUT" "$1" "the answer to SANITIZE"
	must_fail sg_write_same -v -S -l 0 -n 64 --ndob "$2"
	assert_match "$OUTPUT" "$1" "the answer to WRITE SAME with NDOB"
	same_content "$1"
}

# same_content WHEN: the image is as it was made.
same_content() {
	sync
	assert_eq "$(md5sum </srv/disk.img)" "$SUM" "the image ($1)"
}

start_tcmud
start_initiators

say "without the option"
make_target ""
expect_refusal 'Invalid opcode|Illegal [Rr]equest|invalid field|not supported' "$A"
must sg_opcodes "$A"
[[ ! $OUTPUT =~ (Format unit|Sanitize) ]] || fail "the commands are reported"
delete_target

say "a mapping that is write protected"
make_target ";sanitize=1"
must sg_opcodes "$A"
assert_match "$OUTPUT" 'Sanitize, overwrite' "the supported commands"
echo 1 >"$TPG/acls/$BOB/lun_0/write_protect"
expect_refusal '[Ww]rite protect' "$B"
expect_refusal '[Ww]rite protect' "$A"
must_fail dd if=/dev/zero of="$B" bs=4k count=1 oflag=direct status=none # the target core
same_content "a write"
grep -q 'is refused: a mapped LUN is write protected' "$DAEMON_LOG" || fail "the refusal is not in the log"
echo 0 >"$TPG/acls/$BOB/lun_0/write_protect"

say "a reservation: Write Exclusive"
must sg_persist --out --register --param-sark=1 "$A"
must sg_persist --out --reserve --param-rk=1 --prout-type=1 "$A"
expect_refusal '[Rr]eservation conflict' "$B"
expect_refusal '[Rr]eservation conflict' "$A"
must_fail dd if=/dev/zero of="$B" bs=4k count=1 oflag=direct status=none # the target core
same_content "a write"
must sg_persist --out --clear --param-rk=1 "$A"

say "neither"
must sg_write_same -S -l 0 -n 64 --ndob "$B"
must cmp -n $((64 * 512)) <(dd if="$B" bs=32k count=1 iflag=direct status=none) /dev/zero
must sg_sanitize -B -Q -w "$A"
must cmp -n $((MIB << 20)) /srv/disk.img /dev/zero
delete_target

say "ro=1: a WRITE that is declared as data-in"
make_target ";ro=1;sanitize=1"
node=(/sys/block/"${A##*/}"/device/scsi_generic/*) # opens read-write, too
must python3 -ISE - "/dev/${node[0]##*/}" "$CASES/conformance" <<'END'
import sys
sys.path.insert(0, sys.argv[2])
from scsi_disk import Disk
disk = Disk(sys.argv[1])
for cdb in ([0x2A, 0, 0, 0, 0, 0, 0, 0, 1, 0], [0x8A] + [0] * 12 + [1, 0, 0], [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0],
            [0x04, 0, 0, 0, 0, 0], [0x48, 2] + [0] * 8, [0x93, 1] + [0] * 11 + [1, 0, 0], [0x15, 0x11, 0, 0, 16, 0]):
    for room in (512, 0):
        result = disk.send(cdb, room=room)
        if result.status == 0:
            sys.exit("GOOD: " + bytes(cdb).hex(" "))
END
must_fail sg_write_same -S -l 0 -n 64 --ndob "$A"
same_content "writes that are declared as data-in"
delete_target
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
