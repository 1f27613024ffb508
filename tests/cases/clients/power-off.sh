#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A host restarts, and later loses its power under a load: targetcli's saved configuration brings the LUNs back, with the same
# bytes and the same serial number, and nobody has to do anything.
# vm: init=systemd disk=512M boots=3 timeout=300 check=no smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/../service/unit.bash"

IQN=iqn.2003-01.org.linux-iscsi.guest:luns
RESTORE=rtslib-fb-targetctl.service

# boot_host: what survives a boot is on the scratch disk; the units start as at a boot.
boot_host() {
	find_scratch_disk
	mkdir /scratch
	[ "$VM_BOOT" -gt 1 ] || must mkfs.ext4 -q "$SCRATCH"
	must mount "$SCRATCH" /scratch
	mkdir -p /scratch/etc
	rm -rf /etc/rtslib-fb-target
	ln -s /scratch/etc /etc/rtslib-fb-target
	place_unit
	must systemctl start tcmud.service $RESTORE
	OUTPUT=$(systemctl status --no-pager $RESTORE)
	assert_eq "$(systemctl show --value --property=Result $RESTORE)" success "the result of $RESTORE"
	OUTPUT=$(journalctl --quiet --output=cat --unit=$RESTORE _COMM=targetctl)
	[ "$VM_BOOT" -eq 1 ] || assert_eq "$OUTPUT" '' "what targetctl prints"
}

# log_in: DISKS are the disks of the two LUNs, by the number of the LUN.
log_in() {
	iscsi_login "$IQN"
	wait_for 20 two_disks
}
two_disks() {
	local block lun
	DISKS=()
	for block in /sys/class/iscsi_session/session*/device/target*/*:*:*:*/block/*; do
		[ "$(<"$block/size")" -gt 0 ] || return 1
		lun=${block%/block/*}
		DISKS[${lun##*:}]=/dev/${block##*/}
	done
	[ ${#DISKS[@]} -eq 2 ]
}

say "boot $VM_BOOT"
boot_host
case $VM_BOOT in
1)
	must targetcli <<-COMMANDS
		/iscsi create $IQN
		/iscsi/$IQN/tpg1 set attribute authentication=0 generate_node_acls=1 demo_mode_write_protect=0
		/backstores/user:file create name=files size=128M cfgstring=/scratch/files.img
		/backstores/user:file create name=bytes size=64M cfgstring=/scratch/bytes.img
		/iscsi/$IQN/tpg1/luns create /backstores/user:file/files
		/iscsi/$IQN/tpg1/luns create /backstores/user:file/bytes
		saveconfig
	COMMANDS
	log_in
	must mkfs.ext4 -q "${DISKS[0]}"
	must mount "${DISKS[0]}" /mnt
	must dd if=/dev/urandom of=/mnt/file bs=1M count=16 conv=fsync status=none
	must dd if=/dev/urandom of="${DISKS[1]}" bs=1M count=16 oflag=direct status=none
	sg_vpd --page=sn "${DISKS[1]}" >/scratch/serial
	head -c 16M "${DISKS[1]}" | md5sum >/scratch/bytes.sum
	md5sum </mnt/file >/scratch/file.sum
	umount /mnt
	iscsi_logout "$IQN"
	say "the host restarts"
	must systemctl reboot
	;;
2)
	log_in
	assert_eq "$(sg_vpd --page=sn "${DISKS[1]}")" "$(</scratch/serial)" "the serial number"
	assert_eq "$(head -c 16M "${DISKS[1]}" | md5sum)" "$(</scratch/bytes.sum)" "the bytes"
	must mount "${DISKS[0]}" /mnt
	assert_eq "$(md5sum </mnt/file)" "$(</scratch/file.sum)" "the file"
	# As fsync() returns, these are on the platter of the host's disk.
	must dd if=/dev/urandom of=/mnt/second bs=1M count=16 conv=fsync status=none
	md5sum </mnt/second >/scratch/second.sum
	sync -f /scratch/second.sum
	load_start /mnt/load 8M
	wait_for 60 wrote "${DISKS[0]}" $(($(writes_of "${DISKS[0]}") + 300))
	say "the power fails"
	echo b >/proc/sysrq-trigger
	;;
3)
	log_in
	assert_eq "$(sg_vpd --page=sn "${DISKS[1]}")" "$(</scratch/serial)" "the serial number"
	assert_eq "$(head -c 16M "${DISKS[1]}" | md5sum)" "$(</scratch/bytes.sum)" "the bytes"
	must mount "${DISKS[0]}" /mnt
	assert_eq "$(md5sum </mnt/file)" "$(</scratch/file.sum)" "the file"
	assert_eq "$(md5sum </mnt/second)" "$(</scratch/second.sum)" "the file that was written before the power failed"
	must umount /mnt
	must fsck.ext4 -fn "${DISKS[0]}"
	iscsi_logout "$IQN"
	must systemctl stop $RESTORE
	must systemctl stop tcmud.service
	exit 0
	;;
esac
# The machine ends before this.
wait_for 120 false
