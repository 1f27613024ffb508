#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks that ceph-iscsi's gwcli and rbd-target-api make of images in a real cluster are used by an initiator with CHAP, resized
# with a file system mounted, given a snapshot, kept over a restart of the service and deleted. The daemon is killed meanwhile.
# vm: net=yes memory=3072 timeout=900 hung_task=200 check=no

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"
# shellcheck source=tests/cases/clients/clients.bash
. "${0%/*}/../clients/clients.bash"

TARGET=iqn.2003-01.org.linux-iscsi.gateways:ceph
INITIATOR=iqn.1993-08.org.debian:01:guest
ADDRESS=10.0.2.15

# ceph-iscsi asks the monitors by Ceph's command line, which is large; librados is enough for that.
place_ceph_command() {
	cat >/usr/local/bin/ceph <<'PROGRAM'
#!/usr/bin/python3
import json, rados, sys
words = []
format = "plain"
arguments = iter(sys.argv[1:])
for word in arguments:
    if word in ("-c", "-n", "--conf", "--name"):
        next(arguments)
    elif word in ("-f", "--format"):
        format = next(arguments)
    elif word.startswith("--format="):
        format = word[len("--format="):]
    else:
        words.append(word)
command = {"prefix": " ".join(words), "format": format}
if words[:3] == ["osd", "blocklist", "rm"]:
    command = {"prefix": "osd blocklist", "blocklistop": "rm", "addr": words[3]}
with rados.Rados(conffile="/etc/ceph/ceph.conf") as cluster:
    status, output, text = cluster.mon_command(json.dumps(command), b"")
print(output.decode() + (text if not output or words[-1] == "ls" else ""))
sys.exit(status != 0)
PROGRAM
	chmod 755 /usr/local/bin/ceph
}

# start_api: runs rbd-target-api as its unit does.
start_api() {
	rbd-target-api >/run/api.log 2>&1 </dev/null &
	API=$!
	holds_within 120 api_answers || { OUTPUT=$(tail -n 30 /run/api.log) && fail "rbd-target-api does not answer"; }
}
api_answers() {
	running $API || { OUTPUT=$(tail -n 30 /run/api.log) && fail "rbd-target-api has ended"; }
	python3 -ISc 'import urllib.request
urllib.request.urlopen("http://localhost:5000/api", timeout=5)' 2>/dev/null
}
stop_api() {
	kill $API
	wait_for 90 not running $API
}

# gw COMMAND: of gwcli, which returns 0 for most errors.
gw() {
	must gwcli "$@"
	if [[ $OUTPUT == *[Ff]ailed* || $OUTPUT == *rror:* ]]; then fail "gwcli $*: $(tail -n 20 /run/api.log)"; fi
}

size_is() { # BYTES; a condition
	iscsiadm -m session --rescan >/dev/null && [ "$(disk_bytes "$DISK")" -eq "$1" ]
}

place_ceph_command
use_clients
join_cluster
printf '127.0.0.1 localhost\n%s guest\n' $ADDRESS >/etc/hosts
cat >/etc/ceph/iscsi-gateway.cfg <<END
[config]
api_secure = false
minimum_gateways = 1
trusted_ip_list = $ADDRESS
prometheus_exporter = false
log_to_stderr = true
log_to_file = false
END
modprobe -a iscsi_target_mod target_core_user
start_tcmud
start_api

say "gwcli: a target, a disk, an initiator with CHAP"
gw /iscsi-targets create $TARGET
gw /iscsi-targets/$TARGET/gateways create guest $ADDRESS skipchecks=true
gw /disks create pool=rbd image=disk size=64M
gw /iscsi-targets/$TARGET/hosts create $INITIATOR
gw /iscsi-targets/$TARGET/hosts/$INITIATOR auth username=initiator password=secret-secret
gw /iscsi-targets/$TARGET/hosts/$INITIATOR disk add rbd/disk
must gwcli ls
say "$(grep -iE 'disk|guest' <<<"$OUTPUT" | paste -sd';')"
must tcmuctl list
assert_match "$OUTPUT" 'rbd.disk +LIVE' "the list of devices"

# log_in [SECRET]
log_in() {
	modprobe -a sd_mod sg iscsi_tcp
	echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
	[ -e /run/iscsid.pid ] || iscsid
	iscsiadm -m node -o new -T $TARGET -p $ADDRESS >/dev/null
	iscsiadm -m node -T $TARGET -p $ADDRESS -o update -n node.session.auth.authmethod -v CHAP
	iscsiadm -m node -T $TARGET -p $ADDRESS -o update -n node.session.auth.username -v initiator
	iscsiadm -m node -T $TARGET -p $ADDRESS -o update -n node.session.auth.password -v "${1:-secret-secret}"
	iscsiadm -m node -T $TARGET -p $ADDRESS --login
}
log_out() { must iscsiadm -m node -T $TARGET -p $ADDRESS --logout; }

must_fail log_in wrong-secret-1
must log_in
wait_for 30 iscsi_disk_appeared
must mkfs.ext4 -q "$DISK"
must mount "$DISK" /mnt
load_start /mnt/load 8M
wait_for 60 wrote "$DISK" $(($(writes_of "$DISK") + 100))
kill_daemon
wait_for 90 wrote "$DISK" $(($(writes_of "$DISK") + 100))
load_stop

say "gwcli: a resize, a snapshot"
gw /disks resize rbd/disk 128M
wait_for 30 size_is $((128 << 20))
must resize2fs "$DISK"
verified_writes /mnt/file 2M
gw /disks/rbd/disk snapshot create yesterday
on_host rbd status rbd/disk@yesterday
sum=$(md5sum </mnt/file)
must umount /mnt
log_out

say "the service restarts"
stop_api
wait_for 30 nothing_left rbd.disk
start_api
must log_in
wait_for 30 iscsi_disk_appeared
must fsck.ext4 -fn "$DISK"
must mount "$DISK" /mnt
assert_eq "$(md5sum </mnt/file)" "$sum" "the file"
must umount /mnt
log_out

say "gwcli: the end"
gw /disks/rbd/disk snapshot delete yesterday
gw /iscsi-targets/$TARGET/hosts/$INITIATOR disk remove rbd/disk
gw /iscsi-targets/$TARGET/hosts delete $INITIATOR
gw /iscsi-targets/$TARGET/disks delete rbd/disk
gw /disks delete rbd/disk
if try_on_host rbd status rbd/disk; then fail "the image is still there"; fi
nothing_left rbd.disk || fail "the backstore is still there"
gw /iscsi-targets/$TARGET/gateways delete guest confirm=true
gw /iscsi-targets delete $TARGET
stop_api
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
