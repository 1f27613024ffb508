#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows where the time goes for a LUN of tcmud and for one of the kernel's fileio, without limits. With one 4 KiB read in
# flight: traces the points that each command passes in the kernel. With more: how busy the initiator's CPU and the other CPU
# are.
# vm: smp=2 memory=2048
# vm: timeout=300
# vm: bench=yes

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

TRACING=/sys/kernel/tracing
SIZE=$((64 << 20))

# trace_path DISK FUNCTION...: prints the median times between the points that a command passes, in this order.
trace_path() {
	local points=(scsi_queue_rq "${@:2}" target_complete_ok_work scsi_done)
	echo mono >$TRACING/trace_clock
	printf '%s\n' "${points[@]}" >$TRACING/set_ftrace_filter
	must fio --name=path --filename="$1" --rw=randread --bs=4k --iodepth=1 --ioengine=libaio --direct=1 --time_based --runtime=3
	echo function >$TRACING/current_tracer
	must fio --name=path --filename="$1" --rw=randread --bs=4k --iodepth=1 --ioengine=libaio --direct=1 --time_based --runtime=2
	cat $TRACING/trace >/run/trace.txt
	echo nop >$TRACING/current_tracer
	python3 -ISE /host/tests/bench/path.py "${points[@]}" </run/trace.txt
}

# show_busy DISK: prints the operations a second and how busy the two CPUs are, in percent, with the initiator on the second.
show_busy() {
	local job rw size depth
	for job in "randwrite 4k 4" "randwrite 64k 128" "read 256k 8" "write 256k 8" "read 1M 4" "write 1M 4"; do
		read -r rw size depth <<<"$job"
		must fio --name=busy --filename="$1" --rw="$rw" --bs="$size" --iodepth="$depth" --ioengine=libaio --direct=1 --thread \
			--cpus_allowed=1 --norandommap --gtod_reduce=1 --time_based --runtime=4 --output-format=terse --terse-version=3 \
			--output=/run/busy.terse --exec_prerun="cp /proc/stat /run/before" --exec_postrun="cp /proc/stat /run/after"
		awk -v job="$job" '
			FILENAME == "/run/busy.terse" { split($0, field, ";"); iops = field[8] + field[49]; next }
			!/^cpu[01] / { next }
			{ all = 0; for (i = 2; i <= NF; i++) all += $i }
			FILENAME == "/run/before" { before[$1] = all; idle[$1] = $5 + $6; next }
			{ busy[$1] = 100 - 100 * ($5 + $6 - idle[$1]) / (all - before[$1]) }
			END { printf "%-18s %6d IOPS, initiator %3.0f %%, the other %3.0f %%\n", job, iops, busy["cpu1"], busy["cpu0"] }
		' /run/busy.terse /run/before /run/after
	done
}

mkdir /bench
mount -t tmpfs -o size=60% tmpfs /bench
mkdir /run/handlers
cp "$(handler_dir)"/handler_file.so /run/handlers/
start_tcmud --handler-path /run/handlers
modprobe -a sd_mod tcm_loop target_core_file
head -c $SIZE /dev/urandom >/bench/tcmud
cp /bench/tcmud /bench/fileio
make_backstore_configfs daemon /bench/tcmud $SIZE hw_max_sectors=2048
mkdir -p $CORE/fileio_0/kernel
echo "fd_dev_name=/bench/fileio,fd_dev_size=$SIZE" >$CORE/fileio_0/kernel/control
echo 1 >$CORE/fileio_0/kernel/enable
attach daemon
say "tcmud"
trace_path "$DISK" tcmu_queue_cmd uio_event_notify shmem_file_read_iter tcmu_irqcontrol
show_busy "$DISK"
attach kernel
say "fileio"
trace_path "$DISK" fd_execute_rw shmem_file_read_iter
show_busy "$DISK"
detach kernel
detach daemon
