#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every command of docs/operators-guide.md works with the packages installed.
# vm: init=systemd packages=yes timeout=400

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

export DEBIAN_FRONTEND=noninteractive
active() { systemctl is-active --quiet tcmud; }
# disks_are COUNT: there are so many disks of LIO-ORG; a condition.
disks_are() { [ "$(grep -sl LIO-ORG /sys/class/scsi_disk/*/device/vendor | wc -l)" -eq "$1" ]; }
find_disk() {
	local block=(/sys/class/scsi_disk/*/device/block/*)
	DISK=/dev/${block[0]##*/}
}

say "Install"
modprobe -a target_core_user sd_mod sg iscsi_tcp
echo /etc/rtslib-fb-target >$FABRICS/dbroot
cd /var/packages
must dpkg --install libtcmu3_*.deb tcmud_*.deb tcmud-rbd_*.deb
wait_for 30 active
must systemctl is-active tcmud

say "The first LUN"
must targetcli /backstores/user:file create name=disk size=256M cfgstring=/srv/disk.img
must targetcli /iscsi create iqn.2026-11.org.example:disk
must targetcli /iscsi/iqn.2026-11.org.example:disk/tpg1/luns create /backstores/user:file/disk
must targetcli /iscsi/iqn.2026-11.org.example:disk/tpg1/acls create iqn.2026-11.org.example:client
must targetcli saveconfig
must targetcli /backstores/user:file help create
assert_match "$OUTPUT" 'absolute path of a regular file' "the help"
must tcmuctl check file//srv/disk.img
must_fail tcmuctl check file/no/slash

echo InitiatorName=iqn.2026-11.org.example:client >/etc/iscsi/initiatorname.iscsi
must systemctl restart iscsid
must iscsiadm -m discovery -t sendtargets -p 127.0.0.1
must iscsiadm -m node -T iqn.2026-11.org.example:disk -p 127.0.0.1 --login
wait_for 20 disks_are 1
find_disk
verified_writes "$DISK" 8M

say "Two paths"
must iscsiadm -m node -T iqn.2026-11.org.example:disk --logout
must targetcli /iscsi/iqn.2026-11.org.example:disk/tpg1/portals delete 0.0.0.0 3260
must targetcli /iscsi/iqn.2026-11.org.example:disk/tpg1/portals create 127.0.0.1
must targetcli /iscsi/iqn.2026-11.org.example:disk/tpg1/portals create 127.0.0.2
must iscsiadm -m discovery -t sendtargets -p 127.0.0.1
must iscsiadm -m node -T iqn.2026-11.org.example:disk --login
wait_for 20 disks_are 2
find_disk
must sg_rtpg --decode "$DISK"
assert_match "$OUTPUT" 'active/optimized' "the target port groups"

say "See what is going on"
must tcmuctl list
assert_match "$OUTPUT" 'user_0/disk +LIVE' "the list"
must tcmuctl status disk
must tcmuctl stats disk
must tcmuctl inflight disk
must journalctl -u tcmud
assert_match "$OUTPUT" 'user_0/disk: ' "the journal"

say "Make it larger"
must targetcli /backstores/user:file/disk set attribute dev_size=$((512 << 20))
must iscsiadm -m node -T iqn.2026-11.org.example:disk --rescan
larger() { [ "$(disk_bytes "$DISK")" -eq $((512 << 20)) ]; }
wait_for 20 larger

say "Restart"
load_start "$DISK" 32M
count=$(writes_of "$DISK")
wait_for 30 wrote "$DISK" $((count + 100))
must systemctl restart tcmud
count=$(writes_of "$DISK")
wait_for 30 wrote "$DISK" $((count + 100))
load_stop

say "Let it go"
trace_start
must iscsiadm -m node -T iqn.2026-11.org.example:disk --logout
must targetcli /iscsi delete iqn.2026-11.org.example:disk
must targetcli /backstores/user:file delete disk
must targetcli saveconfig
assert_released 1 1000
exists /srv/disk.img || fail "the image was removed"
