#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Our packages replace Debian's tcmu-runner under a verifying load on a LUN of a file and on one of an RBD image, and are
# upgraded under it. Then tcmu-runner returns and goes twice, with the same LUNs. After these are deleted, our packages can be
# purged.
# vm: init=systemd packages=yes net=yes timeout=600

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/../ceph/ceph.bash"

POLICY=/etc/dbus-1/system.d/tcmu-runner.conf
export DEBIAN_FRONTEND=noninteractive
packages=(/var/packages/*.deb)
names=()
for package in "${packages[@]}"; do names+=("$(dpkg-deb --field "$package" Package)"); done
property() { systemctl show --value --property="$2" "$1"; }
active() { [ "$(property "$1" ActiveState)" = active ]; }
# install_packages PACKAGE-FILE...: without questions.
install_packages() { must dpkg --install "$@" </dev/null; }
# load_runs COUNT: each of both LUNs completes so many more writes, in a minute.
load_runs() {
	local disk counts=()
	for disk in "${disks[@]}"; do counts+=("$(writes_of "$disk")"); done
	for disk in "${!disks[@]}"; do wait_for 60 wrote "${disks[disk]}" $((counts[disk] + $1)); done
}
# check_luns WHO: each of both LUNs has the bytes of the beginning, and takes new ones.
check_luns() {
	local disk
	for disk in "${!disks[@]}"; do
		dd if="${disks[disk]}" bs=1M skip=128 count=16 iflag=direct status=none | cmp - "/run/kept-$disk" || fail "$1 lost bytes of ${disks[disk]}"
		verified_writes "${disks[disk]}" 4M
	done
	say "both LUNs are served by $1"
}

say "Debian's tcmu-runner"
load_tcmu
join_cluster
create_image image 256M
install_packages /opt/packages/*.deb
wait_for 30 active tcmu-runner.service
truncate -s 256M /srv/disk.img
SUBTYPE=qcow make_backstore disk /srv/disk.img 256M # both daemons serve raw images by this subtype
attach_patiently disk
disks=("$DISK")
SUBTYPE=rbd make_backstore image 'rbd/image;osd_op_timeout=30' 256M
attach_patiently image
disks+=("$DISK")
for disk in "${!disks[@]}"; do
	must dd if=/dev/urandom of="/run/kept-$disk" bs=1M count=16 status=none
	must dd if="/run/kept-$disk" of="${disks[disk]}" bs=1M seek=128 oflag=direct status=none
done
check_luns tcmu-runner
load_start "${disks[0]}:${disks[1]}" 128M # half of it on each
load_runs 100

say "tcmud replaces it"
install_packages "${packages[@]}"
wait_for 30 active tcmud.service
assert_match "$(dpkg-query --show --showformat='${db:Status-Abbrev}' tcmu-runner)" '^.c' "the state of the package tcmu-runner"
assert_eq "$(property tcmu-runner.service Id)" tcmud.service "the unit behind the name tcmu-runner"
[ ! -e $POLICY ] || fail "the policy of tcmu-runner is still there"
[ ! -e /etc/logrotate.d/tcmu-runner ] || fail "the log is rotated twice"
must_fail setpriv --reuid=65534 --regid=65534 --clear-groups busctl call org.freedesktop.DBus /org/freedesktop/DBus \
	org.freedesktop.DBus RequestName su org.kernel.TCMUService1.HandlerManager1.mine 0
must_fail setpriv --reuid=65534 --regid=65534 --clear-groups busctl call org.kernel.TCMUService1 \
	/org/kernel/TCMUService1/qcow org.kernel.TCMUService1 CheckConfig s qcow//srv/disk.img
load_runs 150
must tcmu-runner --version
assert_match "$OUTPUT" '^tcmu-runner [0-9.]+$' "the version under the name tcmu-runner"
must systemctl is-enabled tcmud.service

say "the daily rotation of logs"
must logrotate --state /run/logrotate.state /etc/logrotate.conf
[[ $OUTPUT != *error* ]] || fail "logrotate complains"

say "the old package is purged, and leaves what is ours now"
must dpkg --purge tcmu-runner
exists /etc/tcmu/tcmu.conf || fail "the settings have gone with it"
assert_eq "$(property tcmu-runner.service Id)" tcmud.service "the unit behind the name tcmu-runner"
must systemctl is-enabled tcmud.service

say "an upgrade"
pid=$(property tcmud.service MainPID)
install_packages "${packages[@]}"
wait_for 30 active tcmud.service
[ "$(property tcmud.service MainPID)" != "$pid" ] || fail "the old daemon still runs"
load_runs 150
load_stop
check_luns tcmud
must dpkg --verify "${names[@]}"
tcli /backstores ls
assert_match "$OUTPUT" 'user:file' "targetcli's backstores"
assert_match "$OUTPUT" 'user:rbd' "targetcli's backstores"

say "the way back, and forth: the unit's alias hides nothing, and the policy and the rotation are there once"
for round in 1 2; do
	must dpkg --remove --force-depends "${names[@]}"
	[ ! -L /etc/systemd/system/tcmu-runner.service ] || fail "the alias is still there"
	install_packages /opt/packages/*.deb
	wait_for 30 active tcmu-runner.service
	assert_eq "$(property tcmu-runner.service Id)" tcmu-runner.service "the unit"
	exists $POLICY || fail "tcmu-runner has no policy in round $round"
	exists /etc/logrotate.d/tcmu-runner || fail "tcmu-runner's log is not rotated in round $round"
	check_luns "tcmu-runner, round $round,"
	install_packages "${packages[@]}"
	wait_for 30 active tcmud.service
	must systemctl is-enabled tcmud.service
	[ ! -e $POLICY ] || fail "the policy of tcmu-runner is still there in round $round"
	check_luns "tcmud, round $round,"
done

say "both LUNs go"
detach disk
detach image
trace_start
SUBTYPE=qcow delete_backstore disk
SUBTYPE=rbd delete_backstore image
assert_released 2 2000
on_host rbd rm rbd/image # nobody has it open

say "purge"
mkdir -p /var/lib/tcmud
touch /var/lib/tcmud/mode-pages /var/log/tcmu-runner.log
must dpkg --purge "${names[@]}"
[ ! -e /usr/sbin/tcmud ] || fail "the program is still there"
[ ! -e /etc/systemd/system/tcmu-runner.service ] || fail "the alias is still there"
[ -e $POLICY ] || fail "the policy has not returned to the package tcmu-runner"
[ ! -e $POLICY.dpkg-bak ] || fail "the policy that was put aside is still there"
[ ! -e /etc/tcmu/tcmu.conf ] || fail "the settings are still there"
for trace in /var/lib/tcmud /run/tcmud /var/log/tcmu-runner.log /etc/logrotate.d/tcmud; do
	[ ! -e $trace ] || fail "$trace is still there"
done
