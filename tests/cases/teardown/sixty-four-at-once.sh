#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sixty-four devices under load are deleted at once, and each is released within its limit.
# vm: accel=icount
# vm: timeout=400
# vm: memory=4096
# vm: hung_task=200

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
snapshot
before=("$FDS")
# One target has a LUN for each device; nothing waits for a single disk.
tpg=$FABRICS/loopback/$(naa_of all)/tpgt_1
modprobe -a sd_mod tcm_loop
mkdir -p "$tpg"
naa_of nexus >"$tpg/nexus"
for ((i = 0; i < 64; i++)); do
	truncate -s 16M "/srv/disk$i.img"
	make_backstore_configfs "disk$i" "/srv/disk$i.img" $((16 << 20))
	mkdir "$tpg/lun/lun_$i"
	ln -s "$CORE/$HBA/disk$i" "$tpg/lun/lun_$i/disk$i"
done
jobs=()
for ((i = 0; i < 64; i++)); do
	wait_for 60 disk_appeared "$(<"$tpg/address"):$i"
	jobs+=(--name="job$i" --filename="$DISK")
done
say "64 disks exist"
fio --rw=randwrite --bs=4k --iodepth=4 --ioengine=libaio --direct=1 --time_based --runtime=3600 --size=16M --thread \
	--rate_iops=5 "${jobs[@]}" >/dev/null 2>&1 &
load=$!
wait_for 120 wrote "$DISK" 10
say "all disks are under load"

# at_once FUNCTION: calls it for each of the 64 devices, in parallel.
at_once() {
	local i calls=()
	for ((i = 0; i < 64; i++)); do
		"$1" $i &
		calls+=($!)
	done
	wait "${calls[@]}"
}
unlink_lun() {
	rm "$tpg/lun/lun_$1/disk$1"
	rmdir "$tpg/lun/lun_$1"
}
delete_one() { delete_backstore_configfs "disk$1"; }

at_once unlink_lun
say "the LUNs are removed, and the load has ended"
trace_start
milliseconds at_once delete_one
figure "delete, for each device" $((MS / 64)) 100
assert_released 64 100
figure "longest release" "$RELEASE_MS" 100
daemon_has_no_uio || fail "the daemon still holds a uio device"
wait_for 60 not running $load
few_files() { snapshot >/dev/null && [ "$FDS" -le "${before[0]}" ]; }
wait_for 10 few_files
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
