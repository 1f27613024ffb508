#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The RPM packages replace one of tcmu-runner under a verifying load, whether that package has scripts or not: the daemon
# serves, is enabled, and nothing of tcmu-runner is left.
# vm: init=systemd packages=yes timeout=400

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

SUBTYPE=qcow # both daemons serve raw images by it
POLICY=/etc/dbus-1/system.d/tcmu-runner.conf
ROTATION=/etc/logrotate.d/tcmu-runner
ours=(/var/packages/rpm/{tcmud,libtcmu3}-[0-9]*.rpm)
property() { systemctl show --value --property="$2" "$1"; }
active() { [ "$(property "$1" ActiveState)" = active ]; }
# rpm_do OPTION...: rpm's packages name those of an RPM system.
rpm_do() { must rpm --nodeps "$@"; }

# As on an RPM system: no unit is enabled unless somebody enables it, and libraries are in lib64.
mkdir -p /etc/systemd/system-preset
echo 'disable *' >/etc/systemd/system-preset/00-test.preset
echo /usr/lib64 >/etc/ld.so.conf.d/test.conf
load_tcmu
truncate -s 256M /srv/disk.img

# replace RELEASE: of the package tcmu-runner.
replace() {
	say "tcmu-runner, release $1"
	rpm_do --install /var/packages/rpm/tcmu-runner-1.5.4-"$1".noarch.rpm
	must systemctl daemon-reload
	must busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
	must systemctl enable --now tcmu-runner.service
	wait_for 30 active tcmu-runner.service
	if [ ! -d "$CORE/user_0" ]; then
		make_backstore disk /srv/disk.img 256M
		attach_patiently disk
	fi
	load_start "$DISK" 64M
	wait_for 30 wrote "$DISK" $(($(writes_of "$DISK") + 100))
	# Its files that somebody has changed stay as .rpmsave.
	echo '# changed' >>$ROTATION
	echo '<!-- changed -->' >>$POLICY

	say "tcmud replaces it"
	rpm_do --upgrade "${ours[@]}"
	wait_for 30 active tcmud.service
	assert_eq "$(rpm --query --all tcmu-runner)" '' "the package tcmu-runner"
	assert_eq "$(property tcmu-runner.service Id)" tcmud.service "the unit behind the name tcmu-runner"
	must systemctl is-enabled tcmud.service
	[ ! -L /etc/systemd/system/multi-user.target.wants/tcmu-runner.service ] || fail "the link of the old unit is still there"
	[ ! -e $POLICY ] || fail "the policy of tcmu-runner is still there"
	[ ! -e $ROTATION ] || fail "the log is rotated twice"
	[ ! -e /var/lib/rpm-state/tcmud ] || fail "the notes of the replacement are still there"
	assert_eq "$(pgrep -c -x 'tcmud|tcmu-runner')" 1 "the number of daemons"
	wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 200))
	must logrotate --state /run/logrotate.state /etc/logrotate.conf
	[[ $OUTPUT != *error* ]] || fail "logrotate complains"

	say "an upgrade"
	pid=$(property tcmud.service MainPID)
	rpm_do --upgrade --replacepkgs "${ours[@]}"
	wait_for 30 active tcmud.service
	must systemctl is-enabled tcmud.service
	wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 200))
	load_stop

	say "the way back"
	rpm_do -e tcmud libtcmu3
	[ ! -L /etc/systemd/system/tcmu-runner.service ] || fail "the alias is still there"
	must systemctl daemon-reload
	rm -f $POLICY.rpmsave $ROTATION.rpmsave
}

replace 1
replace 2

say "tcmu-runner serves again"
rpm_do --install /var/packages/rpm/tcmu-runner-1.5.4-2.noarch.rpm
must systemctl daemon-reload
must systemctl start tcmu-runner.service
wait_for 30 active tcmu-runner.service
assert_eq "$(property tcmu-runner.service Id)" tcmu-runner.service "the unit"
verified_writes "$DISK" 4M
rpm_do --upgrade "${ours[@]}"
wait_for 30 active tcmud.service
must_fail systemctl is-enabled tcmud.service # nor was tcmu-runner
detach disk
trace_start
delete_backstore disk
assert_released 1 1000
