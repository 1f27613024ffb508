#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An RBD image over iSCSI: a file system, verified writes, a resize and a discard that the cluster sees. After the delete the
# image can be removed at once. With "reservations = local" the kernel refuses reservations.
# vm: net=yes timeout=500

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/ceph.bash"

# count_writes: WRITES is librbd's counter of writes to the image, from which Ceph's dashboard takes its numbers.
count_writes() {
	WRITES=$(python3 -ISE - /run/ceph.*.asok <<'END'
import json, socket, sys

for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect(path)
        daemon.sendall(b'{"prefix": "perf dump"}\0')
        counters = json.loads(daemon.makefile("rb").read()[4:])
    for name, values in counters.items():
        if name.startswith("librbd-") and name.endswith("-rbd-disk"):
            print(values["wr"])
END
	)
}

join_cluster
sed -i "s|admin_socket =.*|admin_socket = /run/ceph.\$pid.\$cctid.asok|" /etc/ceph/ceph.conf
create_image disk 256M
create_image unreserved 64M
: >/run/tcmu.conf
start_tcmud --config /run/tcmu.conf
make_backstore disk 'rbd/disk;osd_op_timeout=30' 256M
iscsi_target disk
iscsi_login "$IQN"
must sg_vpd --page=bl "$DISK"
assert_match "$OUTPUT" 'Optimal transfer length granularity: [1-9]' "the limits, from the image's objects"

say "a file system"
must mkfs.ext4 -q "$DISK"
mkdir -p /mnt/disk
must mount "$DISK" /mnt/disk
verified_writes /mnt/disk/file 4M

count_writes
say "librbd has counted $WRITES writes"
[ "$WRITES" -ge 1024 ] || fail "librbd has counted too few writes"

say "a larger image, with the file system mounted"
on_host rbd resize --size 512M rbd/disk
echo $((512 << 20)) >"$(backstore_dir disk)/attrib/dev_size"
must iscsiadm -m node -T "$IQN" --rescan
larger() { [ "$(disk_bytes "$DISK")" -eq $((512 << 20)) ]; }
wait_for 20 larger
must resize2fs "$DISK"
verified_writes /mnt/disk/second 4M
must umount /mnt/disk
must e2fsck -fn "$DISK"

say "a discard"
used_bytes disk
before=$BYTES
must blkdiscard "$DISK"
used_bytes disk
say "the image occupies $before bytes before, $BYTES after"
[ "$before" -ge $((8 << 20)) ] || fail "too little was written"
assert_eq "$BYTES" 0 "the bytes that the image occupies"

say "reservations"
must sg_persist --out --register --param-sark=abc "$DISK"
must sg_persist --in --read-keys "$DISK"
assert_match "$OUTPUT" '0xabc' "the keys"
must sg_persist --out --register --param-rk=abc "$DISK"
log_mark
echo 'reservations = local' >/run/tcmu.conf
wait_for 10 logged 'reservations was all, is now local$'
iscsi_disk=$DISK
make_backstore_configfs unreserved 'rbd/unreserved;osd_op_timeout=30' $((64 << 20))
assert_eq "$(<"$CORE/$HBA/unreserved/attrib/emulate_pr")" 0 "the attribute of a device that is created afterwards"
assert_eq "$(<"$(backstore_dir disk)/attrib/emulate_pr")" 1 "the attribute of the older one"
attach unreserved
# refused COMMAND...: it ends with INVALID COMMAND OPERATION CODE.
refused() {
	must_fail "$@"
	assert_match "$OUTPUT" 'Invalid (command )?operation code|command not supported' "the output of $*"
}
refused sg_persist --in --read-keys "$DISK"
refused sg_persist --out --register --param-sark=abc "$DISK"
refused sg_raw "$DISK" 16 0 0 0 0 0
refused sg_raw "$DISK" 17 0 0 0 0 0
must sg_opcodes --all "$DISK"
[[ $OUTPUT != *[Pp]ersistent* ]] || fail "PERSISTENT RESERVE is listed"
verified_writes "$DISK" 256K
detach unreserved
delete_backstore_configfs unreserved
on_host rbd rm rbd/unreserved
DISK=$iscsi_disk

say "delete"
iscsi_logout "$IQN"
tcli /iscsi delete "$IQN"
trace_start
milliseconds delete_backstore disk
on_host rbd rm rbd/disk
assert_released 1 2000
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
