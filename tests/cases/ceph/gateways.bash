# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# Two guests are gateways of one image. The first guest is the initiator, too, with the kernel's multipath over a session to
# each gateway. The second guest executes the commands of the first.

# shellcheck source=tests/cases/ceph/ceph.bash
. "${BASH_SOURCE[0]%/*}/ceph.bash"
IQN=iqn.2003-01.org.linux-iscsi.gateways:disk
SECOND=10.77.0.2
BYTES_OF_DISK=$((64 << 20))

# start_gateway TAG implicit|explicit: serves the image as ceph-iscsi configures it: a portal group for each gateway, of which
# only the local one is enabled.
start_gateway() {
	local dir group tpg type=1 state=0 standby=0
	[ "$2" = implicit ] || { type=3 state=2 standby=1; }
	make_backstore_configfs disk 'rbd/disk;osd_op_timeout=20' $BYTES_OF_DISK
	dir=$(backstore_dir disk)
	echo 5001405aaaabbbbccccddddeeee00001 >"$dir/wwn/vpd_unit_serial"
	modprobe iscsi_target_mod
	for n in 1 2; do
		group=$dir/alua/g$n
		mkdir "$group"
		echo $n >"$group/tg_pt_gp_id"
		echo $type >"$group/alua_access_type"
		echo 35 >"$group/implicit_trans_secs"
		echo $standby >"$group/alua_support_standby"
		echo $state >"$group/alua_access_state"
		tpg=$FABRICS/iscsi/$IQN/tpgt_$n
		mkdir -p "$tpg/lun/lun_0"
		echo 0 >"$tpg/attrib/authentication"
		echo 1 >"$tpg/attrib/generate_node_acls"
		echo 0 >"$tpg/attrib/demo_mode_write_protect"
		ln -s "$dir" "$tpg/lun/lun_0/disk"
		echo g$n >"$tpg/lun/lun_0/alua_tg_pt_gp"
	done
	mkdir "$FABRICS/iscsi/$IQN/tpgt_$1/np/0.0.0.0:3260"
	echo 1 >"$FABRICS/iscsi/$IQN/tpgt_$1/enable"
}

# Removes what start_gateway has configured.
remove_gateway() {
	local n tpg
	for n in 1 2; do
		tpg=$FABRICS/iscsi/$IQN/tpgt_$n
		[ ! -e "$tpg/np/0.0.0.0:3260" ] || { echo 0 >"$tpg/enable" && rmdir "$tpg/np/0.0.0.0:3260"; }
		rm "$tpg/lun/lun_0/disk"
		rmdir "$tpg/lun/lun_0" "$tpg"
	done
	rmdir "$FABRICS/iscsi/$IQN"
	for n in 1 2; do rmdir "$(backstore_dir disk)/alua/g$n"; done
	delete_backstore_configfs disk
}

# kill_daemon 1|2, start_daemon 1|2: the daemon of that gateway.
kill_daemon() {
	if [ "$1" = 1 ]; then stop_tcmud KILL; else command_second kill; fi
}
start_daemon() {
	if [ "$1" = 1 ]; then start_tcmud; else command_second start; fi
}

# takeovers: how often this gateway has taken the lock.
takeovers() { tcmuctl -j status disk | python3 -ISE -c 'import json, sys; print(json.load(sys.stdin)["takeovers"])'; }

# command_second WORD: the second gateway executes it and answers with the same word.
command_second() {
	on_host put second "$1"
	on_host get first 50
	assert_eq "$OUTPUT" "$1" "the answer of the second gateway"
}

# session_disk ADDRESS: DISK is the disk of the session to that address; a condition.
session_disk() {
	local connection block
	for connection in /sys/class/iscsi_connection/connection*; do
		[ "$(<"$connection/persistent_address")" = "$1" ] || continue
		for block in "$connection"/device/../target*/*:*:*:*/block/*; do
			DISK=/dev/${block##*/}
			[ -b "$DISK" ] && [ "$(<"$block/size")" -gt 0 ]
			return
		done
	done
	return 1
}

