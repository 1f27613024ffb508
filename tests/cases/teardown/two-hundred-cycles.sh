#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hundred devices are created and deleted, some of them used, and leave nothing in the daemon: no file, no thread, no
# memory. The kernel's module can be removed afterwards, while the daemon runs.
# vm: timeout=300 smp=2

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

# twenty_devices: creates and deletes them; one of them has a disk that is written to.
twenty_devices() {
	must cycle_devices disk /srv/disk.img $((64 << 20)) 19
	make_backstore_configfs disk /srv/disk.img $((64 << 20))
	attach disk
	must dd if=/dev/zero of="$DISK" bs=64k count=16 oflag=direct
	detach disk
	delete_backstore_configfs disk
}

only_idle_threads() { # no file and no thread of a deleted device is left
	local threads=("/proc/$DAEMON_PID/task"/*)
	daemon_has_no_uio && [ ${#threads[@]} -le "$THREADS" ]
}

start_tcmud
truncate -s 64M /srv/disk.img
snapshot # before the first device: the idle threads
twenty_devices
wait_for 5 only_idle_threads
snapshot
before=("$FDS" "$THREADS" "$RSS_KB")

trace_start
for ((i = 0; i < 10; i++)); do twenty_devices; done
assert_released 200 1000
say "longest release: $RELEASE_MS ms"
wait_for 5 only_idle_threads
snapshot
assert_eq "$FDS" "${before[0]}" "the number of file descriptors after 200 cycles"
assert_le "$THREADS" "${before[1]}" "the number of threads after 200 cycles"
assert_le "$RSS_KB" $((before[2] + 1024)) "resident memory after 200 cycles (KiB)"

say "the kernel's module can be removed while the daemon runs"
trace_stop
rmdir $CORE/$HBA
must rmmod target_core_user
running "$DAEMON_PID" || fail "the daemon ended"
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
