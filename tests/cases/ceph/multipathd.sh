#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# After an implicit failover, slow writes over the real multipathd, with the multipath.conf of docs/two-gateways.md, leave the
# lock where it is. Other configurations are measured as well.
#
# Environment: WRITE_SECONDS=NUMBER: from 120 on with the documented delay of the failback, else with a third of NUMBER (36).
# MULTIPATH_CONF=documented|detect_prio (the same without "detect_prio no")|default (Debian's).
# vm: net=yes timeout=900 hung_task=600 slots=2

# shellcheck source=tests/cases/ceph/gateways.bash
. "${0%/*}/gateways.bash"

WRITE_SECONDS=${WRITE_SECONDS:-36}
MULTIPATH_CONF=${MULTIPATH_CONF:-documented}

# documented_conf: the block of the page that is for /etc/multipath.conf.
documented_conf() {
	on_host docs two-gateways.md
	sed -n '/^For dm-multipath /,/^and in /p' <<<"$OUTPUT" | sed '1,/^```text$/d; /^```$/,$d' >/etc/multipath.conf
	must grep -q 'failback 60$' /etc/multipath.conf
	[ "$WRITE_SECONDS" -ge 120 ] || sed -i "s/failback 60$/failback $((WRITE_SECONDS / 3))/" /etc/multipath.conf
}

# start_multipathd: installs it and runs it as its unit does, without systemd.
start_multipathd() {
	tar -C /opt/multipath-tools -c . | tar -C / -x --keep-directory-symlink
	case $MULTIPATH_CONF in
	documented) documented_conf ;;
	detect_prio) documented_conf && sed -i '/detect_prio no$/d' /etc/multipath.conf ;;
	default) printf 'defaults {\n\tfind_multipaths yes\n}\n' >/etc/multipath.conf ;;
	*) fail "MULTIPATH_CONF is not documented, detect_prio or default" ;;
	esac
	/lib/systemd/systemd-udevd --daemon
	must udevadm trigger --action=add
	must udevadm settle
	modprobe -a scsi_dh_alua dm_multipath dm_round_robin dm_queue_length dm_service_time
	multipathd -d -s >/run/multipathd.log 2>&1 </dev/null &
	wait_for 60 multipathd_answers
}
multipathd_answers() { multipathd show daemon 2>/dev/null | grep 'idle\|running' >/dev/null; }

# MAP is the multipath device over both paths; a condition.
has_map() {
	MAP=$(multipathd show maps raw format '%n' 2>/dev/null | sed -n 1p)
	[ -b "/dev/mapper/$MAP" ] && [ "$(multipathd show paths raw format '%m %t' | grep -c "^$MAP active")" -eq 2 ]
}

# active_path: the disk whose path group serves.
active_path() {
	local status
	status=$(dmsetup status --target multipath "$MAP")
	[[ $status =~ \ A\ 0\ [0-9]+\ [0-9]+\ ([0-9:]+)\  ]] || fail "no active group: $status"
	basename "$(readlink "/sys/dev/block/${BASH_REMATCH[1]}")"
}

# both_work: both paths do, for multipathd and for the kernel; a condition.
both_work() {
	[ "$(multipathd show paths raw format '%t %T' | grep -c '^active ready')" -eq 2 ]
}

# write_slowly SECONDS: a write each second. WORST is the longest, in milliseconds.
write_slowly() {
	local end=$((SECONDS + $1)) next
	WORST=0
	while [ $SECONDS -lt "$end" ]; do
		next=$((${EPOCHREALTIME/[.,]/} + 1000000))
		milliseconds must dd if=/dev/urandom of="/dev/mapper/$MAP" bs=4k count=1 seek=$((RANDOM % 4096)) oflag=direct conv=notrunc
		[ $MS -le $WORST ] || WORST=$MS
		wait_for 2 is_past $next
	done
}
is_past() { [ "${EPOCHREALTIME/[.,]/}" -ge "$1" ]; }

# count_takeovers: TAKEOVERS is the number of times that a gateway has taken the lock, of both.
count_takeovers() {
	local own
	own=$(takeovers)
	on_host put second takeovers
	on_host get first 50
	TAKEOVERS=$((own + OUTPUT))
	say "takeovers: $own here, $OUTPUT on the second gateway"
}

join_cluster
create_image disk 64M
on_host second start --env FAILOVER=implicit ceph-second/gateway
start_tcmud
start_gateway 1 implicit
on_host get first 55
assert_eq "$OUTPUT" ready "the first word of the second gateway"
start_multipathd
open_paths
holds_within 90 has_map || fail "no multipath device: $(multipathd show paths 2>&1; tail -n 40 /run/multipathd.log)"
multipath -ll

write_slowly 3
first=$(active_path)
say "failover: the path $first fails"
must multipathd fail path "$first"
write_slowly 3
[ "$MULTIPATH_CONF" = default ] || [ "$(active_path)" != "$first" ] || fail "no failover"
# Which also has it checked again.
must multipathd reinstate path "$first"
wait_for 30 both_work
count_takeovers
before=$TAKEOVERS
say "slow writes for $WRITE_SECONDS s"
write_slowly "$WRITE_SECONDS"
multipath -ll
both_work || fail "a path does not work"
count_takeovers
say "FIGURE two gateways, multipathd, $MULTIPATH_CONF configuration: switches in $WRITE_SECONDS s after a failover | $((TAKEOVERS - before)) | 1"
say "FIGURE two gateways, multipathd, $MULTIPATH_CONF configuration: the longest write (ms) | $WORST | -"
[ "$MULTIPATH_CONF" = default ] || assert_le $((TAKEOVERS - before)) 1 "the number of switches after the failover"

kill "$(pidof multipathd)"
wait_for 30 not pidof multipathd
wait_for 30 dmsetup remove --retry "$MAP"
must iscsiadm -m node --logout
on_host put second end
on_host second end
remove_gateway
on_host rbd rm rbd/disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