# Opens a session to each gateway. A session detects within seconds that the target does not answer, and then fails its
# commands.
open_paths() {
	local address
	modprobe -a sd_mod sg iscsi_tcp scsi_dh_alua dm_multipath dm_round_robin
	echo "InitiatorName=iqn.1993-08.org.debian:01:guest" >/etc/iscsi/initiatorname.iscsi
	sed -i -E -e 's/^(node.session.timeo.replacement_timeout).*/\1 = 2/' -e 's/^(node.conn\[0\].timeo.noop_out_interval).*/\1 = 2/' \
		-e 's/^(node.conn\[0\].timeo.noop_out_timeout).*/\1 = 4/' /etc/iscsi/iscsid.conf
	iscsid
	for address in 127.0.0.1 $SECOND; do
		must iscsiadm -m node -o new -T "$IQN" -p "$address:3260"
		must iscsiadm -m node -T "$IQN" -p "$address:3260" --login
		wait_for 60 session_disk "$address"
		PATHS+=("$DISK")
	done
	DEVICES=(none "$(cat "/sys/block/${PATHS[1]##*/}/dev")" "$(cat "/sys/block/${PATHS[2]##*/}/dev")")
	say "paths: ${PATHS[1]} here, ${PATHS[2]} on the second gateway"
}
PATHS=(none)

# make_multipath: MULTIPATH is a dm-multipath device over both paths, with a group for each path.
make_multipath() {
	export DM_DISABLE_UDEV=1
	must dmsetup create disk --table "0 $((BYTES_OF_DISK / 512)) multipath 1 queue_if_no_path 1 alua 2 1 \
round-robin 0 1 1 ${DEVICES[1]} 1 round-robin 0 1 1 ${DEVICES[2]} 1"
	wait_for 10 exists /dev/mapper/disk
	MULTIPATH=/dev/mapper/disk
}

# path_message WORD...: sends a message to dm-multipath.
path_message() { must dmsetup message disk 0 "$@"; }

# continues_over N: writes complete on that path, within two minutes, because those in flight on the other path end first.
continues_over() {
	local count
	count=$(writes_of "${PATHS[$1]}")
	wait_for 120 path_has_written "$1" $((count + 60))
}

# path_has_written N COUNT: so many writes have completed on that path; a condition. If the path has failed and works again, it
# is reinstated, as multipathd does.
path_has_written() {
	if wrote "${PATHS[$1]}" "$2"; then return; fi
	if [[ $(dmsetup status disk) == *" ${DEVICES[$1]} F "* ]] && reinstate_path "$1"; then path_message switch_group "$1"; fi
	return 1
}

# reinstate_path N: reinstates that path if its disk works; a condition.
reinstate_path() {
	set_running "${PATHS[$1]}" && path_message reinstate_path "${DEVICES[$1]}"
}
set_running() {
	local state
	state=$(<"/sys/block/${1##*/}/device/state")
	[ "$state" != offline ] || echo running >"/sys/block/${1##*/}/device/state"
	[ "$state" = running ]
}

wait_both_paths() {
	wait_for 60 reinstate_path 1
	wait_for 60 reinstate_path 2
}

# failovers implicit|explicit HOW...: failovers away from the active gateway, under a verifying load.
#
#	switch    the initiator switches to the other path
#	kill      its daemon is killed, and started again while the initiator fails over
#	freeze    the second guest is paused with commands in flight, and continues after the first gateway has taken over
#	cut       the same, but only the network of the second guest is cut
failovers() {
	local active=1 other how
	join_cluster
	create_image disk 64M
	on_host second start --env "FAILOVER=$1" ceph-second/gateway
	start_tcmud
	start_gateway 1 "$1"
	on_host get first 55
	assert_eq "$OUTPUT" ready "the first word of the second gateway"
	open_paths
	make_multipath
	load_start "$MULTIPATH" 16M
	continues_over 1
	for how in "${@:2}"; do
		other=$((3 - active))
		say "failover: $how, to gateway $other"
		"fail_by_$how" $active $other
		wait_both_paths
		active=$other
	done
	load_stop
	say "both paths read the same data"
	both_read_the_same
	must dmsetup remove disk
	must iscsiadm -m node --logout
	on_host put second end
	on_host second end
	remove_gateway
	on_host rbd rm rbd/disk
	stop_tcmud
	assert_eq "$DAEMON_STATUS" 0 "the exit status"
}

# fail_by_HOW FROM TO
fail_by_switch() {
	path_message switch_group "$2"
	continues_over "$2"
}

fail_by_kill() {
	kill_daemon "$1"
	path_message switch_group "$2"
	start_daemon "$1"
	continues_over "$2"
}

fail_by_freeze() {
	assert_eq "$1" 2 "the gateway that is paused"
	on_host second stop
	continues_over 1
	on_host second continue
}

fail_by_cut() {
	assert_eq "$1" 2 "the gateway whose network is cut"
	on_host second cut
	continues_over 1
	on_host second join
}

# Both paths read the same data, so no late write has landed.
both_read_the_same() {
	local n sums=()
	for n in 1 2; do
		path_message switch_group $n
		wait_for 60 read_over $n
		sums+=("$SUM")
	done
	assert_eq "${sums[0]}" "${sums[1]}" "the checksum over the first path, against the second"
}

# read_over N: SUM is the checksum of the data read over that path; a condition.
read_over() {
	local before after
	before=$(sectors_read "${PATHS[$1]}")
	SUM=$(dd if="$MULTIPATH" bs=1M count=16 iflag=direct status=none | md5sum)
	after=$(sectors_read "${PATHS[$1]}")
	[ $((after - before)) -ne $((16 << 11)) ] || return 0
	path_has_written "$1" $((1 << 62)) # never holds
}
sectors_read() {
	local count
	read -r _ _ count _ <"/sys/block/${1##*/}/stat"
	echo "$count"
}
