#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where the time goes when one 4 KiB read is under way at a time: the points that each command passes in the kernel, traced, for a LUN of
# tcmud and for one of the kernel's fileio; judges nothing.
# vm: memory=2048
# vm: timeout=300
# vm: clock=tsc

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

TRACING=/sys/kernel/tracing
SIZE=$((64 << 20))

# traced DISK FUNCTION...: medians between the points that a command passes, in this order.
traced() {
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

mkdir /bench
mount -t tmpfs -o size=60% tmpfs /bench
mkdir /run/handlers
cp "$(handler_folder)"/handler_file.so /run/handlers/
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
traced "$DISK" tcmu_queue_cmd uio_event_notify shmem_file_read_iter tcmu_irqcontrol
attach kernel
say "fileio"
traced "$DISK" fd_execute_rw shmem_file_read_iter
detach kernel
detach daemon
