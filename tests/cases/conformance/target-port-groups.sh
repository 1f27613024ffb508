#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# REPORT and SET TARGET PORT GROUPS, TPGS and VPD 83h show the target core's port groups. A group in standby refuses commands
# on its path only, and other paths are served during a change of state.
# vm: timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# report_groups DISK: PORT_GROUPS is "number state" for each group, in order.
report_groups() {
	must sg_rtpg --decode "$1"
	PORT_GROUPS=$(sed -nE 's/.*port group id : (0x[0-9a-f]+) .*/\1/p; s/.*access state : (0x[0-9a-f]+) .*/\1/p' <<<"$OUTPUT" | paste -sd ' ')
}

start_tcmud
make_backstore disk /srv/disk.img 64M
attach disk
loopback=$DISK
alua=$(backstore_dir disk)/alua

say "one port: the port of a command is known"
must sg_inq "$loopback"
assert_match "$OUTPUT" 'TPGS=3' "standard INQUIRY data"
must sg_rtpg --decode "$loopback"
assert_match "$OUTPUT" 'target port group id : 0x0 , Pref=0' "the default group"
assert_match "$OUTPUT" 'T_SUP : 1, O_SUP : 0, LBD_SUP : 0, U_SUP : 1, S_SUP : 1, AN_SUP : 1, AO_SUP : 1' "the supported states"
assert_match "$OUTPUT" 'asymmetric access state : 0x00' "its state"
# Since Linux 6.5 a port of tcm_loop has the identifier 0, which is reserved: it is not reported.
port=$(cat "$FABRICS"/loopback/*/tpgt_*/lun/lun_*/statistics/scsi_port/indx)
[[ $port == 0 ]] || assert_match "$OUTPUT" 'Relative target port ids:.*0x01' "its port"
must sg_vpd --page=di "$loopback"
if [[ $port == 0 ]]; then
	[[ $OUTPUT != *'Relative target port'* ]] || fail "VPD 83h reports a relative target port identifier that is not known"
else
	assert_match "$OUTPUT" 'Relative target port: 0x1' "VPD 83h"
fi
assert_match "$OUTPUT" 'Target port group: 0x0' "VPD 83h"
assert_match "$OUTPUT" 'Logical unit group: 0x0' "VPD 83h"
must sg_opcodes --opcode=0xa4,0x0a "$loopback"
assert_match "$OUTPUT" 'Set target port groups' "sg_opcodes"

say "a second port, in another group"
iscsi_target disk
mkdir "$alua/other"
echo 16 >"$alua/other/tg_pt_gp_id"
echo 30 >"$alua/other/implicit_trans_secs"
echo 1 >"$alua/other/preferred"
echo other >"$FABRICS/iscsi/$IQN/tpgt_1/lun/lun_0/alua_tg_pt_gp"
iscsi_login "$IQN"
iscsi=$DISK
must sg_vpd --page=di "$iscsi"
[[ $OUTPUT != *'Target port group'* ]] || fail "VPD 83h names a group, although the port of a command is unknown"
report_groups "$iscsi"
assert_eq "$PORT_GROUPS" '0x0 0x00 0x10 0x00' "the groups"
assert_match "$OUTPUT" 'target port group id : 0x10 , Pref=1' "the preferred group"
must sg_rtpg --extended --decode "$iscsi"
assert_match "$OUTPUT" 'Implicit transition time: 30' "the extended header"

say "an initiator sends its group to standby and brings it back"
must sg_stpg --tp=16 --state=s "$loopback"
assert_eq "$(<"$alua/other/alua_access_state")" 2 "the target core's state"
assert_match "$(<"$alua/other/alua_access_status")" 'Explicit' "the target core's status"
must_fail sg_turs "$iscsi" # ASYMMETRIC ACCESS STATE CHANGED
must_fail sg_turs --verbose "$iscsi"
assert_match "$OUTPUT" 'Logical unit not accessible, target port in standby state' "TEST UNIT READY in standby"
must dd if="$loopback" of=/dev/null bs=4k count=1 iflag=direct
report_groups "$iscsi" # works in standby, too
assert_eq "$PORT_GROUPS" '0x0 0x00 0x10 0x02' "the groups"
assert_match "$OUTPUT" 'status code : 0x01' "the cause of the change"
must sg_stpg --tp=16 --state=ao "$iscsi"
must_fail sg_turs --verbose "$iscsi"
assert_match "$OUTPUT" 'Asymmetric access state changed' "the unit attention"
must sg_turs "$iscsi"
must dd if="$iscsi" of=/dev/null bs=4k count=1 iflag=direct

say "invalid requests are refused" # sg_stpg prints that, and ends with 0
must sg_stpg --verbose --tp=17 --state=ao "$loopback"
assert_match "$OUTPUT" 'Invalid field in parameter list' "an unknown group"
must sg_stpg --verbose --tp=16 --state=o "$loopback"
assert_match "$OUTPUT" 'Invalid field in parameter list' "a state of ports, not of groups"
echo 0 >"$alua/other/alua_support_standby"
must sg_stpg --verbose --tp=16 --state=s "$loopback"
assert_match "$OUTPUT" 'Invalid field in parameter list' "a state that the group cannot have"
echo 1 >"$alua/other/alua_access_type" # implicit only
must sg_stpg --verbose --tp=16 --state=an "$loopback"
assert_match "$OUTPUT" 'Invalid field in parameter list' "a group that initiators may not change"
echo 1 >"$alua/default_tg_pt_gp/alua_access_type"
must sg_stpg --verbose --tp=16 --state=an "$loopback"
assert_match "$OUTPUT" 'Invalid command operation code' "where no group may be changed"
must sg_inq "$loopback"
assert_match "$OUTPUT" 'TPGS=1' "standard INQUIRY data"

say "the LIO administrator changes a state"
echo 1 >"$alua/other/alua_access_state"
report_groups "$loopback"
assert_eq "$PORT_GROUPS" '0x0 0x00 0x10 0x01' "the groups"

must_fail sg_turs "$iscsi" # ASYMMETRIC ACCESS STATE CHANGED

say "other paths are served while a state changes"
echo 3 >"$alua/default_tg_pt_gp/alua_access_type"
echo 5000 >"$alua/default_tg_pt_gp/trans_delay_msecs"
sg_stpg --tp=0 --state=an "$iscsi" >/run/stpg.txt 2>&1 &
stpg=$!
wait_for 5 grep -q 15 "$alua/default_tg_pt_gp/alua_access_state"
milliseconds report_groups "$iscsi"
assert_eq "$PORT_GROUPS" '0x0 0x0f 0x10 0x01' "the groups while one changes"
wait $stpg || fail "sg_stpg: $(</run/stpg.txt)"
report_groups "$iscsi"
assert_eq "$PORT_GROUPS" '0x0 0x01 0x10 0x01' "the groups afterwards"

iscsi_logout "$IQN"
trace_start
tcli /iscsi delete "$IQN"
detach disk
rmdir "$alua/other"
delete_backstore disk
assert_released 1 1000
stop_tcmud

say "alua_support 0: the target core has no states"
start_tcmud
configure_backstore disk /srv/disk.img $((64 << 20))
echo 0 >"$CORE/$HBA/disk/attrib/alua_support"
echo 1 >"$CORE/$HBA/disk/enable"
attach disk
must sg_inq "$DISK"
assert_match "$OUTPUT" 'TPGS=0' "standard INQUIRY data"
must_fail sg_rtpg "$DISK"
detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
