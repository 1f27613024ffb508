#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A thousand devices of the same name are created and deleted, and no resource grows.
#
# Environment: CYCLES=NUMBER (1000).
# vm: timeout=600 check=no smp=2

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

# The memory that the kernel could give, after it has dropped its caches.
available_kb() {
	echo 3 >/proc/sys/vm/drop_caches
	sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo
}
CYCLES=${CYCLES:-1000}
create_and_delete() {
	make_backstore_configfs disk /srv/disk.img $((64 << 20))
	delete_backstore_configfs disk
}
only_idle_threads() {
	local threads=("/proc/$DAEMON_PID/task"/*)
	daemon_has_no_uio && [ ${#threads[@]} -le "$THREADS" ]
}

start_tcmud
truncate -s 64M /srv/disk.img
snapshot
for ((i = 0; i < 50; i++)); do create_and_delete; done
wait_for 5 only_idle_threads
snapshot
before=("$FDS" "$THREADS" "$RSS_KB" "$(available_kb)")
start=${EPOCHREALTIME/[.,]/}
for ((i = 0; i < CYCLES; i++)); do create_and_delete; done
figure "create and delete" $(((${EPOCHREALTIME/[.,]/} - start) / 1000 / CYCLES)) 400
wait_for 5 only_idle_threads
snapshot
assert_eq "$FDS" "${before[0]}" "the number of file descriptors"
assert_le "$THREADS" "${before[1]}" "the number of threads"
assert_le "$RSS_KB" $((before[2] + 1024)) "resident memory (KiB)"
say "available: ${before[3]} KiB before, $(available_kb) KiB now"
enough_memory() { [ "$(available_kb)" -ge $((before[3] - 32768)) ]; }
wait_for 10 enough_memory
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
