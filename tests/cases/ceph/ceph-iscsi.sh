#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The programs of ceph-iscsi (gwcli, rbd-target-api, rbd-target-gw) over a real cluster: a disk with CHAP is made, resized, rolled
# back to a snapshot, restored after a restart of the gateway, and deleted. The daemon restarts under load. When rbd-target-api
# starts, it removes the blocklist entry of an old connection only when that is closed.
# vm: init=systemd net=yes memory=3072 timeout=1500 hung_task=300 check=no

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"
# shellcheck source=tests/cases/clients/clients.bash
. "${0%/*}/../clients/clients.bash"
# shellcheck source=tests/cases/service/unit.bash
. "${0%/*}/../service/unit.bash"

TARGET=iqn.2003-01.org.linux-iscsi.gateways:ceph
INITIATOR=iqn.1993-08.org.debian:01:guest
ADDRESS=10.0.2.15
IMAGE=rbd/disk

# ceph-iscsi asks the monitors by Ceph's command line, which is large; librados is enough for that.
place_ceph_command() {
	cat >/usr/local/bin/ceph <<'PROGRAM'
#!/usr/bin/python3
import json, rados, sys
words = []
arguments = iter(sys.argv[1:])
for word in arguments:
    if word in ("-c", "-n", "--conf", "--name"):
        next(arguments)
    else:
        words.append(word)
command = {"prefix": " ".join(words)}
if words[:3] == ["osd", "blocklist", "rm"]:
    command = {"prefix": "osd blocklist", "blocklistop": "rm", "addr": words[3]}
with rados.Rados(conffile="/etc/ceph/ceph.conf") as cluster:
    status, output, text = cluster.mon_command(json.dumps(command), b"")
print(output.decode() + text)
sys.exit(status != 0)
PROGRAM
	chmod 755 /usr/local/bin/ceph
}

