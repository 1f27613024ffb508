#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The installed packages do what targetcli, ceph-iscsi and users of tcmu-runner expect: the service, the bus, failing
# creates, sizes, names.
# vm: init=systemd packages=yes timeout=600

# shellcheck source=tests/cases/packages/restore.bash
. "${0%/*}/restore.bash"

# check_config CONFIG: CheckConfig of the handler file must answer, not fail.
check_config() { must busctl --timeout=5 call org.kernel.TCMUService1 /org/kernel/TCMUService1/file org.kernel.TCMUService1 CheckConfig s "$1"; }

say "the packages, without the rbd handler"
load_tcmu
must dpkg --install /var/packages/{libtcmu3,tcmud}_*.deb </dev/null
wait_for 30 active
exposure=$(systemd-analyze security --no-pager $UNIT | sed -nE 's/.*Overall exposure level.*: ([0-9.]+) .*/\1/p')
say "its exposure: $exposure"
assert_le "$exposure" 2.5 "the exposure by systemd-analyze"
install_packages
before=" $(property Before) "
for unit in target rtslib-fb-targetctl targetcli targetclid rbd-target-api rbd-target-gw gluster-block-target gluster-blockd tgt; do
	[[ $before == *" $unit.service "* ]] || fail "the daemon may be started after $unit.service: $before"
done
# The units of ceph-iscsi are not installed here: ceph/ceph-iscsi starts them.
for unit in rbd-target-api rbd-target-gw; do
	must grep '^ExecStartPre=-/usr/sbin/tcmuctl fenced ' "/lib/systemd/system/$unit.service.d/10-tcmud.conf"
done
assert_eq "$(</proc/"$DAEMON_PID"/oom_score_adj)" -900 "its OOM score adjustment"
assert_match "$(<"/proc/$DAEMON_PID/limits")" 'Max open files +1048576 +1048576' "its limits"
assert_eq "$(property WatchdogUSec)" 30s "its watchdog interval"

say "the bus shows the handlers and their answers"
must busctl call org.kernel.TCMUService1 /org/kernel/TCMUService1 org.freedesktop.DBus.ObjectManager GetManagedObjects
assert_eq "$(grep -o '"/org/kernel/TCMUService1/[^"]*"' <<<"$OUTPUT" | sort | paste -sd' ')" \
	'"/org/kernel/TCMUService1/file" "/org/kernel/TCMUService1/nbd" "/org/kernel/TCMUService1/null" "/org/kernel/TCMUService1/qcow" "/org/kernel/TCMUService1/ram" "/org/kernel/TCMUService1/rbd"' \
	"the objects"
for config in ',' : ' ' '' file/ rbd/pool/image "$(printf '%0256d' 0)" "file/$(printf '%0256d' 0)"; do
	check_config "$config"
	assert_match "$OUTPUT" '^bs false ".+"$' "the answer to '$config'"
done
check_config file//srv/disk.img
assert_match "$OUTPUT" '^bs true ' "the answer to a valid config string"

say "a create that fails leaves nothing"
must_fail targetcli /backstores/user:file create name=bad size=64M cfgstring=/no/such/directory/x.img
assert_match "$OUTPUT" 'cfgstring invalid: .*/no/such/directory' "the message of targetcli"
# As ceph-iscsi does, without CheckConfig. Python writes to the kernel's file again when it closes it.
must_fail python3 -Ic 'import rtslib_fb; rtslib_fb.UserBackedStorageObject("bad", config="file//no/such/directory/x.img", size=1 << 26)'
must journalctl --quiet --unit=$UNIT --grep='/bad: OPENING .* open refused: file//no/such/directory'
assert_eq "$(wc -l <<<"$OUTPUT")" 2 "the number of refusals"
wait_for 5 nothing_left bad
for size in 1 0 513; do
	must_fail make_backstore_configfs bad /srv/bad.img $size
	delete_backstore_configfs bad
done
wait_for 5 nothing_left bad
wait_for 5 uio_files_are 0
[ ! -e /srv/bad.img ] || fail "a refused create made the file"

say "sizes"
truncate -s 64M /srv/disk.img
must_fail make_backstore_configfs disk /srv/disk.img $((128 << 20))
delete_backstore_configfs disk
make_backstore disk /srv/disk.img 32M
attach disk
one=$DISK
for dir in pr alua; do
	[ -d "$(<$FABRICS/dbroot)/$dir" ] || fail "the target core has no directory $dir for its state"
done
must sg_persist --out --register --param-sark=1 "$one"
must sg_persist --out --register --param-rk=1 "$one"
iscsi_target disk
iscsi_login "$IQN"
for size in 1 0 513 $((16 << 20)); do
	must_fail targetcli /backstores/user:file/disk set attribute dev_size=$size
	assert_eq "$(disk_bytes "$one") $(<"$(backstore_dir disk)/attrib/dev_size")" "$((32 << 20)) $((32 << 20))" "the sizes after a refusal"
done
tcli /backstores/user:file/disk set attribute dev_size=$((64 << 20))
must_fail sg_turs --verbose "$one"
assert_match "$OUTPUT" 'Capacity data has changed' "the unit attention"
for disk in "$one" "$DISK"; do
	must sg_turs "$disk"
	must sg_readcap --long "$disk"
	assert_match "$OUTPUT" "Device size: $((64 << 20)) bytes" "the capacity"
done
iscsi_logout "$IQN"
tcli /iscsi delete "$IQN"
detach disk
delete_backstore disk

say "names that other programs use"
assert_match "$(tcmu-runner --version | awk '{print $NF}')" '^[2-9]\.[0-9]+\.[0-9]+$' "the version that gluster-block reads"
assert_eq "$(systemctl show --value --property=Id tcmu-runner.service)" $UNIT "the unit behind the name tcmu-runner"
must systemctl restart tcmu-runner
wait_for 30 active
level_is_logged() { journalctl --quiet --unit=$UNIT --boot | grep 'log level now is DEBUG SCSI CMD' >/dev/null; }
if level_is_logged; then fail "the level had this value before"; fi
echo 'log_level = 5' >>/etc/tcmu/tcmu.conf
wait_for 10 level_is_logged

say "the test of debian/tests that needs a separate kernel"
must /var/packages/lun
assert_match "$OUTPUT" 'served from its creation to its deletion' "its output"
