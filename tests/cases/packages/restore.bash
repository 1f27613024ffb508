# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# The packages, installed on a system with systemd, and LUNs in a saved configuration, as at a boot.

# shellcheck source=tests/cases/lib.sh
. "${BASH_SOURCE[0]%/*}/../lib.sh"
# shellcheck source=tests/cases/service/unit.bash
. "${BASH_SOURCE[0]%/*}/../service/unit.bash"

export DEBIAN_FRONTEND=noninteractive
LUNS=${LUNS:-20}
SAVED=/run/saved.json
RESTORE_PID=

another_daemon() { active && [ "$(property MainPID)" != "$DAEMON_PID" ]; }

install_packages() {
	say "the packages"
	load_tcmu
	must dpkg --install /var/packages/*.deb </dev/null
	wait_for 30 active
	DAEMON_PID=$(property MainPID)
}

# save_luns: makes the LUNs, exports them over iSCSI, saves the configuration, and clears everything.
save_luns() {
	local i commands=()
	IQN=iqn.2003-01.org.linux-iscsi.guest:luns
	commands+=("/iscsi create $IQN")
	commands+=("/iscsi/$IQN/tpg1 set attribute authentication=0 generate_node_acls=1 demo_mode_write_protect=0")
	for ((i = 0; i < LUNS; i++)); do
		commands+=("/backstores/user:$SUBTYPE create name=lun$i size=16M cfgstring=/srv/lun$i.img")
		commands+=("/iscsi/$IQN/tpg1/luns create /backstores/user:$SUBTYPE/lun$i")
	done
	commands+=("saveconfig $SAVED")
	say "targetcli: $LUNS LUNs"
	must targetcli < <(printf '%s\n' "${commands[@]}")
	exists $SAVED || fail "nothing was saved"
	clear_all
}

clear_all() {
	must targetctl clear
	assert_eq "$OUTPUT" '' "the output of targetctl clear"
	none_left || fail "devices are left after targetctl clear"
}

none_left() {
	local uio=("$UIO"/*)
	[ ${#uio[@]} -eq 0 ]
}

# restore_start: targetctl restore in the background, as at a boot.
restore_start() {
	targetctl restore $SAVED >/run/restore.txt 2>&1 </dev/null &
	RESTORE_PID=$!
	say "targetctl restore runs (pid $RESTORE_PID)"
}

# restore_is_old SECONDS: it has run for so long; a condition.
restore_is_old() {
	local stat uptime ticks
	read -r stat 2>/dev/null <"/proc/$RESTORE_PID/stat" || return 1
	read -ra stat <<<"${stat##*) }"
	read -r uptime _ </proc/uptime
	ticks=$(getconf CLK_TCK)
	[ $((${uptime%.*} - stat[19] / ticks)) -ge "$1" ]
}

# restored COUNT: so many devices are enabled; a condition.
restored() {
	local enabled
	enabled=$(cat $CORE/user_*/*/enable 2>/dev/null | grep -c 1) || :
	[ "$enabled" -ge "$1" ]
}

# create_waits: the kernel has a device that is not enabled yet; a condition.
create_waits() {
	local uio=("$UIO"/*) enabled
	enabled=$(cat $CORE/user_*/*/enable 2>/dev/null | grep -c 1) || :
	[ ${#uio[@]} -gt "$enabled" ]
}

# restore_proceeded: the number of devices is not $KNOWN any more, or the restore has ended; a condition.
restore_proceeded() {
	local uio=("$UIO"/*)
	[ ${#uio[@]} -ne "$KNOWN" ] || not running "$RESTORE_PID"
}

# kill_in_the_middle: lets the restore continue, and kills the daemon while a create waits for its answer. (Between creates a
# restore writes attributes, which takes moments only; the kernel refuses these while there is no daemon.) Then the restore
# is stopped until the next kill, or until the test lets it end. Fails if the restore has ended before.
kill_in_the_middle() {
	local uio
	DAEMON_PID=$(property MainPID)
	kill -CONT "$RESTORE_PID"
	kill -STOP "$DAEMON_PID"
	until holds_within 2 create_waits; do
		uio=("$UIO"/*)
		KNOWN=${#uio[@]}
		kill -CONT "$DAEMON_PID"
		wait_for 60 restore_proceeded
		running "$RESTORE_PID" || return 1
		kill -STOP "$DAEMON_PID"
	done
	kill -STOP "$RESTORE_PID"
	must systemctl kill --kill-whom=main --signal=KILL $UNIT
	uio=("$UIO"/*)
	say "killed while the create of the ${#uio[@]}th waits"
	wait_for 30 another_daemon
}

luns_live() {
	local live
	live=$(tcmuctl list | grep -c ' LIVE ') || :
	[ "$live" -eq "$LUNS" ]
}

# wait_restored [PATTERN]: waits for the end of the restore. It must print nothing, or only lines that match, and every LUN
# must exist, be served and be exported.
wait_restored() {
	local status=0 luns
	wait_for 120 not running "$RESTORE_PID"
	wait "$RESTORE_PID" || status=$?
	OUTPUT=$(</run/restore.txt)
	assert_eq "$status" 0 "the exit status of targetctl restore"
	[ $# -eq 0 ] || OUTPUT=$(grep -vE "$1" /run/restore.txt) || :
	assert_eq "$OUTPUT" '' "the output of targetctl restore"
	restored "$LUNS" || fail "not all of $LUNS LUNs are enabled, only: $(cat $CORE/user_*/*/enable | grep -c 1)"
	wait_for 20 luns_live
	luns=("$FABRICS/iscsi/$IQN"/tpgt_1/lun/lun_*)
	assert_eq ${#luns[@]} "$LUNS" "the number of exported LUNs"
	say "$LUNS LUNs, no ${1:+other }output"
}

# read_every_lun: logs in as an initiator and reads from each LUN.
read_every_lun() {
	local disk
	iscsi_login "$IQN"
	wait_for 60 all_disks_appeared
	for disk in "${DISKS[@]}"; do
		must dd if="$disk" of=/dev/null bs=64k count=16 iflag=direct status=none
	done
	iscsi_logout "$IQN"
}

# all_disks_appeared: DISKS are the disks of the session; a condition.
all_disks_appeared() {
	local block
	DISKS=()
	for block in /sys/class/iscsi_session/session*/device/target*/*:*:*:*/block/*; do
		[ "$(<"$block/size")" -eq 0 ] || DISKS+=("/dev/${block##*/}")
	done
	[ ${#DISKS[@]} -eq "$LUNS" ]
}
