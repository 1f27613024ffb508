#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures the rbd handlers of tcmud and of tcmu-runner over one image, one daemon after the other, in a guest that reaches a real
# cluster (tests/bench/rbd); judges nothing.
# vm: net=yes memory=4096 timeout=1200 hung_task=120 clock=tsc

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/../../cases/ceph/ceph.bash"

# serve tcmud|tcmu-runner: starts it and has it serve the image, as ceph-iscsi has it served; DISK is the LUN. unserve ends that.
serve() {
	local control=max_data_area_mb=8,hw_max_sectors=1024
	TCMU_DAEMON=$1
	if [ "$1" = tcmud ]; then
		start_tcmud --handler-path /run/handlers
	else
		launch_tcmud
		wait_for 30 peer_ready
	fi
	make_backstore_configfs bench 'rbd/bench;osd_op_timeout=60' $((64 << 20)) $control
	attach bench
	# The emulated machine's clock is slow to read, and has to do with neither.
	wait_for 20 exists "/sys/block/${DISK##*/}/queue/iostats"
	echo 0 >"/sys/block/${DISK##*/}/queue/iostats"
}

unserve() {
	detach bench
	delete_backstore_configfs bench
	stop_tcmud
	wait_for 30 unwatched bench
}

peer_ready() {
	busctl --quiet --timeout=2 get-property org.kernel.TCMUService1 /org/kernel/TCMUService1/rbd org.kernel.TCMUService1 ConfigDesc \
		>/dev/null 2>&1
}

# shares: which of the daemon's threads have been on a processor, in percent of what all of them have.
shares() {
	awk '{
		name = $0; sub(/^[^(]*\(/, "", name); sub(/\).*/, "", name); sub(/-[0-9]+$/, "", name)
		sub(/.*\) /, ""); ticks[name] += $12 + $13; all += $12 + $13
	}
	END { for (name in ticks) if (100 * ticks[name] >= all) printf "%s %.0f %%\n", name, 100 * ticks[name] / all }' \
		/proc/"$DAEMON_PID"/task/*/stat | sort -k 2,2nr | paste -sd, | sed 's/,/, /g'
}

# cells TIME: all jobs in one run of fio, one after the other.
cells() {
	local op size depth
	printf '[global]\nfilename=%s\nioengine=libaio\ndirect=1\nthread\ntime_based\nruntime=%s\nnorandommap\nrandrepeat=1\n' "$DISK" "$1"
	printf 'gtod_reduce=1\ninvalidate=0\nstonewall\n'
	for op in read write; do
		for size in 4k 64k 1M; do
			for depth in 1 32; do
				[[ "$op $size QD$depth" =~ ${BENCH_ONLY:-.} ]] || continue
				printf '[%s %s QD%s]\nrw=rand%s\nbs=%s\niodepth=%s\n' $op $size $depth $op $size $depth
			done
		done
	done
}

join_cluster
create_image bench 64M
mkdir /run/handlers
cp "$(handler_dir)"/handler_rbd.so /run/handlers/
serve tcmud
must dd if=/dev/urandom of="$DISK" bs=1M count=64 oflag=direct
unserve
for ((round = 0; round < ${BENCH_ROUNDS:=3}; round++)); do
	targets=(tcmud tcmu-runner)
	[ $((round % 2)) -eq 0 ] || targets=(tcmu-runner tcmud)
	for target in "${targets[@]}"; do
		serve "$target"
		say "measuring $target, round $((round + 1)) of $BENCH_ROUNDS"
		BENCH_ONLY='4k QD32' cells 500ms >/run/warm.fio
		cells "${BENCH_SECONDS:=2}s" >/run/cells.fio
		must fio --output=/dev/null /run/warm.fio
		must fio --output-format=json --output="/host/out/$target-$round.json" /run/cells.fio
		say "the daemon's threads: $(shares)"
		unserve
	done
done
