#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Direct I/O of 4 KiB with io_uring and, by kernel.io_uring_disabled=2, without: I/O operations a second, and what one costs.
# Needs a kernel of 6.6 or newer. The rounds alternate, because the host's load changes.
#
# Environment: BENCH_STORE=disk|ram (the scratch disk, or a RAM disk), BENCH_ROUNDS, BENCH_JOBS, BENCH_SECONDS.
# vm: disk=512M
# vm: timeout=900

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

MIB=128
SECONDS_EACH=${BENCH_SECONDS:-4}

# switches KIND: of all threads of the daemon; voluntary or nonvoluntary.
switches() {
	cat "/proc/$DAEMON_PID"/task/*/status 2>/dev/null | awk -v kind="^$1_ctxt" '$0 ~ kind { sum += $2 } END { print sum }'
}

# ticks: the daemon's CPU time in hundredths of a second.
ticks() {
	awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat"
}

doorbells() {
	awk '$0 ~ /hitcount/ { sum += $NF } END { print sum + 0 }' "$TRACING/events/bench/doorbell/hist"
}

# measure NAME RW DEPTH: a line of figures.
measure() {
	local before ops time
	before=("$(switches voluntary)" "$(ticks)" "$(doorbells)" "$(switches nonvoluntary)")
	must fio --name=it --filename="$DISK" --rw="$2" --bs=4k --iodepth="$3" --ioengine=libaio --direct=1 --size=${MIB}M \
		--time_based --runtime="$SECONDS_EACH" --norandommap --minimal --terse-version=3
	ops=$(tail -n 1 <<<"$OUTPUT" | awk -F';' '{ print int(($6 + $47) / 4) }')
	time=$(tail -n 1 <<<"$OUTPUT" | awk -F';' '{ print $8 + $49 }')
	snapshot >/dev/null
	awk -v name="$1" -v ops="$ops" -v iops="$time" -v threads="$THREADS" -v s=$(($(switches voluntary) - before[0])) \
		-v n=$(($(switches nonvoluntary) - before[3])) -v t=$(($(ticks) - before[1])) -v d=$(($(doorbells) - before[2])) 'BEGIN {
		printf "FIGURE %s | %d IOPS | an operation: %.0f us CPU, %.2f + %.2f switches, %.2f doorbells | %d threads\n",
			name, iops, t * 10000 / ops, s / ops, n / ops, d / ops, threads }'
}

if [ "${BENCH_STORE:-disk}" = disk ]; then
	scratch_disk ext4
	store=/scratch/disk.img
else # memory, as fast as a store can be
	modprobe brd rd_nr=1 rd_size=$((MIB << 10))
	store=/dev/ram0
fi
exists /proc/sys/kernel/io_uring_disabled || fail "this kernel has no kernel.io_uring_disabled"
load_tcmu
echo 'p:bench/doorbell target_core_user:tcmu_irqcontrol' >$TRACING/kprobe_events
echo 'hist:keys=common_pid' >$TRACING/events/bench/doorbell/trigger
dd if=/dev/urandom of=$store bs=1M count=$MIB status=none oflag=direct
for round in $(seq "${BENCH_ROUNDS:-3}"); do
	for disabled in 0 2; do
		echo $disabled >/proc/sys/kernel/io_uring_disabled
		start_tcmud
		make_backstore_configfs disk "$store;direct=1" $((MIB << 20))
		attach disk
		name="round $round, $([ $disabled = 0 ] && echo io_uring || echo threads)"
		for job in ${BENCH_JOBS:-randread:1 randwrite:1 randread:32 randwrite:32}; do
			measure "$name, ${job%:*} QD${job#*:}" "${job%:*}" "${job#*:}"
		done
		detach disk
		delete_backstore_configfs disk
		stop_tcmud
	done
done
