#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Our packages replace Debian's tcmu-runner under a verifying load, and are upgraded under it. After the LUN is deleted, they
# can be purged.
# vm: init=systemd packages=yes timeout=400

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SUBTYPE=qcow # both daemons serve raw images by it
POLICY=/etc/dbus-1/system.d/tcmu-runner.conf
export DEBIAN_FRONTEND=noninteractive
packages=(/var/packages/*.deb)
property() { systemctl show --value --property="$2" "$1"; }
active() { [ "$(property "$1" ActiveState)" = active ]; }
# install_packages PACKAGE-FILE...: without questions.
install_packages() { must dpkg --install "$@" </dev/null; }

say "Debian's tcmu-runner"
load_tcmu
install_packages /opt/packages/*.deb
wait_for 30 active tcmu-runner.service
truncate -s 256M /srv/disk.img
make_backstore disk /srv/disk.img 256M
attach disk
load_start "$DISK" 64M
wait_for 30 wrote "$DISK" 200

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
count=$(writes_of "$DISK")
wait_for 60 wrote "$DISK" $((count + 300))
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
count=$(writes_of "$DISK")
wait_for 60 wrote "$DISK" $((count + 300))
load_stop
must dpkg --verify tcmud tcmud-rbd libtcmu3 libtcmu-dev
tcli /backstores ls
assert_match "$OUTPUT" 'user:file' "targetcli's backstores"
assert_match "$OUTPUT" 'user:rbd' "targetcli's backstores"

detach disk
trace_start
delete_backstore disk
assert_released 1 1000

say "the way back, and forth: the unit's alias hides nothing, and the policy and the rotation are there once"
for round in 1 2; do
	must dpkg --remove --force-depends tcmud-rbd tcmud
	[ ! -L /etc/systemd/system/tcmu-runner.service ] || fail "the alias is still there"
	install_packages /opt/packages/*.deb
	wait_for 30 active tcmu-runner.service
	assert_eq "$(property tcmu-runner.service Id)" tcmu-runner.service "the unit"
	exists $POLICY || fail "tcmu-runner has no policy in round $round"
	exists /etc/logrotate.d/tcmu-runner || fail "tcmu-runner's log is not rotated in round $round"
	install_packages "${packages[@]}"
	wait_for 30 active tcmud.service
	must systemctl is-enabled tcmud.service
	[ ! -e $POLICY ] || fail "the policy of tcmu-runner is still there in round $round"
done

say "purge"
mkdir -p /var/lib/tcmud
touch /var/lib/tcmud/mode-pages /var/log/tcmu-runner.log
must dpkg --purge tcmud-rbd tcmud libtcmu-dev libtcmu3
[ ! -e /usr/sbin/tcmud ] || fail "the program is still there"
[ ! -e /etc/systemd/system/tcmu-runner.service ] || fail "the alias is still there"
[ -e $POLICY ] || fail "the policy has not returned to the package tcmu-runner"
[ ! -e $POLICY.dpkg-bak ] || fail "the policy that was put aside is still there"
[ ! -e /etc/tcmu/tcmu.conf ] || fail "the settings are still there"
for trace in /var/lib/tcmud /run/tcmud /var/log/tcmu-runner.log /etc/logrotate.d/tcmud; do
	[ ! -e $trace ] || fail "$trace is still there"
done