# fetch PORT PATH: OUTPUT is the page of a service of ceph-iscsi; a condition.
fetch() {
	OUTPUT=$(python3 -ISc 'import sys, urllib.request
print(urllib.request.urlopen(f"http://localhost:{sys.argv[1]}/{sys.argv[2]}", timeout=60).read().decode())' "$@" 2>&1)
}
api_answers() { fetch 5000 api; }
start_gateway() {
	must systemctl start rbd-target-api rbd-target-gw
	holds_within 240 api_answers || fail "rbd-target-api does not answer: $(journalctl --quiet --unit=rbd-target-api | tail -n 30)"
}

# gw COMMAND: of gwcli, which returns 0 for most errors, and writes them to its log only.
gw() {
	: >/root/gwcli.log
	must gwcli "$@"
	if grep -E ' (ERROR|CRITICAL) ' /root/gwcli.log; then fail "gwcli $*: $(journalctl --quiet --unit=rbd-target-api | tail -n 20)"; fi
}

# log_in SECRET
log_in() {
	iscsiadm -m node -o new -T $TARGET -p $ADDRESS >/dev/null
	iscsiadm -m node -T $TARGET -p $ADDRESS -o update -n node.session.auth.authmethod -v CHAP
	iscsiadm -m node -T $TARGET -p $ADDRESS -o update -n node.session.auth.username -v initiator
	iscsiadm -m node -T $TARGET -p $ADDRESS -o update -n node.session.auth.password -v "$1"
	iscsiadm -m node -T $TARGET -p $ADDRESS --login
}
log_in_right() {
	must log_in secret-secret
	wait_for 60 iscsi_disk_appeared
}
log_out() { must iscsiadm -m node -T $TARGET -p $ADDRESS --logout; }
size_is() { # BYTES; a condition
	iscsiadm -m session --rescan >/dev/null && [ "$(disk_bytes "$DISK")" -eq "$1" ]
}
wwid() { cat "/sys/block/${DISK##*/}/device/wwid"; }
goes_on() { wait_for 120 wrote "$DISK" $(($(writes_of "$DISK") + 100)); }

# The disk is online, by the cluster's service map; a condition.
shows_online() {
	must gwcli ls
	[[ $OUTPUT == *'rbd/disk (Online, 64M)'* ]]
}

# break_lock: as another gateway breaks the image's lock: the cluster blocklists the connection of the daemon.
break_lock() {
	must python3 -Ic 'import rados, rbd
with rados.Rados(conffile="/etc/ceph/ceph.conf") as cluster, cluster.open_ioctx("rbd") as pool, rbd.Image(pool, "disk") as image:
    for client, cookie, _ in image.list_lockers()["lockers"]:
        image.break_lock(client, cookie)
        print(client, cookie)'
	assert_match "$OUTPUT" '^client[.]' "the lock holder"
}
listed() { # the blocklist has an entry of this host; a condition
	must ceph osd blocklist ls
	[[ $OUTPUT == *"$CEPH_HOST:"* ]]
}
waits_before_start() { [ "$(systemctl show --value --property=SubState rbd-target-api)" = start-pre ]; }

join_cluster
place_ceph_command
use_clients
printf '127.0.0.1 localhost\n%s guest\n' $ADDRESS >/etc/hosts
# The cluster sees the address of the emulator. It becomes one of the guest's for ceph-iscsi, which compares them, but not for
# the routes: the cluster still has it.
echo 1 >/proc/sys/net/ipv4/conf/all/accept_local
must ip address add "$CEPH_HOST/32" dev lo
must ip route del table local local "$CEPH_HOST" dev lo
cat >/etc/ceph/iscsi-gateway.cfg <<END
[config]
api_secure = false
minimum_gateways = 1
trusted_ip_list = $ADDRESS
END
mkdir -p /var/log/rbd-target-{api,gw}
load_tcmu
modprobe -a iscsi_target_mod sd_mod sg iscsi_tcp
echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
must systemctl start iscsid
place_unit
# It stands still below for longer than its watchdog allows.
printf '[Service]\nWatchdogSec=300\n' >/run/systemd/system/$UNIT.d/watchdog.conf
must systemctl daemon-reload
must systemctl start $UNIT
DAEMON_PID=$(property MainPID)
start_gateway

say "gwcli: a target, a gateway, a disk, an initiator with CHAP"
gw /iscsi-targets create $TARGET
gw /iscsi-targets/$TARGET/gateways create guest $ADDRESS
gw /disks create pool=rbd image=disk size=64M
gw /iscsi-targets/$TARGET/disks add $IMAGE
gw /iscsi-targets/$TARGET/hosts create $INITIATOR
gw /iscsi-targets/$TARGET/hosts/$INITIATOR auth username=initiator password=secret-secret
gw /iscsi-targets/$TARGET/hosts/$INITIATOR disk add $IMAGE
wait_for 120 shows_online
must tcmuctl list
assert_match "$OUTPUT" 'rbd.disk +LIVE' "the list of devices"

must_fail log_in wrong-secret-1
log_in_right
wwid=$(wwid)
must mkfs.ext4 -q "$DISK"
must mount "$DISK" /mnt

say "the daemon restarts under load"
load_start /mnt/load 8M
goes_on
must systemctl restart $UNIT
DAEMON_PID=$(property MainPID)
goes_on
load_stop

say "gwcli: a resize, with the file system mounted"
gw /disks resize $IMAGE 128M
wait_for 60 size_is $((128 << 20))
must resize2fs "$DISK"
verified_writes /mnt/file 2M

say "gwcli: a snapshot, and back to it"
must umount /mnt
sum=$(md5sum <"$DISK")
gw /disks/$IMAGE snapshot create yesterday
must dd if=/dev/urandom of="$DISK" bs=1M count=8 oflag=direct status=none
log_out
gw /disks/$IMAGE snapshot rollback yesterday
log_in_right
assert_eq "$(md5sum <"$DISK")" "$sum" "the disk after the rollback"
must mount "$DISK" /mnt

say "rbd-target-api is killed while the daemon, whose lock was broken, stands still"
verified_writes /mnt/file 1M
listed && fail "the blocklist has an entry: $OUTPUT"
kill -STOP "$DAEMON_PID"
break_lock
listed || fail "no entry in the blocklist: $OUTPUT"
must systemctl kill --signal=KILL rbd-target-api
wait_for 60 waits_before_start
listed || fail "the entry was removed before the old connection was closed"
waits_before_start || fail "its start has not waited"
kill -CONT "$DAEMON_PID"
wait_for 200 api_answers
if listed; then fail "rbd-target-api has not removed the entry: $OUTPUT"; fi
wait_for 60 sg_turs "$DISK"
verified_writes /mnt/file 1M
must umount /mnt
sum=$(md5sum <"$DISK")
log_out

say "the gateway restarts"
must systemctl stop rbd-target-gw rbd-target-api
wait_for 30 nothing_left rbd.disk
wait_for 30 unwatched disk
[ ! -e "$FABRICS/iscsi/$TARGET" ] || fail "the target is left"
must systemctl restart $UNIT
start_gateway
log_in_right
assert_eq "$(wwid)" "$wwid" "the identifier"
assert_eq "$(md5sum <"$DISK")" "$sum" "the disk after the restart"
must fsck.ext4 -fn "$DISK"
wait_for 60 fetch 9287 metrics
assert_match "$OUTPUT" 'ceph_iscsi_lun_size_bytes[{][^}]*rbd.disk[^}]*[}] 134217728' "the metrics of rbd-target-gw"
log_out

say "gwcli: the end"
gw /disks/$IMAGE snapshot delete yesterday
gw /iscsi-targets/$TARGET/hosts/$INITIATOR disk remove $IMAGE
gw /iscsi-targets/$TARGET/hosts delete $INITIATOR
gw /iscsi-targets/$TARGET/disks delete $IMAGE
gw /disks delete $IMAGE
if try_on_host rbd status $IMAGE; then fail "the image is left"; fi
wait_for 10 nothing_left rbd.disk
gw /iscsi-targets/$TARGET/gateways delete guest confirm=true
gw /iscsi-targets delete $TARGET
[ ! -e "$FABRICS/iscsi/$TARGET" ] || fail "the target is left"
must systemctl stop rbd-target-gw rbd-target-api $UNIT
assert_eq "$(property Result)" success "the result"
